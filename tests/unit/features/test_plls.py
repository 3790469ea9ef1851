"""PLLS is CellProfiler's, falls with blur, and says so where it has no value."""

import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from haste_core.features import UndefinedFeatureError, plls
from tests.unit.features.fields import noise, spots
from tests.unit.features.shared_images import reference_images


def plls_by_definition(image: NDArray[Any]) -> float:
    """Return the slope the long way: the whole spectrum, ring by ring."""
    height, width = image.shape
    power = np.abs(np.fft.fft2(image - image.mean())) ** 2
    rings: dict[int, float] = {}
    for i in range(height):
        for j in range(width):
            radius = math.hypot(min(i, height - 1 - i), min(j, width - 1 - j))
            label = math.floor(radius) + 1
            rings[label] = rings.get(label, 0.0) + power[i, j]
    labels = [label for label in range(2, min(height, width) // 8) if rings[label] > 0]
    slope, _ = np.polyfit(np.log(labels), np.log([rings[label] for label in labels]), 1)
    return float(slope)


@pytest.mark.parametrize("shape", [(32, 32), (32, 90), (33, 47), (61, 61), (97, 64), (101, 131), (128, 128)])
def test_equals_the_definition_at_any_shape(shape: tuple[int, int]) -> None:
    image = spots(1, shape)
    assert plls(image) == pytest.approx(plls_by_definition(image), abs=1e-9)


def test_equals_the_reference_on_real_images(shared_dir: Path) -> None:
    errors = [abs(plls(image) - reference) for _, image, reference in reference_images(shared_dir)]
    assert len(errors) == 62
    assert max(errors) <= 1e-6


@pytest.mark.parametrize("seed", range(3))
def test_falls_with_blur(seed: int) -> None:
    slopes = [plls(spots(seed, blur_px=blur_px)) for blur_px in (0, 0.7, 1, 1.5, 2, 3, 4)]
    assert all(sharper > softer for sharper, softer in pairwise(slopes))


def test_falls_with_blur_in_real_series(shared_dir: Path) -> None:
    series: dict[str, list[tuple[int, float]]] = {}
    for row, image, _ in reference_images(shared_dir):
        if row["series"]:
            rank = int(row["rank_sharpest_first"])
            series.setdefault(row["series"], []).append((rank, plls(image)))
    assert len(series) == 3
    for ranked in series.values():
        slopes = [slope for _, slope in sorted(ranked)]
        assert all(sharper > softer for sharper, softer in pairwise(slopes))


def test_is_the_same_after_a_transpose_or_half_a_turn_but_not_in_a_mirror() -> None:
    image = spots(2, (120, 150))
    assert plls(image.T) == pytest.approx(plls(image), abs=1e-12)
    assert plls(image[::-1, ::-1]) == pytest.approx(plls(image), abs=1e-9)
    assert abs(plls(image[::-1]) - plls(image)) > 1e-4


@pytest.mark.parametrize(("gain", "offset"), [(7, 100), (-1, 4000), (1e-6, 0), (1e303, 0), (1, 1e6)])
def test_gain_and_offset_do_not_matter(gain: float, offset: float) -> None:
    image = spots(3)
    assert plls(image * gain + offset) == pytest.approx(plls(image), abs=1e-8)


@pytest.mark.parametrize("dtype", ["uint8", "int16", ">u2", "int32", "uint64", "float16", ">f4"])
def test_takes_any_real_dtype(dtype: str) -> None:
    image = np.rint(spots(4) / 50)
    assert plls(image.astype(dtype)) == pytest.approx(plls(image), abs=1e-7)


def test_takes_two_levels_and_views() -> None:
    image = spots(4) > 500
    assert plls(image) == pytest.approx(plls(image.astype(float)), abs=1e-7)
    assert plls(image[::2, ::2]) == plls(image[::2, ::2].copy())


def test_noise_scores_above_any_specimen() -> None:
    assert 0.9 < plls(noise(0)) < 1.1


def test_leaves_the_image_as_it_was() -> None:
    image = spots(5)
    before = image.copy()
    plls(image)
    np.testing.assert_array_equal(image, before)


def _with(value: float) -> NDArray[np.float64]:
    image = spots(6)
    image[3, 4] = value
    return image


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (np.full((64, 64), 777, np.uint16), "same value"),
        (np.full((64, 64), 0.1), "same value"),
        (_with(np.nan), "1 of 65536 pixels are NaN or infinite"),
        (_with(np.inf), "NaN or infinite"),
        (_with(-np.inf), "NaN or infinite"),
        (spots(6, (31, 500)), "31 x 500 pixels"),
        (np.ones((1, 1)), "1 x 1 pixels"),
        (np.zeros((0, 5)), "no pixels"),
        (np.indices((64, 64)).sum(axis=0) % 2, "test pattern"),
    ],
)
def test_is_undefined_never_zero(image: NDArray[Any], reason: str) -> None:
    with pytest.raises(UndefinedFeatureError, match=reason):
        plls(image)


def test_one_pixel_that_differs_is_enough() -> None:
    image = np.full((640, 96), 500, np.uint16)
    image[33, 7] += 1  # in none of the rows that are looked at first
    assert plls(image) == pytest.approx(plls(image.astype(float)), abs=1e-6)


@pytest.mark.parametrize("image", [np.zeros((9, 64, 64)), np.zeros((64, 64), complex)])
def test_refuses_what_is_no_plane(image: NDArray[Any]) -> None:
    with pytest.raises(ValueError, match="one plane"):
        plls(image)
