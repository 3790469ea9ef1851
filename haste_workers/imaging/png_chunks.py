"""PNG as a list of chunks, so that a picture can be packed anew and all else kept as it was."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from haste_workers.imaging.image import UnreadableImageError

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
DATA = b"IDAT"
"""Type of the chunks that hold the picture."""

_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Samples a pixel by colour type."""

Chunk: TypeAlias = tuple[bytes, bytes]
"""Type and data."""


@dataclass(frozen=True)
class PngHeader:
    """What a PNG says of its picture.

    Attributes
    ----------
    width, height : int
        In pixels.
    bits : int
        A sample.
    colour_type : int
        0 grey, 2 RGB, 3 palette, 4 grey and opacity, 6 RGB and opacity.
    interlaced : bool
    """

    width: int
    height: int
    bits: int
    colour_type: int
    interlaced: bool

    @property
    def pixel_bytes(self) -> int:
        """Bytes from a sample to that of the next pixel, for filters: at least 1."""
        return max(1, self.bits * _SAMPLES.get(self.colour_type, 4) // 8)

    @property
    def has_plain_samples(self) -> bool:
        """Whether the picture is an array of whole bytes: no palette, not interlaced, 8 or 16 bits."""
        return self.colour_type in (0, 2, 4, 6) and self.bits in (8, 16) and not self.interlaced

    @property
    def packed_bytes(self) -> int:
        """Upper bound of the picture's lines with their filter bytes, unpacked."""
        line_bits = self.width * self.bits * _SAMPLES.get(self.colour_type, 4)
        # Interlacing repeats the rounding to bytes and the filter byte in 7 passes.
        passes = 7 if self.interlaced else 1
        return self.height * ((line_bits + 7) // 8 + 1) + (passes - 1) * 2 * (self.height + 7)


def png_chunks(file: bytes) -> list[Chunk]:
    """Take a PNG apart, checking each chunk's checksum.

    Parameters
    ----------
    file : bytes
        A whole PNG file.

    Returns
    -------
    list of (bytes, bytes)
        Type and data of each chunk, in the file's order, up to and with ``IEND``.

    Raises
    ------
    UnreadableImageError
        A checksum is wrong, or the end is missing.
    """
    chunks: list[Chunk] = []
    position = len(_SIGNATURE)
    while not chunks or chunks[-1][0] != b"IEND":
        size, kind = struct.unpack_from(">I4s", file, position)
        data = file[position + 8 : position + 8 + size]
        (checksum,) = struct.unpack_from(">I", file, position + 8 + size)
        if zlib.crc32(data, zlib.crc32(kind)) != checksum:
            raise UnreadableImageError(f"damaged PNG (checksum of its {kind!r} chunk)")
        chunks.append((kind, data))
        position += 12 + size
    return chunks


def png_file(chunks: Iterable[Chunk]) -> bytes:
    """Put a PNG together.

    Parameters
    ----------
    chunks : iterable of (bytes, bytes)
        Type and data.

    Returns
    -------
    bytes
    """
    parts = [_SIGNATURE]
    for kind, data in chunks:
        checksum = zlib.crc32(data, zlib.crc32(kind))
        parts += [struct.pack(">I", len(data)), kind, data, struct.pack(">I", checksum)]
    return b"".join(parts)


def png_header(chunks: list[Chunk]) -> PngHeader:
    """Read the header chunk.

    Parameters
    ----------
    chunks : list of (bytes, bytes)

    Returns
    -------
    PngHeader
    """
    width, height, bits, colour_type, _, _, interlace = struct.unpack(">IIBBBBB", chunks[0][1])
    return PngHeader(width, height, bits, colour_type, bool(interlace))


def unpacked_lines(chunks: list[Chunk]) -> bytes:
    """Unpack the picture's filtered lines.

    Parameters
    ----------
    chunks : list of (bytes, bytes)

    Returns
    -------
    bytes

    Raises
    ------
    UnreadableImageError
        There are more lines than the header declares, or not all of them.
    """
    expander = zlib.decompressobj()
    packed = b"".join(data for kind, data in chunks if kind == DATA)
    header = png_header(chunks)
    lines = expander.decompress(packed, header.packed_bytes + 1)
    cut = not header.interlaced and len(lines) < header.packed_bytes
    if cut or not expander.eof:
        raise UnreadableImageError("damaged PNG (its picture does not end where it should)")
    return lines


def with_packed(chunks: list[Chunk], packed: bytes) -> list[Chunk]:
    """Replace the picture by one that is packed otherwise; every other chunk stays.

    Parameters
    ----------
    chunks : list of (bytes, bytes)
    packed : bytes
        A zlib stream of filtered lines.

    Returns
    -------
    list of (bytes, bytes)
    """
    first = next(index for index, (kind, _) in enumerate(chunks) if kind == DATA)
    before = [chunk for chunk in chunks[:first] if chunk[0] != DATA]
    after = [chunk for chunk in chunks[first:] if chunk[0] != DATA]
    return [*before, (DATA, packed), *after]
