"""Files of electron microscopes, written by hand as their formats say, for tests of reading."""

import struct
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

STAMPS = {"<": b"\x44\x44\0\0", ">": b"\x11\x11\0\0"}


def mrc_header(
    shape: Sequence[int],
    mode: int,
    *,
    order: str = "<",
    volume: int | None = None,
    group: int = 0,
    grid: tuple[int, int] = (0, 0),
    cell: tuple[float, float] = (0, 0),
    axes: tuple[int, int, int] = (1, 2, 3),
    extended_bytes: int = 0,
    extended_type: bytes = b"",
    imod_flags: int | None = None,
    mark: bytes = b"MAP ",
    stamp: bytes | None = None,
) -> bytes:
    """Write the header of (K, M, N) pixels; `grid` and `cell` along x and y, `volume` as MZ."""
    sections, height, width = shape
    header = bytearray(1024)
    struct.pack_into(order + "4i", header, 0, width, height, sections, mode)
    struct.pack_into(order + "3i2f", header, 28, *grid, sections if volume is None else volume, *cell)
    struct.pack_into(order + "3i", header, 64, *axes)
    struct.pack_into(order + "2i", header, 88, group, extended_bytes)
    struct.pack_into("4s", header, 104, extended_type)
    if imod_flags is not None:
        struct.pack_into(order + "2i", header, 152, 1146047817, imod_flags)
    struct.pack_into("4s4s", header, 208, mark, STAMPS[order] if stamp is None else stamp)
    return bytes(header)


Tag: TypeAlias = "int | float | str | NDArray[Any] | Mapping[str, Tag] | Sequence[Tag]"

PIXEL_KINDS = {
    "int16": 1,
    "float32": 2,
    "complex64": 3,
    "uint8": 6,
    "int32": 7,
    "int8": 9,
    "uint16": 10,
    "uint32": 11,
    "float64": 12,
}
_TAG_TYPES = {"i2": 2, "i4": 3, "u2": 4, "u4": 5, "f4": 6, "f8": 7, "u1": 10, "i1": 9, "c8": 15}


def dm_image(pixels: NDArray[Any], scales: Sequence[float] = (), unit: str = "", **tags: Tag) -> Tag:
    """Return the tags of one image; `scales` along x, y and so on."""
    return {
        "ImageData": {
            "Calibrations": _calibrations(scales, unit),
            "Data": pixels,
            "DataType": PIXEL_KINDS[pixels.dtype.name],
            "Dimensions": list(reversed(pixels.shape)),
            "PixelDepth": pixels.itemsize,
        },
        "ImageTags": tags,
    }


def _calibrations(scales: Sequence[float], unit: str) -> Tag:
    return {"Dimension": [{"Origin": 0.0, "Scale": float(scale), "Units": unit} for scale in scales]}


def dm_bytes(*images: Tag, version: int = 4, order: str = "<", **others: Tag) -> bytes:
    """Write images as DigitalMicrograph does: first the thumbnail, last other tags."""
    thumbnail = {
        "ImageData": {
            "Calibrations": _calibrations((1, 1), ""),
            "Data": np.zeros(4, np.uint32),
            "DataType": 23,
            "Dimensions": [2, 2],
            "PixelDepth": 4,
        }
    }
    writer = _DmWriter(version, order)
    root = writer.group(
        {
            "ApplicationBounds": {"Corners": (0, 0, 512, 512)},
            "ImageList": [thumbnail, *images],
            **others,
            "Thumbnails": [{"ImageIndex": 0}],
        }
    )
    head = struct.pack(">I", version) + writer.number(len(root)) + struct.pack(">I", order == "<")
    return head + root + bytes(8)


class _DmWriter:
    """Tags are big-endian, their values in the order of the file; DM4 has wider numbers than DM3."""

    def __init__(self, version: int, order: str) -> None:
        self._wide = version > 3
        self._order = order

    def number(self, *values: int) -> bytes:
        return struct.pack(f">{len(values)}{'Q' if self._wide else 'I'}", *values)

    def group(self, tags: Tag) -> bytes:
        named = list(tags.items()) if isinstance(tags, Mapping) else [("", tag) for tag in tags]  # type: ignore[union-attr]
        return b"\1\0" + self.number(len(named)) + b"".join(self._tag(name, tag) for name, tag in named)

    def _tag(self, name: str, tag: Tag) -> bytes:
        is_group = isinstance(tag, Mapping | list)
        content = self.group(tag) if is_group else b"%%%%" + self._value(tag)
        label = struct.pack(">BH", 20 if is_group else 21, len(name)) + name.encode("latin-1")
        return label + (self.number(len(content)) if self._wide else b"") + content

    def _value(self, value: Any) -> bytes:
        if isinstance(value, float):
            return self.number(1, 7) + struct.pack(self._order + "d", value)
        if isinstance(value, int):
            return self.number(1, 3) + struct.pack(self._order + "i", value)
        if isinstance(value, tuple):  # a struct of integers
            fields = [number for _ in value for number in (0, 3)]
            types = self.number(3 + len(fields), 15, 0, len(value), *fields)
            return types + struct.pack(f"{self._order}{len(value)}i", *value)
        if isinstance(value, str):
            value = np.frombuffer(value.encode("utf-16-le"), "<u2")
        kind = _TAG_TYPES[value.dtype.str[1:]]
        element = (15, 0, 2, 0, 6, 0, 6) if kind == 15 else (kind,)
        types = self.number(2 + len(element), 20, *element, value.size)
        return types + bytes(value.astype(value.dtype.newbyteorder(self._order)).tobytes())
