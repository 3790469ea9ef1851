"""Planes that lie in a file one behind the other, as they are."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import Any, BinaryIO

import numpy as np

from haste_workers.imaging.image import (
    Metadata,
    Pixels,
    Plane,
    Position,
    UnreadableImageError,
    check_count,
    declared_bytes,
)

_MAX_PLANES = 100_000
"""A tomogram or a series has thousands of planes; what has more is 4D-STEM, or a damaged header."""


def uncompressed_planes(
    file: BinaryIO,
    *,
    offset: int,
    shape: tuple[int, int, int],
    dtype: np.dtype[Any],
    position_of: Callable[[int], Position],
    metadata_of: Callable[[int], Metadata],
) -> tuple[Plane, ...]:
    """List the planes of a block of pixels, each to be read when it is decoded.

    They are read, not mapped: a mapped file that is cut off, or whose drive goes away, ends the process.

    Parameters
    ----------
    file : binary file
        On disk, open for as long as planes are decoded.
    offset : int
        Of the first pixel, in bytes.
    shape : (K, M, N)
        Planes, rows, columns, as the header declares them.
    dtype : numpy.dtype
        With the file's byte order.
    position_of, metadata_of : callable
        Of a plane, by its number from 0.

    Returns
    -------
    tuple of Plane
        Decoded to arrays of their own, in the machine's byte order.

    Raises
    ------
    UnreadableImageError
        The file ends before the pixels do, or the header declares no pixels, or impossibly many planes.
    """
    count, height, width = shape
    if min(shape) < 1:
        raise UnreadableImageError(
            "its header declares an image without pixels; was the file still being written?"
        )
    plane_bytes = declared_bytes((height, width), dtype)
    end, file_bytes = offset + count * plane_bytes, file.seek(0, os.SEEK_END)
    if end > file_bytes:
        raise UnreadableImageError(
            f"its header declares {count} plane(s) of {width} x {height} pixels, which end at byte {end}, "
            f"and the file at byte {file_bytes}; was the file still being written or copied?"
        )
    check_count(count, most=_MAX_PLANES)

    def decode(number: int) -> Pixels:
        file.seek(offset + number * plane_bytes)
        stored: Pixels = np.fromfile(file, dtype, count=height * width)
        return stored.reshape(height, width).astype(dtype.newbyteorder("="), copy=False)

    return tuple(
        Plane(
            decode=partial(decode, number),
            decoded_bytes=plane_bytes,
            stored_bytes=plane_bytes,
            position=position_of(number),
            metadata=metadata_of(number),
        )
        for number in range(count)
    )
