"""What a CZI file says of its tiles: where each stands in the acquisition, and where in the file."""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO

from haste_workers.imaging.image import UnreadableImageError

_SEGMENT = struct.Struct("<16sqq")
"""Before each part of a file: its kind, the bytes that are kept for it, and those that are used."""

_DIRECTORY_POSITION = struct.Struct("<52xq")
_DIRECTORY_START = struct.Struct("<i124x")
_ENTRY = struct.Struct("<2siqiiB5xi")
_DIMENSION = struct.Struct("<4siifi")
_TILE = struct.Struct("<iiq")
_TILE_START_BYTES = 256

_UNCOMPRESSED = 0


@dataclass(frozen=True, kw_only=True)
class Tile:
    """One stored rectangle of one plane.

    Attributes
    ----------
    offset : int
        In the file, in bytes.
    pixel_type : int
        Zeiss' number.
    compressed : bool
    at : dict of str to int
        Start along the dimensions other than X, Y and M: S a scene, T, C, Z, and rarer ones.
    x, y, width, height : int
        In pixels of the whole acquisition.
    reduced : bool
        Whether it is a smaller copy, of a pyramid.
    entry_bytes : int
        Size of its entry in the directory.
    """

    offset: int
    pixel_type: int
    compressed: bool
    at: dict[str, int]
    x: int
    y: int
    width: int
    height: int
    reduced: bool
    entry_bytes: int


def stored_tiles(file: BinaryIO) -> list[Tile]:
    """List the tiles of a CZI file by its directory.

    Parameters
    ----------
    file : binary file, seekable

    Returns
    -------
    list of Tile

    Raises
    ------
    UnreadableImageError
        The file has no directory, as while it is being written, or only a part of it; or its tiles are
        in other files.

    References
    ----------
    "ZISRAW (CZI) file format, design specification, release version 1.2.2", Carl Zeiss Microscopy.
    """
    header = _segment(file, 0, b"ZISRAWFILE")
    (position,) = _DIRECTORY_POSITION.unpack_from(header)
    if position <= 0:
        raise UnreadableImageError("the CZI has no directory yet; was it still being written?")
    directory = _segment(file, position, b"ZISRAWDIRECTORY")
    (count,) = _DIRECTORY_START.unpack_from(directory)
    tiles, start = [], _DIRECTORY_START.size
    for _ in range(count):
        tile = _tile(directory, start)
        tiles.append(tile)
        start += tile.entry_bytes
    return tiles


def _segment(file: BinaryIO, position: int, kind: bytes) -> bytes:
    """Read a part of the file, of the given kind and all there."""
    file_bytes = file.seek(0, os.SEEK_END)
    file.seek(position)
    start = file.read(_SEGMENT.size)
    if len(start) == _SEGMENT.size:
        found, allocated, used = _SEGMENT.unpack(start)
        # Old writers leave the used size at 0.
        size = used or allocated
        if found.rstrip(b"\0") != kind:
            raise UnreadableImageError(f"damaged CZI (no {kind.decode()} at byte {position})")
        if 0 <= size <= file_bytes - file.tell():
            return file.read(size)
    raise UnreadableImageError("the CZI is not complete; was it still being written or copied?")


def _tile(directory: bytes, start: int) -> Tile:
    schema, pixel_type, offset, part, compression, _, dimensions = _ENTRY.unpack_from(directory, start)
    if schema != b"DV":
        raise UnreadableImageError(f"damaged CZI (an entry of unknown kind {schema!r})")
    if part:
        raise UnreadableImageError("the CZI is one of several files of an acquisition; export it as one")
    at, size, stored = {}, {}, {}
    for number in range(dimensions):
        name, first, count, _, stored_count = _DIMENSION.unpack_from(
            directory, start + _ENTRY.size + number * _DIMENSION.size
        )
        axis = name.rstrip(b"\0").decode("ascii")
        at[axis], size[axis], stored[axis] = first, count, stored_count or count
    return Tile(
        offset=offset,
        pixel_type=pixel_type,
        compressed=compression != _UNCOMPRESSED,
        at={axis: first for axis, first in at.items() if axis not in "XYM"},
        x=at["X"],
        y=at["Y"],
        width=size["X"],
        height=size["Y"],
        reduced=(stored["X"], stored["Y"]) != (size["X"], size["Y"]),
        entry_bytes=_ENTRY.size + dimensions * _DIMENSION.size,
    )


def check_tiles(file: BinaryIO, tiles: Sequence[Tile], *, pixel_bytes: int) -> int:
    """Refuse tiles that are not all in the file: libCZI would fill them up with black.

    Parameters
    ----------
    file : binary file, seekable
    tiles : sequence of Tile
    pixel_bytes : int
        Of one pixel, all its channels.

    Returns
    -------
    int
        Bytes that they take in the file.

    Raises
    ------
    UnreadableImageError
        One is missing, ends behind the end of the file, or has fewer bytes than pixels need.
    """
    file_bytes = file.seek(0, os.SEEK_END)
    all_bytes = 0
    for tile in tiles:
        file.seek(tile.offset)
        start = file.read(_SEGMENT.size + _TILE.size + _ENTRY.size)
        if not start.startswith(b"ZISRAWSUBBLOCK") or len(start) < _SEGMENT.size + _TILE.size + _ENTRY.size:
            raise UnreadableImageError("damaged CZI (a tile is not where its directory says)")
        *_, dimensions = _ENTRY.unpack_from(start, _SEGMENT.size + _TILE.size)
        # libCZI reads as many, and writes beyond its memory.
        if _ENTRY.size + dimensions * _DIMENSION.size != tile.entry_bytes:
            raise UnreadableImageError("damaged CZI (a tile has other dimensions than its directory says)")
        metadata_bytes, _, data_bytes = _TILE.unpack_from(start, _SEGMENT.size)
        if metadata_bytes < 0 or data_bytes < 0:
            raise UnreadableImageError("damaged CZI (a tile has a negative size)")
        before = max(_TILE_START_BYTES, _TILE.size + tile.entry_bytes) + metadata_bytes
        if tile.offset + _SEGMENT.size + before + data_bytes > file_bytes:
            raise UnreadableImageError("the CZI is not complete; was it still being written or copied?")
        if not tile.compressed and data_bytes < tile.width * tile.height * pixel_bytes:
            raise UnreadableImageError("damaged CZI (a tile holds less than its size needs)")
        all_bytes += data_bytes
    return all_bytes
