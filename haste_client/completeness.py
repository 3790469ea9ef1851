"""Is an image file all there? Judged by its structure alone, reading only its headers.

A program that writes an image in place leaves, for a while, a file whose headers promise more bytes than
there are. Formats that are not known here, and files that are no image at all, count as complete: they will
not get better by waiting, and their job then says what is wrong with them.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from haste_client.containers import missing_in_container
from haste_runtime.writers import has_writer

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
JPEG_START, JPEG_END = b"\xff\xd8\xff", b"\xff\xd9"

# Some cameras pad the end of a JPEG, or append a few bytes of their own.
_JPEG_TAIL_BYTES = 4096

_MAX_IFDS = 1_000_000  # a chain longer than this is a loop or noise; the reader will say so


def missing_part(path: Path) -> str | None:
    """Say what a half-written image file lacks; None if nothing does.

    On Windows a file that a program has open for writing lacks its end.

    Parameters
    ----------
    path : Path
        A folder of Zarr, or a file; TIFF (also BigTIFF, OME-TIFF), PNG and JPEG are recognised by their
        first bytes.

    Returns
    -------
    str or None
        For a microscopist, for example ``"the pixels of page 2 end at byte 4096, the file at byte 1000"``.

    Raises
    ------
    OSError
        If the file cannot be opened or read.
    """
    if path.is_dir():
        return missing_in_container(path)
    if has_writer(path):
        return "a program has it open for writing"
    with path.open("rb") as file:
        size_bytes = os.fstat(file.fileno()).st_size
        start = file.read(16)
        if not any(start):
            return "it holds nothing yet" if not start else "it begins with zeros only"
        try:
            return _missing_part(file, start, size_bytes)
        except _CutShortError as cut:
            return str(cut)


class _CutShortError(Exception):
    """A structure reaches beyond the end of the file."""


def _missing_part(file: BinaryIO, start: bytes, size_bytes: int) -> str | None:
    if start[:4] in _TIFF_LAYOUTS:
        return _missing_in_tiff(file, _TIFF_LAYOUTS[start[:4]], size_bytes)
    if PNG_SIGNATURE.startswith(start[:8]):
        return _missing_in_png(file, size_bytes)
    if start.startswith(JPEG_START):
        return _missing_in_jpeg(file, size_bytes)
    return "it is shorter than any image's header" if size_bytes < 8 else None


def _missing_in_png(file: BinaryIO, size_bytes: int) -> str | None:
    position = len(PNG_SIGNATURE)
    while True:
        header = _read_at(file, position, 8, "a chunk's header")
        length, kind = struct.unpack(">I4s", header)
        if not kind.isalpha():
            return f"the chunk at byte {position} has not been written yet"
        position += 8 + length + 4  # header, data, checksum
        if position > size_bytes:
            return f"its chunk {kind.decode()} ends at byte {position}, the file at byte {size_bytes}"
        if kind == b"IEND":
            return None


def _missing_in_jpeg(file: BinaryIO, size_bytes: int) -> str | None:
    file.seek(max(0, size_bytes - _JPEG_TAIL_BYTES))
    # Within compressed data every 0xff is followed by 0x00, so the pair can only be the marker.
    return None if JPEG_END in file.read() else "its end marker is not there yet"


@dataclass(frozen=True)
class _TiffLayout:
    """How classic TIFF and BigTIFF write their tables."""

    byte_order: str
    offset_format: str  # of an offset: 4 or 8 bytes
    count_format: str  # of the number of entries in an IFD: 2 or 8 bytes
    first_ifd_at: int

    def unpack(self, form: str, data: bytes) -> int:
        return int(struct.unpack(self.byte_order + form, data)[0])

    @property
    def offset_bytes(self) -> int:
        return struct.calcsize("=" + self.offset_format)

    @property
    def count_bytes(self) -> int:
        return struct.calcsize("=" + self.count_format)

    @property
    def entry_bytes(self) -> int:
        return 4 + 2 * self.offset_bytes  # tag, type, number of values, value or offset


_TIFF_LAYOUTS = {
    b"II*\0": _TiffLayout("<", "I", "H", 4),
    b"MM\0*": _TiffLayout(">", "I", "H", 4),
    b"II+\0": _TiffLayout("<", "Q", "Q", 8),
    b"MM\0+": _TiffLayout(">", "Q", "Q", 8),
}

# Bytes and struct format of the integer types that offsets and counts may have (TIFF 6.0, BigTIFF).
_INTEGER_TYPES = {3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
_TYPE_BYTES = {
    1: 1,
    2: 1,
    3: 2,
    4: 4,
    5: 8,
    6: 1,
    7: 1,
    8: 2,
    9: 4,
    10: 8,
    11: 4,
    12: 8,
    13: 4,
    16: 8,
    17: 8,
    18: 8,
}

_STRIP_OFFSETS, _STRIP_COUNTS = 273, 279
_TILE_OFFSETS, _TILE_COUNTS = 324, 325
_SUB_IFDS = 330


def _missing_in_tiff(file: BinaryIO, layout: _TiffLayout, size_bytes: int) -> str | None:
    first = layout.unpack(
        layout.offset_format, _read_at(file, layout.first_ifd_at, layout.offset_bytes, "the header")
    )
    if first == 0:
        return "its first page has not been written yet"
    pending, seen, page = [first], set[int](), 0
    while pending and len(seen) < _MAX_IFDS:
        position = pending.pop()
        if position in seen:
            continue
        seen.add(position)
        page += 1
        entries, following = _read_ifd(file, layout, position, page)
        if not entries:
            return f"the table of page {page} at byte {position} has not been written yet"
        end = _end_of_page(file, layout, entries, page)
        if end > size_bytes:
            return f"the data of page {page} end at byte {end}, the file at byte {size_bytes}"
        sub_ifds = _values(file, layout, entries.get(_SUB_IFDS), page)
        pending += [offset for offset in (following, *sub_ifds) if offset]
    return None


_Entry = tuple[int, int, bytes]  # type, number of values, value or offset


def _read_ifd(file: BinaryIO, layout: _TiffLayout, position: int, page: int) -> tuple[dict[int, _Entry], int]:
    what = f"the table of page {page}"
    count = layout.unpack(layout.count_format, _read_at(file, position, layout.count_bytes, what))
    table_bytes = count * layout.entry_bytes
    if table_bytes > 2**24:
        raise _CutShortError(f"{what} at byte {position} has not been written yet")
    data = _read_at(file, position + layout.count_bytes, table_bytes + layout.offset_bytes, what)
    entries = {}
    for start in range(0, table_bytes, layout.entry_bytes):
        tag, kind = struct.unpack_from(layout.byte_order + "HH", data, start)
        count = layout.unpack(layout.offset_format, data[start + 4 : start + 4 + layout.offset_bytes])
        entries[tag] = (kind, count, data[start + 4 + layout.offset_bytes : start + layout.entry_bytes])
    return entries, layout.unpack(layout.offset_format, data[table_bytes:])


def _end_of_page(file: BinaryIO, layout: _TiffLayout, entries: dict[int, _Entry], page: int) -> int:
    """Find the last byte that a page refers to: pixels, and values that stand outside its table."""
    ends = [0]
    for offsets_tag, counts_tag in ((_STRIP_OFFSETS, _STRIP_COUNTS), (_TILE_OFFSETS, _TILE_COUNTS)):
        offsets = _values(file, layout, entries.get(offsets_tag), page)
        counts = _values(file, layout, entries.get(counts_tag), page)
        # Offset and count 0 stand for a tile that was left out because it is empty (sparse TIFF).
        ends += [offset + count for offset, count in zip(offsets, counts, strict=False)]
    for kind, count, value in entries.values():
        length = _TYPE_BYTES.get(kind, 0) * count
        if length > layout.offset_bytes:
            ends.append(layout.unpack(layout.offset_format, value) + length)
    return max(ends)


def _values(file: BinaryIO, layout: _TiffLayout, entry: _Entry | None, page: int) -> tuple[int, ...]:
    if entry is None or entry[0] not in _INTEGER_TYPES:
        return ()
    kind, count, value = entry
    form = f"{layout.byte_order}{count}{_INTEGER_TYPES[kind]}"
    length = struct.calcsize(form)
    if length > layout.offset_bytes:
        value = _read_at(
            file, layout.unpack(layout.offset_format, value), length, f"the list of data of page {page}"
        )
    return struct.unpack(form, value[:length])


def _read_at(file: BinaryIO, position: int, length: int, what: str) -> bytes:
    end = position + length
    if end > os.fstat(file.fileno()).st_size:
        raise _CutShortError(f"{what} ends at byte {end}, beyond the end of the file")
    file.seek(position)
    data = file.read(length)
    if len(data) < length:
        raise _CutShortError(f"{what} is cut short")
    return data
