"""PNG written anew: as a PNG that is packed better, or as JPEG XL that keeps its chunks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import imagecodecs
import numpy as np

from haste_core.errors import BadInputError
from haste_workers.imaging.image import Pixels, UnreadableImageError, check_size
from haste_workers.imaging.jxl_boxes import Samples, decoded_jxl, jxl_file
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
    content = source.read_bytes()
    chunks = png_chunks(content)
    header = png_header(chunks)
    check_size(header.packed_bytes, stored_bytes=len(content), max_bytes=max_bytes)
    if any(kind == b"acTL" for kind, _ in chunks):
        raise UnreadableImageError("the PNG is an animation")
    if not header.has_plain_samples and change is None:
        return _repack(chunks, target, packing)
    samples = _changed(_samples(content, chunks), header, change)
    if note is not None:
        chunks.insert(1, (b"tEXt", b"Description\0" + note.encode()))
    if packing.codec == "jxl":
        return _write_jxl(samples, chunks, target, packing, limit_bytes=len(content))
    target.write_bytes(png_of(samples, chunks, packing))
    written = target.read_bytes()
    return np.array_equal(_samples(written, png_chunks(written)), samples)


def _repack(chunks: list[Chunk], target: Path, packing: Packing) -> bool:
    """Keep the lines as they were filtered, whatever they hold."""
    lines = unpacked_lines(chunks)
    packed = deflated(lines, packing.deflate_levels[-1])
    target.write_bytes(png_file(with_packed(chunks, packed)))
    return unpacked_lines(png_chunks(target.read_bytes())) == lines


def _samples(content: bytes, chunks: list[Chunk]) -> Samples:
    """Decode a picture to (M, N) or (M, N, S)."""
    if any(kind == _TRANSPARENT for kind, _ in chunks):
        content = png_file(chunk for chunk in chunks if chunk[0] in (b"IHDR", DATA, b"IEND"))
    samples: Samples = imagecodecs.png_decode(content)
    return samples


def _changed(samples: Samples, header: PngHeader, change: PlaneChange | None) -> Samples:
    if change is None:
        return samples
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


def _lines(samples: Samples) -> Pixels:
    """Return samples as a PNG's unfiltered lines, (M, B) of uint8."""
    big_endian = np.ascontiguousarray(samples, samples.dtype.newbyteorder(">"))
    return big_endian.reshape(len(samples), -1).view(np.uint8)


def _write_jxl(
    samples: Samples, chunks: list[Chunk], target: Path, packing: Packing, *, limit_bytes: int
) -> bool:
    """Take the least effort that stays below the limit."""
    for effort in packing.jxl_efforts:
        packed = jxl_file(samples, chunks, effort=effort)
        if len(packed) < limit_bytes:
            break
    target.write_bytes(packed)
    with target.open("rb") as file:
        return np.array_equal(decoded_jxl(file), samples)


def png_of(samples: Samples, chunks: list[Chunk], packing: Packing) -> bytes:
    """Pack samples as a PNG.

    Parameters
    ----------
    samples : (M, N) or (M, N, S) array of uint8 or uint16
    chunks : list of (bytes, bytes)
        Of a PNG of such samples, whose picture they take the place of.
    packing : Packing

    Returns
    -------
    bytes
    """
    pixel_bytes, levels = png_header(chunks).pixel_bytes, packing.deflate_levels
    return png_file(
        with_packed(chunks, packed_lines(_lines(samples), pixel_bytes=pixel_bytes, levels=levels))
    )
