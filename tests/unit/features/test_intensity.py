"""Grey levels: against computations by other ways."""

import statistics
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from haste_core.features import UndefinedFeatureError
from haste_core.features.intensity import (
    Intensity,
    background_fraction,
    intensity,
    otsu_threshold,
    percent_maximal,
    percent_minimal,
    saturated_fraction,
)
from tests.unit.features.fields import levels, spots

SMALL = arrays.arrays(np.uint8, arrays.array_shapes(min_dims=2, max_dims=2, max_side=6))
ALL = [intensity, percent_maximal, percent_minimal, otsu_threshold, background_fraction]


@given(SMALL)
def test_intensity_is_that_of_the_statistics_books(image: NDArray[np.uint8]) -> None:
    pixels = [int(level) for level in image.ravel()]
    median = statistics.median(pixels)
    assert vars(intensity(image)) == pytest.approx(
        vars(
            Intensity(
                total=sum(pixels),
                mean=statistics.fmean(pixels),
                median=median,
                std=statistics.pstdev(pixels),
                mad=statistics.median(abs(level - median) for level in pixels),
                minimum=min(pixels),
                maximum=max(pixels),
            )
        )
    )


@given(SMALL)
def test_percentages_at_the_extremes_are_of_the_images_own(image: NDArray[np.uint8]) -> None:
    pixels = image.ravel().tolist()
    assert percent_maximal(image) == pytest.approx(100 * pixels.count(max(pixels)) / len(pixels))
    assert percent_minimal(image) == pytest.approx(100 * pixels.count(min(pixels)) / len(pixels))


def test_saturation_is_at_the_detectors_full_scale() -> None:
    image = np.array([[0, 4094, 4095, 65535]], np.uint16)
    assert saturated_fraction(image, bits=12) == 0.5
    assert saturated_fraction(image, bits=16) == 0.25
    assert saturated_fraction(image // 2, bits=12) == 0.25
    assert saturated_fraction(np.array([[True, False]]), bits=1) == 0.5
    with pytest.raises(ValueError, match="at least 1 bit"):
        saturated_fraction(image, bits=0)
    with pytest.raises(UndefinedFeatureError, match="integer"):
        saturated_fraction(image / 65535, bits=16)


def otsu_by_trying(image: NDArray[Any]) -> float:
    """Try each level of an image as the threshold."""

    def between(threshold: float) -> float:
        dark, bright = image[image <= threshold].astype(float), image[image > threshold].astype(float)
        return float(dark.size * bright.size * (bright.mean() - dark.mean()) ** 2)

    candidates = np.unique(image)[:-1]
    return float(max(candidates, key=between)) if candidates.size else float(image.flat[0])


@given(SMALL)
def test_otsu_parts_best(image: NDArray[np.uint8]) -> None:
    threshold = otsu_threshold(image)
    if image.min() == image.max():
        assert threshold == image.min()
        return
    expected = otsu_by_trying(image)
    if threshold != expected:  # of two that part equally well, rounding may choose either
        parted = [(image <= level).mean() for level in (threshold, expected)]
        means = [abs(image[image > t].mean() - image[image <= t].mean()) for t in (threshold, expected)]
        merit = [share * (1 - share) * mean**2 for share, mean in zip(parted, means, strict=True)]
        assert merit[0] == pytest.approx(merit[1])


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.uint32, np.float32, np.float64])
def test_otsu_finds_the_gap_between_specimen_and_background(dtype: type) -> None:
    rng = np.random.default_rng(1)
    image = np.where(np.arange(10_000) % 4 == 0, rng.normal(60, 5, 10_000), rng.normal(200, 10, 10_000))
    plane = image.clip(0, 255).reshape(100, 100).astype(dtype)
    assert 70 < otsu_threshold(plane) < 165
    assert background_fraction(plane) == 0.75


def test_otsu_takes_levels_below_zero_and_wide_ranges() -> None:
    image = np.array([[-30000, -29999, 30000, 29999]], np.int16)
    assert otsu_threshold(image) == -29999
    assert background_fraction(image) == 0.5
    wide = np.array([[0, 1, 4_000_000_000, 4_000_000_001]], np.uint32)
    assert 1 <= otsu_threshold(wide) < 4_000_000_000


def test_a_camera_image_has_a_saturated_share_only_where_it_is_saturated() -> None:
    image = levels(spots(1))
    image[:2] = 4095
    assert saturated_fraction(image, bits=12) == pytest.approx(2 / 256, abs=1e-3)
    assert saturated_fraction(image, bits=16) == 0


@pytest.mark.parametrize("measure", ALL)
@pytest.mark.parametrize(
    ("image", "reason"), [(np.zeros((0, 4)), "no pixels"), (np.array([[1, np.nan]]), "NaN or infinite")]
)
def test_undefined_is_a_reason(measure: Any, image: NDArray[Any], reason: str) -> None:
    with pytest.raises(UndefinedFeatureError, match=reason):
        measure(image)


def test_sums_beyond_all_numbers_are_undefined() -> None:
    with pytest.raises(UndefinedFeatureError, match="cannot be summed"):
        intensity(np.full((4, 4), 1e308))


@given(st.sampled_from(ALL))
def test_what_is_no_plane_is_an_error(measure: Any) -> None:
    with pytest.raises(ValueError, match="one plane"):
        measure(np.ones((3, 4, 4)))
