"""Generated images and files, for tests of reading and writing."""

import io
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import tifffile
from numpy.typing import NDArray
from PIL.PngImagePlugin import PngInfo

from haste_workers.imaging.read import open_image


def field(seed: int = 0, shape: tuple[int, ...] = (96, 80), dtype: str = "uint16") -> NDArray[Any]:
    """Return a textured image over all of an integer dtype's lower levels."""
    rng = np.random.default_rng(seed)
    highest = min(np.iinfo(dtype).max, 4000)
    smooth = np.add.outer(*(np.sin(np.arange(n) / 9) for n in shape[-2:]))
    levels = (smooth + 2) / 4 * highest * 0.8 + rng.normal(0, highest / 60, shape)
    return np.clip(levels, 0, highest).astype(dtype)


def tiff_bytes(*pages: NDArray[Any], **options: Any) -> bytes:
    """Write pages as a TIFF, each with its own strips."""
    file = io.BytesIO()
    container = {name: options.pop(name) for name in ("bigtiff", "byteorder") if name in options}
    with tifffile.TiffWriter(file, **container) as writer:
        for page in pages:
            given = {"photometric": "minisblack", "metadata": None, "contiguous": False, **options}
            writer.write(page, **given)
    return file.getvalue()


def png_bytes(pixels: NDArray[Any], *, text: str | None = None, **options: Any) -> bytes:
    """Write a PNG by Pillow, with a text chunk if one is given."""
    file = io.BytesIO()
    info = PngInfo()
    if text is not None:
        info.add_text("Description", text)
    PIL.Image.fromarray(pixels).save(file, "PNG", pnginfo=info, **options)
    return file.getvalue()


def jpeg_bytes(pixels: NDArray[Any], **options: Any) -> bytes:
    """Write a JPEG by Pillow."""
    file = io.BytesIO()
    PIL.Image.fromarray(pixels).save(file, "JPEG", **options)
    return file.getvalue()


def bare_tiff(tags: Sequence[tuple[int, int, int]], data: bytes = b"", *, next_page: int = 0) -> bytes:
    """Write a little-endian TIFF of one page from (tag, type, value); data follow at 200."""
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    head = b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + struct.pack("<I", next_page)
    return head.ljust(200, b"\0") + data


def page_tags(
    width: int, height: int, size_bytes: int, *, compression: int = 1
) -> list[tuple[int, int, int]]:
    """Return the tags of a 16-bit grey page of one strip at 200."""
    return [
        (256, 4, width),
        (257, 4, height),
        (258, 3, 16),
        (259, 3, compression),
        (262, 3, 1),
        (273, 4, 200),
        (277, 3, 1),
        (278, 4, height),
        (279, 4, size_bytes),
    ]


def bare_png(width: int, height: int, lines: bytes, *, bits: int = 8, colour_type: int = 0) -> bytes:
    """Write a PNG whose header may claim anything."""
    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(lines)), (b"IEND", b"")]
    chunks = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def planes_of(path: Path) -> NDArray[Any]:
    """Decode all planes of a file."""
    with open_image(path) as image:
        return np.stack([plane.decode() for plane in image.planes])
