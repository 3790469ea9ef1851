"""A PNG as a JPEG XL file: its pixels packed without loss, its other chunks in a box of ours."""

from __future__ import annotations

import struct
import uuid
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, TypeAlias

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from haste_workers.imaging.image import UnreadableImageError
from haste_workers.imaging.png_chunks import DATA, Chunk, png_chunks, png_file

SIGNATURE = b"\0\0\0\x0cJXL \r\n\x87\n"
"""What a JPEG XL file in boxes begins with."""

_UUID = uuid.UUID("b595c1d1-bc7f-42ab-88f1-15d60f22f806").bytes
"""Marks a box of kind ``uuid`` as ours, for ISO/IEC 14496-12 lets anyone have such boxes."""

_WASTEFUL_BITS = 1.75
"""A sample, at effort 1: below it, effort 2 makes a quarter less; above 2, less than a sixth."""

_TRIED_BANDS, _BAND_LINES = 8, 16

_MAX_BOXES = 10_000
"""A file of more was made to be slow."""

Samples: TypeAlias = NDArray[Any]
"""(M, N) or (M, N, S) of uint8 or uint16."""


@dataclass(frozen=True)
class KeptPng:
    """What a JPEG XL file keeps of the PNG that it was made of.

    Attributes
    ----------
    checksum : int
        CRC-32 of the samples in their memory order; a JPEG XL codestream has none of its own.
    chunks : tuple of (bytes, bytes)
        In the PNG's order; the picture's data are one empty chunk.
    """

    checksum: int
    chunks: tuple[Chunk, ...]


def jxl_file(samples: Samples, chunks: list[Chunk], *, effort: int) -> bytes:
    """Pack a PNG's samples as a JPEG XL file, without loss and with its other chunks.

    Parameters
    ----------
    samples : (M, N) or (M, N, S) array of uint8 or uint16
        S is 2 for grey with opacity, 3 for colour, 4 for colour with opacity.
    chunks : list of (bytes, bytes)
        Of the PNG.
    effort : int
        Of libjxl, 1 to 9.

    Returns
    -------
    bytes

    References
    ----------
    .. [1] ISO/IEC 18181-2:2024, "JPEG XL image coding system: File format".
    """
    packed = imagecodecs.jpegxl_encode(samples, lossless=True, effort=effort, usecontainer=True, numthreads=1)
    kept = _UUID + struct.pack(">I", checksum_of(samples)) + png_file(_emptied(chunks))
    return b"".join([packed, struct.pack(">I4s", 8 + len(kept), b"uuid"), kept])


def paying_efforts(samples: Samples, efforts: tuple[int, ...]) -> tuple[int, ...]:
    """Leave the least of several efforts out where it would pack badly.

    At effort 1 every sample takes a bit or more, which wastes a third on smooth images. How many it takes is
    found on a few lines.

    Parameters
    ----------
    samples : (M, N) or (M, N, S) array of uint8 or uint16
    efforts : tuple of int
        Of libjxl, rising.

    Returns
    -------
    tuple of int
        Those that are worth trying; at least one.
    """
    if len(efforts) == 1:
        return efforts
    step = max(1, len(samples) // (_TRIED_BANDS * _BAND_LINES))
    bands = [samples[start : start + _BAND_LINES] for start in range(0, len(samples), _BAND_LINES * step)]
    tried = np.concatenate(bands)
    packed = imagecodecs.jpegxl_encode(tried, lossless=True, effort=efforts[0], numthreads=1)
    return efforts[1:] if 8 * len(packed) < _WASTEFUL_BITS * tried.size else efforts


def _emptied(chunks: list[Chunk]) -> Iterator[Chunk]:
    """Leave of the picture's data one empty chunk in their place."""
    first = next(index for index, (kind, _) in enumerate(chunks) if kind == DATA)
    for index, (kind, data) in enumerate(chunks):
        if kind != DATA:
            yield kind, data
        elif index == first:
            yield kind, b""


def checksum_of(samples: Samples) -> int:
    """Return the CRC-32 of samples, little-endian and in C order."""
    return zlib.crc32(np.ascontiguousarray(samples, samples.dtype.newbyteorder("<")).data)


def decoded_jxl(file: BinaryIO) -> Samples:
    """Decode a JPEG XL file on one thread, and check the samples if the file keeps their checksum.

    Parameters
    ----------
    file : binary file

    Returns
    -------
    array
        As `jxl_file` takes them; of files that others wrote also floats.

    Raises
    ------
    UnreadableImageError
        The checksum is wrong.
    """
    file.seek(0)
    samples: Samples = imagecodecs.jpegxl_decode(file.read(), numthreads=1)
    kept = kept_png(file)
    if kept is not None and kept.checksum != checksum_of(samples):
        raise UnreadableImageError("damaged JPEG XL (checksum of its pixels)")
    return samples


def kept_png(file: BinaryIO) -> KeptPng | None:
    """Return what a JPEG XL file keeps of a PNG; None if it was made of something else.

    Parameters
    ----------
    file : binary file

    Raises
    ------
    UnreadableImageError
        What is kept is damaged.
    """
    for kind, start, size in boxes(file):
        if kind == b"uuid" and size > len(_UUID) + 4:
            file.seek(start)
            content = file.read(size)
            if content.startswith(_UUID):
                checksum: int = struct.unpack_from(">I", content, len(_UUID))[0]
                return KeptPng(checksum, tuple(png_chunks(content[len(_UUID) + 4 :])))
    return None


def boxes(file: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    """Go through a file's boxes.

    Parameters
    ----------
    file : binary file

    Yields
    ------
    kind : bytes
    start, size : int
        Of what is in the box. A file without boxes has none.

    Raises
    ------
    UnreadableImageError
        A box does not lie in the file.
    """
    end = file.seek(0, 2)
    file.seek(0)
    position = 0 if file.read(len(SIGNATURE)) == SIGNATURE else end
    for _ in range(_MAX_BOXES):
        if position == end:
            return
        file.seek(position)
        head = file.read(16).ljust(16, b"\0")
        size, kind, long_size = struct.unpack(">I4sQ", head)
        head_bytes = 16 if size == 1 else 8
        whole = {0: end - position, 1: long_size}.get(size, size)
        if whole < head_bytes or position + whole > end:
            raise UnreadableImageError("damaged or incomplete JPEG XL (its boxes)")
        yield kind, position + head_bytes, whole - head_bytes
        position += whole
    raise UnreadableImageError(f"the JPEG XL has more than {_MAX_BOXES} boxes")
