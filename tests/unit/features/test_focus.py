"""Contrast and texture: against computations by other ways."""

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from haste_core.features import UndefinedFeatureError
from haste_core.features.focus import correlation, focus_score, local_focus_score
from tests.unit.features.fields import levels, spots


def test_focus_score_is_variance_over_mean() -> None:
    assert focus_score(np.array([[1, 2], [3, 6]], np.uint8)) == pytest.approx(3.5 / 3)
    assert focus_score(np.full((5, 7), 9)) == 0


def test_focus_score_falls_with_blur() -> None:
    scores = [focus_score(spots(1, blur_px=blur_px)) for blur_px in (0, 1, 2, 4)]
    assert all(sharper > softer for sharper, softer in pairwise(scores))


def local_focus_score_by_labels(image: NDArray[Any], scale: int) -> float:
    """Compute it tile by tile, from the tile of each pixel."""
    tiles = [math.ceil(side / scale) for side in image.shape]
    row, column = (np.arange(side) * count // side for side, count in zip(image.shape, tiles, strict=True))
    label = row[:, None] * tiles[1] + column
    index = np.arange(tiles[0] * tiles[1])
    contrast = ndimage.variance(image, label, index) / ndimage.mean(image, label, index)
    return float(np.var(contrast) / np.median(contrast))


@pytest.mark.parametrize(
    ("shape", "scale"), [((100, 100), 20), ((101, 87), 20), ((64, 200), 7), ((33, 31), 50)]
)
@pytest.mark.parametrize("offset", [0, 40_000])
def test_local_focus_score_is_that_of_tiles(shape: tuple[int, int], scale: int, offset: int) -> None:
    image = levels(spots(2, shape) + offset)
    expected = local_focus_score_by_labels(image.astype(float), scale)
    assert local_focus_score(image, scale=scale) == pytest.approx(expected, rel=1e-9)


def correlation_by_pairs(image: NDArray[Any], scale: int) -> float:
    """Correlate the pairs of pixels themselves."""
    stretched = (image - image.min()) / (image.max() - image.min())
    level = np.clip(stretched // 0.125, 0, 7)
    return float(np.corrcoef(level[:, :-scale].ravel(), level[:, scale:].ravel())[0, 1])


@pytest.mark.parametrize("scale", [1, 5, 20])
@pytest.mark.parametrize("blur_px", [0, 3])
def test_correlation_is_that_of_pairs_of_pixels(scale: int, blur_px: float) -> None:
    image = spots(3, (120, 90), blur_px=blur_px)
    assert correlation(image, scale=scale) == pytest.approx(correlation_by_pairs(image, scale), abs=1e-12)


def test_correlation_does_not_know_gain_and_offset() -> None:
    image = levels(spots(3))
    assert correlation(image.astype(float) * -3 + 7) == pytest.approx(correlation(image), abs=0.05)
    assert correlation(image.astype(float) * 4 + 7) == correlation(image)


@pytest.mark.parametrize(
    ("measure", "image", "reason"),
    [
        (focus_score, np.zeros((8, 8)), "levels above 0"),
        (focus_score, np.full((8, 8), -2.0), "levels above 0"),
        (focus_score, np.array([[1.0, np.nan]]), "NaN"),
        (focus_score, np.array([[0.0, 1e300]]), "cannot be summed"),
        (local_focus_score, np.full((64, 64), 3), "tiles have contrast"),
        (local_focus_score, np.zeros((64, 64)), "tiles have contrast"),
        (local_focus_score, np.zeros((0, 3)), "no pixels"),
        (correlation, np.full((64, 64), 3), "no texture"),
        (correlation, spots(1, (64, 20)), "20 pixels wide"),
        (correlation, np.repeat([[1.0] * 20 + [0.0] * 20], 4, axis=0), "too uniform"),
        (correlation, np.full((64, 64), np.inf), "infinite"),
    ],
)
def test_undefined_is_a_reason_never_zero(measure: Any, image: NDArray[Any], reason: str) -> None:
    with pytest.raises(UndefinedFeatureError, match=reason):
        measure(image)


@pytest.mark.parametrize("measure", [focus_score, local_focus_score, correlation])
def test_what_is_no_plane_is_an_error(measure: Any) -> None:
    with pytest.raises(ValueError, match="one plane"):
        measure(np.ones((3, 64, 64)))


@pytest.mark.parametrize("measure", [local_focus_score, correlation])
def test_a_scale_has_at_least_a_pixel(measure: Any) -> None:
    with pytest.raises(ValueError, match="at least 1 pixel"):
        measure(spots(1), scale=0)
