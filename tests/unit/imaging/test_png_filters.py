"""A PNG's lines, filtered and packed, are what every reader takes them for."""

import io
from typing import Any

import imagecodecs
import numpy as np
import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from haste_apps.simulate import tem_tile
from haste_workers.imaging.packing import Packing
from haste_workers.imaging.png_chunks import png_chunks, unpacked_lines
from haste_workers.imaging.png_rewriting import png_of
from tests.unit.imaging.pictures import png_bytes

shapes = st.tuples(st.integers(1, 40), st.integers(1, 9), st.integers(1, 4))


def repacked(pixels: NDArray[Any], packing: Packing | None = None) -> bytes:
    """Write pixels in the place of an empty picture of the same size."""
    empty = bytes(imagecodecs.png_encode(np.zeros_like(pixels), level=1))
    return png_of(pixels, png_chunks(empty), packing or Packing())


@settings(deadline=None)
@given(
    pixels=shapes.flatmap(
        lambda shape: st.sampled_from(["u1", "u2"]).flatmap(lambda dtype: arrays(dtype, shape))
    )
)
def test_a_reader_finds_the_pixels(pixels: NDArray[Any]) -> None:
    pixels = pixels[..., 0] if pixels.shape[2] == 1 else pixels
    np.testing.assert_array_equal(imagecodecs.png_decode(repacked(pixels)).reshape(pixels.shape), pixels)


@pytest.mark.parametrize(
    ("pixels", "chosen"),
    [
        (np.tile(np.random.default_rng(0).integers(0, 256, (1, 300)), (200, 1)), 2),
        (np.cumsum(np.random.default_rng(0).integers(0, 4, (200, 300)), axis=1) % 256, 1),
        (np.random.default_rng(0).normal(100, 7, (200, 300)), 0),
        (tem_tile(np.random.default_rng(0), (200, 300), progress=0), 3),
    ],
    ids=["columns", "rows", "noise alone", "noise on something"],
)
def test_each_picture_gets_its_filter(pixels: NDArray[Any], chosen: int) -> None:
    lines = unpacked_lines(png_chunks(repacked(pixels.astype(np.uint8))))
    assert set(lines[:: pixels.shape[1] + 1]) == {chosen}


def test_a_tem_tile_by_the_fast_codec_is_no_larger_than_by_pillow() -> None:
    tile = tem_tile(np.random.default_rng(0), (400, 500), progress=0)
    fast = repacked(tile)
    assert len(fast) < 1.02 * len(png_bytes(tile, compress_level=7))
    assert len(repacked(tile, Packing(effort="small"))) < len(fast)
    with PIL.Image.open(io.BytesIO(fast)) as picture:
        np.testing.assert_array_equal(np.asarray(picture), tile)
