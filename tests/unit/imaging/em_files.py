"""Files of electron microscopes, written by hand as their formats say, for tests of reading."""

import struct
from collections.abc import Sequence

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
