"""PNG written anew: as a PNG that is packed better, or as JPEG XL that keeps its chunks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import imagecodecs
import numpy as np

from haste_core.errors import BadInputError
from haste_workers.imaging.image import Pixels, UnreadableImageError, check_size
from haste_workers.imaging.jxl_boxes import SIGNATURE, Samples, jxl_file, paying_efforts
from haste_workers.imaging.packing import Packing
from haste_workers.imaging.png_chunks import (
    DATA,
    Chunk,
    PngHeader,
    png_chunks,
    png_file,
    png_header,
    unpacked_lines,
    with_packed,
)
from haste_workers.imaging.png_filters import deflated, packed_lines

PlaneChange: TypeAlias = Callable[[Pixels], Pixels]
"""What becomes of a grey plane."""

_TRANSPARENT = b"tRNS"
"""Makes a decoder add a channel of opacity, which is not among the samples."""


def rewrite_png(
    source: Path,
    target: Path,
    packing: Packing,
    *,
    max_bytes: int,
    change: PlaneChange | None = None,
    note: str | None = None,
) -> bool:
    """Write a PNG's picture with another codec or better packed; every other chunk stays.

    Parameters
    ----------
    source : pathlib.Path
    target : pathlib.Path
        Is a JPEG XL file if `packing` says so, and the picture is no palette, not interlaced and of 8 or 16
        bits; a PNG otherwise.
    packing : Packing
    max_bytes : int
        Limit of the decoded size.
    change : callable, optional
        Applied to the grey levels.
    note : str, optional
        Added as a description, before all others.

    Returns
    -------
    bool
        Whether `target` holds the picture (as changed), read back and compared.

    Raises
    ------
    BadInputError
        `change` is given, and the picture is none of 8 or 16 bits of grey.
    UnreadableImageError
        The source is damaged, or an animation.
    ImageTooLargeError, ImageBombError
        It exceeds the limit when decoded, or unpacks out of all proportion.
    """
    encoded, picture = encoded_png(
        source.read_bytes(), packing, max_bytes=max_bytes, change=change, note=note
    )
    target.write_bytes(encoded)
    return np.array_equal(_read_back(target), picture)


def encoded_png(
    content: bytes,
    packing: Packing,
    *,
    max_bytes: int,
    change: PlaneChange | None = None,
    note: str | None = None,
) -> tuple[bytes, Samples]:
    """Read a PNG and encode it anew, as `rewrite_png` does.

    Parameters
    ----------
    content : bytes
        A whole PNG file.
    packing, max_bytes, change, note
        As of `rewrite_png`.

    Returns
    -------
    encoded : bytes
        A whole PNG or JPEG XL file.
    picture : array
        What it holds: (M, N) or (M, N, S) samples; of a palette, an interlaced picture or one of less than
        8 bits the filtered lines, (B,) of uint8.

    Raises
    ------
    BadInputError, UnreadableImageError, ImageTooLargeError, ImageBombError
        As `rewrite_png` does.
    """
    chunks = png_chunks(content)
    header = png_header(chunks)
    check_size(header.packed_bytes, stored_bytes=len(content), max_bytes=max_bytes)
    if any(kind == b"acTL" for kind, _ in chunks):
        raise UnreadableImageError("the PNG is an animation")
    picture = _picture(content, chunks)
    if change is not None:
        picture = _changed(picture, header, change)
    if note is not None:
        chunks.insert(1, (b"tEXt", b"Description\0" + note.encode()))
    if packing.codec == "jxl" and header.has_plain_samples:
        return _least_jxl(picture, chunks, packing, limit_bytes=len(content)), picture
    return png_of(picture, chunks, packing), picture


def _picture(content: bytes, chunks: list[Chunk]) -> Samples:
    if not png_header(chunks).has_plain_samples:
        return np.frombuffer(unpacked_lines(chunks), np.uint8)
    if any(kind == _TRANSPARENT for kind, _ in chunks):
        content = png_file(chunk for chunk in chunks if chunk[0] in (b"IHDR", DATA, b"IEND"))
    samples: Samples = imagecodecs.png_decode(content)
    return samples


def _read_back(target: Path) -> Samples:
    content = target.read_bytes()
    if content.startswith(SIGNATURE):
        samples: Samples = imagecodecs.jpegxl_decode(content, numthreads=1)
        return samples
    return _picture(content, png_chunks(content))


def _changed(samples: Samples, header: PngHeader, change: PlaneChange) -> Samples:
    if header.colour_type != 0 or not header.has_plain_samples:
        kind = ", interlaced" if header.interlaced else ""
        raise BadInputError(needs_grey(f"a PNG of {header.bits} bits, type {header.colour_type}{kind}"))
    return change(samples)


def needs_grey(found: str) -> str:
    """Say that an operator cannot work on what was found."""
    return (
        f"operators that change pixels work on greyscale TIFF and PNG of 8 or 16 bits, this is {found}; "
        "export it so, or use the operator recompress"
    )


def _least_jxl(samples: Samples, chunks: list[Chunk], packing: Packing, *, limit_bytes: int) -> bytes:
    """Take the least effort that pays and stays below the limit."""
    for effort in paying_efforts(samples, packing.jxl_efforts):
        packed = jxl_file(samples, chunks, effort=effort)
        if len(packed) < limit_bytes:
            break
    return packed


def png_of(picture: Samples, chunks: list[Chunk], packing: Packing) -> bytes:
    """Pack a picture as a PNG.

    Parameters
    ----------
    picture : array
        Samples or filtered lines, as `encoded_png` returns them.
    chunks : list of (bytes, bytes)
        Of a PNG of such a picture, which the new one takes the place of.
    packing : Packing

    Returns
    -------
    bytes
    """
    levels = packing.deflate_levels
    if not (header := png_header(chunks)).has_plain_samples:
        return png_file(with_packed(chunks, deflated(picture.tobytes(), levels[-1])))
    packed = packed_lines(_lines(picture), pixel_bytes=header.pixel_bytes, levels=levels)
    return png_file(with_packed(chunks, packed))


def _lines(samples: Samples) -> Pixels:
    """Return samples as a PNG's unfiltered lines, (M, B) of uint8."""
    big_endian = np.ascontiguousarray(samples, samples.dtype.newbyteorder(">"))
    return big_endian.reshape(len(samples), -1).view(np.uint8)
