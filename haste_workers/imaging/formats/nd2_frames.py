"""Where the frames of an ND2 file lie, by the map at its end, and how to read one of them."""

from __future__ import annotations

import os
import struct
import zlib
from typing import BinaryIO

import numpy as np

from haste_workers.imaging.image import Pixels, UnreadableImageError, check_size

_END = struct.Struct("<32sQ")
_CHUNK = struct.Struct("<IIQ")
_ENTRY = struct.Struct("<QQ")
_MAGIC = 0x0ABECEDA
_END_NAME = b"ND2 CHUNK MAP SIGNATURE 0000001!"
_FRAME_NAME = b"ImageDataSeq|"
_TIME_BYTES = 8
"""Before the pixels of a frame."""

_PACKED, _PACKED_START = 76, 12
"""The first byte of metadata that are packed by zlib, and where these begin."""

_MAX_METADATA_BYTES = 16_000_000
"""Of one chunk; nd2 would unpack, or read, as much as it says."""


def frame_offsets(file: BinaryIO) -> dict[int, int]:
    """Tell where the frames begin.

    Parameters
    ----------
    file : binary file, seekable

    Returns
    -------
    dict of int to int
        Offset in bytes by the frame's number from 0.

    Raises
    ------
    UnreadableImageError
        The file has no map at its end, as while it is being written; or metadata without end.

    References
    ----------
    "ND2 file format specification", in the repository of the Python package nd2.
    """
    file_bytes = file.seek(0, os.SEEK_END)
    file.seek(max(0, file_bytes - _END.size))
    end = file.read(_END.size)
    if len(end) < _END.size or not end.startswith(_END_NAME):
        raise UnreadableImageError("the ND2 has no map at its end; was it still being written or copied?")
    (_, position) = _END.unpack(end)
    entries = _chunk(file, position)
    offsets, start = {}, 0
    while (stop := entries.find(b"!", start) + 1) and entries[start:stop] != _END_NAME:
        name = entries[start:stop]
        offset, _ = _ENTRY.unpack_from(entries, stop)
        if name.startswith(_FRAME_NAME):
            offsets[int(name[len(_FRAME_NAME) : -1])] = offset
        else:
            _check_metadata(file, offset, file_bytes)
        start = stop + _ENTRY.size
    return offsets


def _check_metadata(file: BinaryIO, position: int, file_bytes: int) -> None:
    file.seek(min(position, file_bytes))
    start = file.read(_CHUNK.size)
    if len(start) < _CHUNK.size:
        return  # a part that nobody may need
    _, name_bytes, data_bytes = _CHUNK.unpack(start)
    file.seek(name_bytes, os.SEEK_CUR)
    packed = file.read(1) == bytes((_PACKED,))
    if data_bytes > file_bytes:
        raise UnreadableImageError("damaged ND2 (a part of it is larger than the file)")
    if packed:
        file.seek(_PACKED_START - 1, os.SEEK_CUR)
        unpacker = zlib.decompressobj()
        unpacker.decompress(file.read(data_bytes), _MAX_METADATA_BYTES)
        if unpacker.unconsumed_tail:
            raise UnreadableImageError("damaged ND2 (its metadata unpack without end)")


def _chunk(file: BinaryIO, position: int) -> bytes:
    file_bytes = file.seek(0, os.SEEK_END)
    if position + _CHUNK.size <= file_bytes:
        file.seek(position)
        magic, name_bytes, data_bytes = _CHUNK.unpack(file.read(_CHUNK.size))
        if magic == _MAGIC and position + _CHUNK.size + name_bytes + data_bytes <= file_bytes:
            file.seek(name_bytes, os.SEEK_CUR)
            return file.read(data_bytes)
    raise UnreadableImageError("damaged ND2 (a part of it is not where its map says)")


def read_frame(
    file: BinaryIO,
    offset: int,
    *,
    shape: tuple[int, int, int],
    dtype: np.dtype[np.generic],
    row_bytes: int,
    packed: bool,
) -> Pixels:
    """Read all samples of one frame.

    Parameters
    ----------
    file : binary file, seekable
    offset : int
        As of `frame_offsets`.
    shape : (int, int, int)
        Rows, columns, samples.
    dtype : numpy.dtype
    row_bytes : int
        From one row to the next.
    packed : bool
        By zlib.

    Returns
    -------
    (M, N, K) array

    Raises
    ------
    UnreadableImageError
        The frame is not where it should be, or not all there.
    ImageBombError
        It unpacks out of all proportion.
    """
    stored = _chunk(file, offset)[_TIME_BYTES:]
    height, width, samples = shape
    steps = (row_bytes, samples * dtype.itemsize, dtype.itemsize)
    needed_bytes = (height - 1) * row_bytes + width * samples * dtype.itemsize
    if packed:
        check_size(needed_bytes, stored_bytes=len(stored), max_bytes=needed_bytes)
        stored = zlib.decompressobj().decompress(stored, needed_bytes)
    if len(stored) < needed_bytes:
        raise UnreadableImageError("damaged ND2 (a frame holds less than its size needs)")
    return np.ndarray(shape, dtype, stored, strides=steps)
