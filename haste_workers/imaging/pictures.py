"""PNG and JPEG: one picture a file, by Pillow, which reads some PNGs with too few bits."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import imagecodecs
import numpy as np
import PIL.Image

from haste_workers.imaging.colour import luminance
from haste_workers.imaging.image import (
    Image,
    Planes,
    UnreadableImageError,
    check_size,
)

_PIXEL_BYTES = {"1": 1, "L": 1, "P": 1, "I;16": 2}
"""Of a decoded pixel, by Pillow's mode; all others take 4."""

_GREY_DTYPES = {"1": "bool", "L": "uint8", "LA": "uint8", "I;16": "uint16", "I": "int32"}


def read_png(file: BinaryIO, *, max_bytes: int) -> Image:
    """Read a PNG of any depth and colour type; opacity is left out.

    Parameters
    ----------
    file : binary file, seekable
    max_bytes : int
        Limit of the decoded size.

    Returns
    -------
    Image

    Raises
    ------
    UnreadableImageError
        A checksum is wrong, or the file is an animation.
    ImageTooLargeError
        The decoded picture exceeds `max_bytes`.
    """
    bits, colour_type = _png_kind(file)
    with _own_limits(), _opened(file, "PNG", max_bytes=max_bytes) as picture:
        # Pillow decodes without looking at the checksums; this reads and checks every chunk.
        picture.verify()
    file.seek(0)
    if bits == 16 and colour_type != 0:
        return _deep_png(file, max_bytes=max_bytes)
    with _own_limits(), _opened(file, "PNG", max_bytes=max_bytes) as picture:
        return _converted(picture, bits=bits)


def read_jpeg(file: BinaryIO, *, max_bytes: int) -> Image:
    """Read a JPEG.

    Parameters
    ----------
    file : binary file, seekable
    max_bytes : int
        Limit of the decoded size.

    Returns
    -------
    Image

    Raises
    ------
    UnreadableImageError
        The file is cut off, or holds several pictures.
    ImageTooLargeError
        The decoded picture exceeds `max_bytes`.
    """
    with _own_limits(), _opened(file, "JPEG", max_bytes=max_bytes) as picture:
        return _converted(picture, bits=8)


@contextmanager
def _own_limits() -> Iterator[None]:
    """Put `check_size` in the place of Pillow's limit on pixels, which knows no bytes.

    What Pillow warns of besides is converted here, or harmless.
    """
    pillows = PIL.Image.MAX_IMAGE_PIXELS
    PIL.Image.MAX_IMAGE_PIXELS = None
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        PIL.Image.MAX_IMAGE_PIXELS = pillows


def _opened(file: BinaryIO, name: str, *, max_bytes: int) -> PIL.Image.Image:
    picture = PIL.Image.open(file, formats=[name])
    if getattr(picture, "n_frames", 1) > 1:
        raise UnreadableImageError(
            f"the {name} holds several pictures; export them as single files or as a TIFF stack"
        )
    width, height = picture.size
    pixel_bytes = _PIXEL_BYTES.get(picture.mode, 4)
    check_size((height, width, pixel_bytes), np.dtype(np.uint8), max_bytes=max_bytes)
    return picture


def _converted(picture: PIL.Image.Image, *, bits: int) -> Image:
    colour = picture.mode not in _GREY_DTYPES
    if picture.mode == "LA":
        planes: Planes = np.asarray(picture)[None, ..., 0]
    elif colour:
        rgb = np.asarray(picture.convert("RGB"))
        planes = luminance([rgb[None, ..., channel] for channel in range(3)])
    else:
        planes = np.asarray(picture)[None]
    dtype = _GREY_DTYPES.get(picture.mode, "uint8")
    return Image(planes=planes, format=str(picture.format), dtype=dtype, bits=bits, colour=colour)


def _png_kind(file: BinaryIO) -> tuple[int, int]:
    """Return bits a sample and colour type (0 grey, 2 RGB, 3 palette, 4 grey + alpha, 6 RGBA)."""
    bits, colour_type = struct.unpack("BB", file.read(26)[24:])
    file.seek(0)
    return int(bits), int(colour_type)


def _deep_png(file: BinaryIO, *, max_bytes: int) -> Image:
    """Decode 16-bit colour, which Pillow would silently read as 8 bits."""
    header = file.read(24)
    width, height = struct.unpack(">II", header[16:24])
    check_size((height, width, 4), np.dtype(np.uint16), max_bytes=max_bytes)
    pixels: Planes = imagecodecs.png_decode(header + file.read())
    colour = pixels.ndim == 3 and pixels.shape[2] >= 3
    if colour:
        planes = luminance([pixels[None, ..., channel] for channel in range(3)])
    else:
        planes = pixels[None, ..., 0]
    return Image(planes=planes, format="PNG", dtype="uint16", bits=16, colour=colour)
