"""Signal is what noise, smooth light, defective pixels and a speck do not explain."""

import io
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from haste_core.features import UndefinedFeatureError, is_empty, signal_fraction
from haste_core.features.signal import _tiles, snr
from tests.unit.features.fields import levels, noise, spots
from tests.unit.features.shared_images import reference_images


@pytest.mark.parametrize("shape", [(64, 64), (128, 200), (512, 512), (1040, 1392)])
@pytest.mark.parametrize("vignetting", [0.0, 0.3])
def test_noise_on_smooth_light_is_empty(shape: tuple[int, int], vignetting: float) -> None:
    assert signal_fraction(levels(noise(1, shape, electrons=2000, vignetting=vignetting))) == 0


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    electrons=st.floats(0.5, 20_000),
    read_noise=st.floats(0.5, 10),
    gain=st.floats(0.1, 3),
    offset=st.floats(50, 2000),
    vignetting=st.floats(0, 0.2),
)
def test_noise_is_empty_whatever_the_camera(seed: int, **camera: float) -> None:
    assert is_empty(levels(noise(seed, (256, 256), **camera)))


def test_few_photons_are_empty() -> None:
    assert is_empty(levels(noise(2, electrons=0.1, read_noise=0, gain=100)))


def test_noise_in_eight_bits_is_empty() -> None:
    assert is_empty(levels(noise(3, electrons=5000, gain=1 / 50, vignetting=0.2), "uint8"))


def test_a_staircase_of_grey_levels_is_empty() -> None:
    gradient = np.linspace(10, 13, 512) + noise(4, read_noise=0.2, electrons=0, offset=0)
    assert is_empty(levels(gradient, "uint8"))


@pytest.mark.parametrize("quality", [50, 75, 95])
def test_noise_in_a_jpeg_is_empty(quality: int) -> None:
    file = io.BytesIO()
    field = levels(noise(5, electrons=500, gain=0.2, offset=10, vignetting=0.2), "uint8")
    PIL.Image.fromarray(field).save(file, "JPEG", quality=quality)
    with PIL.Image.open(file) as picture:
        assert is_empty(np.asarray(picture))


def test_noise_of_an_interpolated_image_is_empty() -> None:
    assert is_empty(levels(ndimage.gaussian_filter(noise(6, gain=10), 1)))


@pytest.mark.parametrize("share", [1e-4, 1e-3])
def test_defective_pixels_are_no_signal(share: float) -> None:
    field = levels(noise(7, (1024, 1024)))
    defects = np.random.default_rng(8).random((2, *field.shape)) < share
    field[defects[0]] = 60_000
    field[defects[1]] = 0
    assert is_empty(field)


@pytest.mark.parametrize("size_px", [1, 3, 8, 16])
def test_one_hot_speck_is_no_signal(size_px: int) -> None:
    field = levels(noise(9))
    field[250 : 250 + size_px, 252 : 252 + size_px] = 60_000
    assert is_empty(field)


@pytest.mark.parametrize("blur_px", [0, 2, 6])
def test_specimens_are_signal_sharp_or_blurred_bright_or_dark(blur_px: float) -> None:
    field = levels(spots(10, (512, 512), blur_px=blur_px))
    assert signal_fraction(field) > 0.1
    assert signal_fraction(20_000 - field) == pytest.approx(signal_fraction(field), abs=0.01)


@pytest.mark.parametrize("shape", [(40, 40), (64, 64), (48, 200)])
def test_specimens_in_small_crops_are_signal(shape: tuple[int, int]) -> None:
    assert all(signal_fraction(levels(spots(seed, shape))) > 0.05 for seed in range(8))


def test_a_few_nuclei_are_signal() -> None:
    field = noise(11)
    y, x = np.indices(field.shape)
    for top, left in ((100, 100), (300, 350)):
        field[np.hypot(y - top, x - left) < 20] += 20
    expected = 2 * np.pi * 20**2 / field.size
    assert signal_fraction(levels(field)) == pytest.approx(expected, rel=0.5)


def test_the_fraction_is_the_share_of_the_field() -> None:
    field = noise(12, (640, 640))
    field[160:480, 160:480] += 300
    assert signal_fraction(levels(field)) == pytest.approx(0.25, abs=0.03)


@pytest.mark.parametrize(("gain", "offset"), [(1e-5, -0.1), (1e300, 0), (3, 1e6)])
def test_gain_and_offset_do_not_matter(gain: float, offset: float) -> None:
    field = spots(13)
    assert signal_fraction(field * gain + offset) == pytest.approx(signal_fraction(field), abs=0.005)


def test_noise_of_tiles_is_told_from_quiet_ones() -> None:
    field = np.random.default_rng(14).normal(0, 16, (1024, 1024))
    _, expected = _tiles(field)
    field[:300] += np.random.default_rng(15).normal(0, 500, (300, 1024))
    values, found = _tiles(field)
    # 256 pixels a tile: a sixteenth of one pixel's noise.
    assert expected == pytest.approx(1, rel=0.05)
    assert found == pytest.approx(1, rel=0.35)
    assert values[40:].std() == pytest.approx(1, rel=0.05)


def test_real_images_hold_signal(shared_dir: Path) -> None:
    fractions = {row["file"]: signal_fraction(image) for row, image, _ in reference_images(shared_dir)}
    assert len(fractions) == 62
    assert min(fractions.values()) > 0.02


def test_two_levels_can_hold_signal() -> None:
    assert signal_fraction(spots(16) > 500) > 0.1


@pytest.mark.parametrize("image", [np.full((64, 64), 5), np.zeros((64, 64), bool)])
def test_a_constant_image_is_empty(image: NDArray[Any]) -> None:
    assert signal_fraction(image) == 0


@pytest.mark.parametrize("image", [np.full((64, 64), np.nan), np.ones((31, 99))])
def test_is_undefined_where_nothing_can_be_told(image: NDArray[Any]) -> None:
    with pytest.raises(UndefinedFeatureError):
        signal_fraction(image)


@pytest.mark.parametrize("shape", [(512, 512), (200, 300)])
@pytest.mark.parametrize("offset", [0, 30_000])
def test_snr_is_in_units_of_a_pixels_noise(shape: tuple[int, int], offset: float) -> None:
    rng = np.random.default_rng(1)
    image = rng.normal(offset, 20, shape)
    assert snr(image) < 0.5
    image[:, : shape[1] // 8] += 100
    assert snr(image) == pytest.approx(5, rel=0.15)
    assert snr(image * 7 - 3) == pytest.approx(snr(image))


def test_snr_falls_with_the_light() -> None:
    light = spots(1)
    dim = [snr(levels(100 + (light - 100) * share + noise(2, light.shape))) for share in (1, 0.3, 0.1, 0.01)]
    assert all(brighter > dimmer for brighter, dimmer in pairwise(dim))


def test_snr_without_noise_is_undefined() -> None:
    with pytest.raises(UndefinedFeatureError, match="no noise"):
        snr(np.full((64, 64), 7))
