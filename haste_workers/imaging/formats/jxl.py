"""JPEG XL: one picture a file, in boxes or as a bare codestream."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np

from haste_workers.imaging.colour import luminance
from haste_workers.imaging.formats.jxl_header import JxlHeader, jxl_header
from haste_workers.imaging.image import OpenImage, Pixels, Plane, UnreadableImageError, declared_bytes
from haste_workers.imaging.jxl_boxes import boxes, decoded_jxl

_HEADER_BYTES = 8192
"""Of a codestream that are looked at: its header takes some 20, and may hold long names of channels."""


@contextmanager
def open_jxl(path: Path) -> Iterator[OpenImage]:
    """Open a JPEG XL file of any depth and colour; opacity is left out.

    Parameters
    ----------
    path : pathlib.Path

    Yields
    ------
    OpenImage
        Its plane raises an error when it is decoded if the file is cut off, and if preprocessing wrote the
        file also if a pixel is not what it was.

    Raises
    ------
    UnreadableImageError
        The file is an animation, or has no picture.
    """
    with path.open("rb") as file:
        header = jxl_header(_start_of_codestream(file))
        dtype = _dtype(header)
        plane = Plane(
            decode=lambda: _pixels(file, header),
            decoded_bytes=declared_bytes((header.height, header.width, header.channels), dtype),
            stored_bytes=file.seek(0, os.SEEK_END),
        )
        yield OpenImage(
            format="JPEG XL", dtype=str(dtype), bits=header.bits, colour=header.colour, planes=(plane,)
        )


def _start_of_codestream(file: BinaryIO) -> bytes:
    for kind, start, size in boxes(file):
        if kind in (b"jxlc", b"jxlp"):
            # A part of a codestream has its number before it.
            skipped = 4 if kind == b"jxlp" else 0
            file.seek(start + skipped)
            return file.read(min(_HEADER_BYTES, max(0, size - skipped)))
    file.seek(0)
    return file.read(_HEADER_BYTES)


def _dtype(header: JxlHeader) -> np.dtype[np.generic]:
    if header.floats:
        return np.dtype(np.float32 if header.bits > 16 else np.float16)
    if header.bits > 16:
        raise UnreadableImageError(f"a JPEG XL of {header.bits} bits is not read; export it with 16")
    return np.dtype(np.uint16 if header.bits > 8 else np.uint8)


def _pixels(file: BinaryIO, header: JxlHeader) -> Pixels:
    samples = decoded_jxl(file)
    if samples.size != header.width * header.height * header.channels:
        raise UnreadableImageError(f"its JPEG XL holds {samples.shape}, which its header does not declare")
    if samples.ndim == 2:
        return samples
    if header.colour:
        return luminance([samples[..., channel] for channel in range(3)])
    return samples[..., 0]
