"""Lifts tell what noise and specks add to the slope, and let fields in focus alone."""

import functools
import io
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from haste_core.features import UndefinedFeatureError, plls
from haste_core.features.lifts import lifts
from tests.unit.features.fields import disks, levels, noise
from tests.unit.features.shared_images import reference_images

SHAPE = (400, 400)
BLURRED_PX = 3.0


@functools.cache
def sharp_light(seed: int) -> NDArray[Any]:
    return disks(np.random.default_rng(seed), SHAPE, px_per_disk=4000)


def light(seed: int, *, blur_px: float, share: float = 1.0) -> NDArray[Any]:
    return 60 + share * ndimage.gaussian_filter(sharp_light(seed), blur_px, mode="wrap")


def seen(field: NDArray[Any], seed: int = 0) -> NDArray[Any]:
    """Add a camera's noise and offset."""
    rng = np.random.default_rng(seed)
    return levels(rng.poisson(field) + rng.normal(100, 2, field.shape))


@pytest.mark.parametrize("blur_px", [0, 1])
@pytest.mark.parametrize("share", [1, 0.1, 0.04])
def test_what_noise_adds_is_told_without_knowing_the_light(blur_px: float, share: float) -> None:
    field = light(1, blur_px=blur_px, share=share)
    image = seen(field)
    assert lifts(image).noise == pytest.approx(plls(image) - plls(field), abs=0.06)


@pytest.mark.parametrize("blur_px", [1.5, 2, 3])
def test_noise_lifts_a_blurred_field_the_more_the_darker_it_is(blur_px: float) -> None:
    fields = [light(1, blur_px=blur_px, share=share) for share in (1, 0.1, 0.03)]
    found = [lifts(seen(field)).noise for field in fields]
    assert found == sorted(found)
    assert found[-1] > plls(seen(fields[-1])) - plls(seen(fields[0])) > 0.25


@pytest.mark.parametrize("blur_px", [0, 2, 6])
def test_fields_that_drown_are_lifted_a_lot(blur_px: float) -> None:
    assert lifts(seen(light(2, blur_px=blur_px, share=0.01))).noise > 0.4
    assert lifts(levels(noise(3))).noise > 0.4


@pytest.mark.parametrize("size_px", [1, 2, 6, 16])
@pytest.mark.parametrize("count", [1, 4])
def test_what_specks_add_to_a_blurred_field(size_px: int, count: int) -> None:
    without = seen(light(4, blur_px=BLURRED_PX))
    image = with_specks(without, size_px=size_px, count=count)
    added = plls(image) - plls(without)
    assert added > 0.2
    assert lifts(image).specks == pytest.approx(added, rel=0.35)


def with_specks(image: NDArray[Any], *, size_px: int, count: int) -> NDArray[Any]:
    specked = image.copy()
    for number in range(count):
        top, left = 57 + 81 * number, 353 - 83 * number
        specked[top : top + size_px, left : left + size_px] = 40_000
    return specked


def test_objects_in_focus_stay_when_specks_are_taken() -> None:
    without = seen(light(5, blur_px=0.7, share=0.1))
    image = with_specks(without, size_px=1, count=3)
    found = lifts(image)
    assert found.specks == pytest.approx(plls(image) - plls(without), abs=0.15)
    assert found.specks > 0.5
    assert found.noise < 0.1
    assert lifts(without).specks < 0.15


def test_many_defective_pixels_are_noise() -> None:
    image = seen(light(6, blur_px=BLURRED_PX))
    assert lifts(image).noise < 0.1
    image[np.random.default_rng(7).random(SHAPE) < 0.003] = 20_000
    assert lifts(image).noise > 0.4


def smoothed(image: NDArray[Any]) -> NDArray[Any]:
    return ndimage.gaussian_filter(image.astype(np.float32), 0.8)


def turned(image: NDArray[Any]) -> NDArray[Any]:
    return levels(ndimage.rotate(image.astype(np.float32), 5, reshape=False, order=1, mode="mirror"))


def compressed(image: NDArray[Any]) -> NDArray[Any]:
    file = io.BytesIO()
    PIL.Image.fromarray(levels((image - 100.0) / 2, "uint8")).save(file, "JPEG", quality=75)
    with PIL.Image.open(file) as picture:
        return np.asarray(picture)


@pytest.mark.parametrize("change", [smoothed, turned, compressed])
def test_noise_is_known_when_neighbours_share_it(change: Any) -> None:
    assert lifts(change(seen(light(8, blur_px=BLURRED_PX, share=0.03)))).noise > 0.3
    assert lifts(change(seen(light(8, blur_px=0.7)))).noise < 0.05


def test_a_texture_that_covers_the_field_is_no_noise() -> None:
    rng = np.random.default_rng(9)
    spectrum = np.fft.rfft2(rng.standard_normal(SHAPE))
    frequency = np.hypot(np.fft.fftfreq(SHAPE[0])[:, None], np.fft.rfftfreq(SHAPE[1]))
    frequency[0, 0] = 1
    texture = np.fft.irfft2(spectrum / frequency)
    assert lifts(seen(3000 + 300 * texture / texture.std())).noise < 0.1


@pytest.mark.parametrize(("gain", "offset"), [(1e-5, -0.1), (1e300, 0.0), (3.0, 1e6)])
def test_gain_offset_and_a_transpose_do_not_matter(gain: float, offset: float) -> None:
    image = with_specks(seen(light(10, blur_px=2, share=0.1)), size_px=3, count=1)
    expected = lifts(image)
    for same in (image * gain + offset, image.T):
        found = lifts(same)
        assert (found.noise, found.specks) == pytest.approx((expected.noise, expected.specks), abs=1e-4)


@pytest.mark.parametrize("shape", [(32, 32), (33, 70), (61, 509)])
def test_all_shapes_that_have_a_slope_have_lifts(shape: tuple[int, int]) -> None:
    found = lifts(seen(60 + disks(np.random.default_rng(11), shape)))
    assert found.noise < 0.2
    assert found.specks >= 0


@pytest.mark.parametrize(
    ("image", "why"),
    [
        (np.full((64, 64), 7), "all pixels have the same value"),
        (np.eye(31), "below 32"),
        (np.full((64, 64), np.nan), "NaN"),
        (np.indices((64, 64)).sum(axis=0) % 2, "fewer than two scales"),
    ],
)
def test_what_has_no_slope_has_no_lifts(image: NDArray[Any], why: str) -> None:
    with pytest.raises(UndefinedFeatureError, match=why):
        lifts(image)


def test_real_images_at_full_light_are_hardly_lifted(shared_dir: Path) -> None:
    found = [lifts(image) for _, image, reference in reference_images(shared_dir) if reference > -1.65]
    assert len(found) > 30
    assert max(one.noise for one in found) < 0.1
    assert max(one.specks for one in found) < 0.25
