"""PNG and JPEG: one picture a file, by Pillow, which reads some PNGs with too few bits."""

from __future__ import annotations

import os
import struct
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO

import imagecodecs
import numpy as np
import PIL.Image

from haste_workers.imaging.colour import luminance
from haste_workers.imaging.image import (
    OpenImage,
    Pixels,
    Plane,
    UnreadableImageError,
    declared_bytes,
)

_PIXEL_BYTES = {"1": 1, "L": 1, "P": 1, "I;16": 2}
"""Of a decoded pixel, by Pillow's mode; all others take 4."""

_GREY_PNG = 0  # colour type

_GREY_DTYPES = {"1": "bool", "L": "uint8", "LA": "uint8", "I;16": "uint16", "I": "int32"}


@contextmanager
def open_png(path: Path) -> Iterator[OpenImage]:
    """Open a PNG of any depth and colour type; opacity is left out.

    Parameters
    ----------
    path : pathlib.Path

    Yields
    ------
    OpenImage
        Its plane raises `UnreadableImageError` when it is decoded if a checksum is wrong.

    Raises
    ------
    UnreadableImageError
        The file is an animation.
    """
    with path.open("rb") as file:
        bits, colour_type = _png_kind(file)
        deep_colour = bits == 16 and colour_type != _GREY_PNG

        def decode() -> Pixels:
            file.seek(0)
            # Pillow decodes without looking at the checksums; this reads and checks every chunk.
            with _opened(file, "PNG") as picture:
                picture.verify()
            file.seek(0)
            return _deep_png(file) if deep_colour else _pixels(file, "PNG")

        yield _open_picture(file, "PNG", decode, bits=bits, deep=deep_colour)


@contextmanager
def open_jpeg(path: Path) -> Iterator[OpenImage]:
    """Open a JPEG.

    Parameters
    ----------
    path : pathlib.Path

    Yields
    ------
    OpenImage
        Its plane raises an error when it is decoded if the file is cut off.

    Raises
    ------
    UnreadableImageError
        The file holds several pictures.
    """
    with path.open("rb") as file:
        yield _open_picture(file, "JPEG", partial(_pixels, file, "JPEG"), bits=8)


def _open_picture(
    file: BinaryIO, name: str, decode: Callable[[], Pixels], *, bits: int, deep: bool = False
) -> OpenImage:
    file.seek(0)
    with _opened(file, name) as picture:
        mode, (width, height) = picture.mode, picture.size
    pixel_bytes = 8 if deep else _PIXEL_BYTES.get(mode, 4)
    plane = Plane(
        decode=decode,
        decoded_bytes=declared_bytes((height, width, pixel_bytes), np.dtype(np.uint8)),
        stored_bytes=file.seek(0, os.SEEK_END),
    )
    return OpenImage(
        format=name,
        dtype="uint16" if deep else _GREY_DTYPES.get(mode, "uint8"),
        bits=bits,
        colour=mode not in _GREY_DTYPES,
        planes=(plane,),
    )


@contextmanager
def _opened(file: BinaryIO, name: str) -> Iterator[PIL.Image.Image]:
    """Let Pillow read a file's header.

    The project's own limits take the place of Pillow's limit on pixels, which knows no bytes. What Pillow
    warns of besides is converted here, or harmless.
    """
    pillows = PIL.Image.MAX_IMAGE_PIXELS
    PIL.Image.MAX_IMAGE_PIXELS = None
    try:
        with warnings.catch_warnings(action="ignore"), PIL.Image.open(file, formats=[name]) as picture:
            if getattr(picture, "n_frames", 1) > 1:
                raise UnreadableImageError(
                    f"the {name} holds several pictures; export them as single files or as a TIFF stack"
                )
            yield picture
    finally:
        PIL.Image.MAX_IMAGE_PIXELS = pillows


def _pixels(file: BinaryIO, name: str) -> Pixels:
    file.seek(0)
    with _opened(file, name) as picture:
        if picture.mode == "LA":
            return np.asarray(picture)[..., 0]
        if picture.mode in _GREY_DTYPES:
            return np.asarray(picture)
        rgb = np.asarray(picture.convert("RGB"))
    return luminance([rgb[..., channel] for channel in range(3)])


def _png_kind(file: BinaryIO) -> tuple[int, int]:
    """Return bits a sample and colour type (0 grey, 2 RGB, 3 palette, 4 grey + alpha, 6 RGBA)."""
    bits, colour_type = struct.unpack("BB", file.read(26)[24:])
    return int(bits), int(colour_type)


def _deep_png(file: BinaryIO) -> Pixels:
    """Decode 16-bit colour, or grey with opacity, which Pillow would silently read as 8 bits."""
    samples: Pixels = imagecodecs.png_decode(file.read())
    if samples.shape[2] >= 3:
        return luminance([samples[..., channel] for channel in range(3)])
    return samples[..., 0]
