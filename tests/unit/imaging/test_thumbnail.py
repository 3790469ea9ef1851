"""Thumbnails are small, and show dim fields."""

import io
from typing import Any

import numpy as np
import PIL.Image
import pytest
from numpy.typing import NDArray

from haste_workers.imaging.thumbnail import bounded_jpeg, thumbnail_jpeg


def drawn(plane: NDArray[Any], size_px: int) -> NDArray[np.uint8]:
    with PIL.Image.open(io.BytesIO(thumbnail_jpeg(plane, size_px))) as picture:
        assert picture.format == "JPEG"
        assert picture.mode == "L"
        return np.asarray(picture)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((1040, 1392), (120, 160)), ((1392, 1040), (160, 120)), ((90, 70), (90, 70)), ((1, 500), (1, 160))],
)
def test_the_longer_side_is_as_asked(shape: tuple[int, int], expected: tuple[int, int]) -> None:
    assert drawn(np.zeros(shape, np.uint16), 160).shape == expected


def test_a_dim_field_is_stretched() -> None:
    plane = np.random.default_rng(0).normal(100, 1, (400, 400))
    plane[:200] += 40
    plane[5, 5] = 65_000
    picture = drawn(plane.astype(np.uint16), 100).astype(int)
    assert picture[5:45].mean() - picture[55:95].mean() > 150


@pytest.mark.parametrize("plane", [np.full((64, 64), np.nan), np.full((64, 64), 7.0), np.eye(64) > 0])
def test_any_plane_can_be_drawn(plane: NDArray[Any]) -> None:
    assert drawn(plane, 32).shape == (32, 32)


def test_a_picture_is_as_good_as_its_bytes_allow() -> None:
    noise = np.random.default_rng(0).integers(0, 65_535, (256, 256)).astype(np.uint16)
    smooth = np.add.outer(np.arange(256), np.arange(256)).astype(np.uint16)

    limits = (20_000, 7000, 5000, 100)
    sizes = [len(bounded_jpeg(noise, 128, max_bytes=most) or b"") for most in limits]

    assert all(size <= most for size, most in zip(sizes, limits, strict=True))
    assert sizes[0] > 7000 >= sizes[1] > 5000 >= sizes[2] > 1000
    assert sizes[3] == 0
    assert len(bounded_jpeg(smooth, 128, max_bytes=8192) or b"") < 2500
