"""Flood fill does what a plain flood fill does, only faster."""

import time
import timeit
from collections import deque
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from haste_apps.simulate import tem_tile
from haste_core.operators import Floodfill, Operator, Recompress, floodfill


def plain_floodfill(image: NDArray[Any], threshold: float) -> NDArray[Any]:
    """Walk from every dark pixel of the border to its dark neighbours."""
    height, width = image.shape
    filled = image.copy()
    on_border = {(i, j) for i in range(height) for j in range(width) if i in (0, height - 1)}
    on_border |= {(i, j) for i in range(height) for j in (0, width - 1)}
    waiting = deque(place for place in on_border if image[place] < threshold)
    seen = set(waiting)
    while waiting:
        i, j = waiting.popleft()
        filled[i, j] = 0
        for place in ((i - 1, j), (i + 1, j), (i, j - 1), (i, j + 1)):
            inside = 0 <= place[0] < height and 0 <= place[1] < width
            if inside and place not in seen and image[place] < threshold:
                seen.add(place)
                waiting.append(place)
    return filled


@settings(deadline=None)
@given(
    image=arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=12), elements=st.integers(0, 60)),
    threshold=st.integers(0, 61),
)
def test_equals_a_plain_flood_fill(image: NDArray[np.uint8], threshold: int) -> None:
    np.testing.assert_array_equal(floodfill(image, threshold), plain_floodfill(image, threshold))


def test_is_fifteen_times_as_fast_as_a_plain_flood_fill() -> None:
    tile = tem_tile(np.random.default_rng(0), (400, 500), progress=0)
    assert 0.05 < (floodfill(tile) == 0).mean() < 0.3
    plain_s, ours_s = (
        min(timeit.repeat(partial(fill, tile, 30), number=1, repeat=repeat, timer=time.process_time))
        for fill, repeat in ((plain_floodfill, 2), (floodfill, 9))
    )
    assert plain_s > 15 * ours_s
    np.testing.assert_array_equal(floodfill(tile, 30), plain_floodfill(tile, 30))


def test_dark_pixels_inside_stay() -> None:
    image = np.full((5, 5), 10, np.uint8)
    image[1:4, 1:4] = 200
    image[2, 2] = 7
    filled = floodfill(image, 30)
    assert filled[2, 2] == 7
    assert filled.sum() == 8 * 200 + 7
    assert image[0, 0] == 10


def test_corners_do_not_connect() -> None:
    image = np.array([[9, 200, 200], [200, 9, 200], [200, 200, 200]], np.uint8)
    np.testing.assert_array_equal(floodfill(image, 30)[:2, :2], [[0, 200], [200, 9]])


def test_a_threshold_of_8_bits_fits_16_bits() -> None:
    image = np.random.default_rng(0).integers(0, 60, (20, 20)).astype(np.uint8)
    deep = image.astype(np.uint16) * 257
    np.testing.assert_array_equal(floodfill(deep, 30), floodfill(image, 30).astype(np.uint16) * 257)
    np.testing.assert_array_equal(floodfill(deep, 30 * 257, bit_depth=16), floodfill(deep, 30))


@pytest.mark.parametrize("image", [np.zeros((4, 4)), np.zeros((4, 4), np.int16), np.zeros((2, 4, 4), "u1")])
def test_refuses_what_has_no_grey_levels(image: NDArray[Any]) -> None:
    with pytest.raises(ValueError, match="unsigned grey levels"):
        floodfill(image)


@pytest.mark.parametrize(("threshold", "bit_depth"), [(-1, 8), (256, 8), (3, 0), (3, 33)])
def test_refuses_a_threshold_off_the_scale(threshold: float, bit_depth: int) -> None:
    with pytest.raises(ValueError, match="between"):
        floodfill(np.zeros((4, 4), np.uint8), threshold, bit_depth=bit_depth)


def test_operators_say_what_they_are() -> None:
    image = np.full((4, 4), 12, np.uint8)
    lossy: Operator = Floodfill(threshold=20)
    lossless: Operator = Recompress()
    assert not lossy.lossless
    assert lossy.parameters == {"threshold": 20, "bit_depth": 8}
    assert lossy.description == "floodfill(threshold=20, bit_depth=8)"
    assert lossy.apply(image).sum() == 0
    assert lossless.lossless
    assert (lossless.description, lossless.parameters) == ("recompress", {})
    np.testing.assert_array_equal(lossless.apply(image), image)
