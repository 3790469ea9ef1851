"""MRC, the format of cryo-electron microscopy: images, tilt series, volumes, movies."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, Literal, TypeAlias

import numpy as np
from mrcfile.dtypes import HEADER_DTYPE, get_ext_header_dtype
from mrcfile.utils import byte_order_from_machine_stamp, dtype_from_mode, spacegroup_is_volume_stack

from haste_workers.imaging.formats.uncompressed import uncompressed_planes
from haste_workers.imaging.formats.units import in_micrometres, pixel_size, stage_position
from haste_workers.imaging.image import Metadata, OpenImage, Plane, Position, UnreadableImageError

_Order: TypeAlias = Literal["<", ">"]

_GREY_MODES = (0, 1, 2, 6, 12)
_OTHER_MODES = {
    3: "complex numbers",
    4: "complex numbers",
    16: "colours",
    101: "packed 4-bit counts, which IMOD unpacks (newstack -mode 0)",
}
_MODE_AT, _MAP_AT = 12, 208

_IMOD_AT, _IMOD_STAMP, _IMOD_SIGNED_BYTES = 152, 1146047817, 1
"""IMOD and SerialEM write bytes without sign, unless they say otherwise; all others write them signed."""

_FEI_STAGE_KNOWN = 0b111 << 9
"""In FEI's first bit mask: x, y and z of the stage were written."""


def is_mrc(start: bytes) -> bool:
    """Tell whether a file is MRC, by the mark that all but the oldest have, and a mode that exists.

    Parameters
    ----------
    start : bytes
        Of the file, at least 212.

    Returns
    -------
    bool
    """
    return start[_MAP_AT : _MAP_AT + 3] == b"MAP" and bool(_byte_orders(start))


@contextmanager
def open_mrc(path: Path) -> Iterator[OpenImage]:
    """Open an MRC file: an image, a stack, a volume or a stack of volumes.

    Parameters
    ----------
    path : pathlib.Path

    Yields
    ------
    OpenImage
        Sections are planes of a focus series, volumes of a stack are scenes.

    Raises
    ------
    UnreadableImageError
        The file is not whole, or its numbers have no grey level.

    References
    ----------
    "MRC2014: Extensions to the MRC format header for electron cryo-microscopy and tomography", J. Struct.
    Biol. 192 (2015), doi:10.1016/j.jsb.2015.04.002; "The MRC file format used by IMOD", for its signed bytes.
    """
    with path.open("rb") as file:
        start = file.read(HEADER_DTYPE.itemsize)
        if len(start) < HEADER_DTYPE.itemsize:
            raise UnreadableImageError("the MRC header is not complete; was the file still being written?")
        order = _byte_order(start)
        header = np.frombuffer(start, HEADER_DTYPE.newbyteorder(order))[0]
        dtype = _dtype(start, order)
        yield OpenImage(
            format="MRC",
            dtype=dtype.name,
            bits=dtype.itemsize * 8,
            colour=False,
            planes=_planes(file, header, order, dtype),
        )


def _byte_orders(start: bytes) -> list[_Order]:
    """List the byte orders in which the mode is one that exists."""
    orders: tuple[_Order, ...] = ("<", ">")
    modes = {order: struct.unpack_from(order + "i", start, _MODE_AT)[0] for order in orders}
    return [order for order, mode in modes.items() if mode in _GREY_MODES or mode in _OTHER_MODES]


def _byte_order(start: bytes) -> _Order:
    """Trust the machine stamp, unless it is none or the mode belies it, as in some files it does."""
    possible = _byte_orders(start)
    try:
        stamped: _Order = byte_order_from_machine_stamp(start[_MAP_AT + 4 : _MAP_AT + 8])
    except ValueError:
        return possible[0]
    return stamped if stamped in possible else possible[0]


def _dtype(start: bytes, order: _Order) -> np.dtype[Any]:
    (mode,) = struct.unpack_from(order + "i", start, _MODE_AT)
    if mode in _OTHER_MODES:
        raise UnreadableImageError(
            f"the MRC holds {_OTHER_MODES[mode]} (mode {mode}), which have no grey level; "
            "convert it to mode 1, 2 or 6"
        )
    stamp, flags = struct.unpack_from(order + "Ii", start, _IMOD_AT)
    if mode == 0 and stamp == _IMOD_STAMP and not flags & _IMOD_SIGNED_BYTES:
        return np.dtype(np.uint8)
    dtype: np.dtype[Any] = dtype_from_mode(mode)
    return dtype.newbyteorder(order)


def _planes(file: BinaryIO, header: Any, order: _Order, dtype: np.dtype[Any]) -> tuple[Plane, ...]:
    sections, height, width = (int(header[side]) for side in ("nz", "ny", "nx"))
    extended_bytes = int(header["nsymbt"])
    if extended_bytes < 0:
        raise UnreadableImageError("damaged MRC (its extended header has a negative length)")
    in_volume = int(header["mz"]) if spacegroup_is_volume_stack(int(header["ispg"])) else sections
    if sections and (in_volume < 1 or sections % in_volume):
        raise UnreadableImageError(f"damaged MRC ({sections} sections are no volumes of {in_volume})")
    offset = HEADER_DTYPE.itemsize + extended_bytes
    fei = get_ext_header_dtype(bytes(header["exttyp"]), order)
    described = extended_bytes // fei.itemsize if fei is not None else 0
    shared = Metadata(pixel_size_um=_pixel_size_um(header))
    planes = uncompressed_planes(
        file,
        offset=offset,
        shape=(sections, height, width),
        dtype=dtype,
        position_of=lambda number: Position(scene=number // in_volume, z=number % in_volume),
        metadata_of=lambda number: replace(
            shared, stage_um=_stage_um(file, fei, number) if number < described else None
        ),
    )
    _check_end(file, offset, planes)
    return planes


def _check_end(file: BinaryIO, offset: int, planes: tuple[Plane, ...]) -> None:
    plane_bytes = planes[0].stored_bytes
    behind = file.seek(0, os.SEEK_END) - offset - len(planes) * plane_bytes
    if behind and behind % plane_bytes == 0:
        raise UnreadableImageError(
            f"its header declares {len(planes)} section(s), but {behind // plane_bytes} more follow; was the "
            "file still being written?"
        )


def _pixel_size_um(header: Any) -> tuple[float, float] | None:
    """Divide the cell by its grid, if columns run along x and rows along y."""
    if (header["mapc"], header["mapr"]) != (1, 2) or header["mx"] < 1 or header["my"] < 1:
        return None
    return pixel_size(
        *(in_micrometres(float(header["cella"][axis]) / int(header["m" + axis]), "Å") for axis in "yx")
    )


def _stage_um(file: BinaryIO, fei: np.dtype[Any], number: int) -> tuple[float, ...] | None:
    """Read where the stage stood, of a section's part of FEI's extended header."""
    file.seek(HEADER_DTYPE.itemsize + number * fei.itemsize)
    section = np.fromfile(file, fei, count=1)[0]
    if section["Metadata size"] != fei.itemsize or ~section["Bitmask 1"] & _FEI_STAGE_KNOWN:
        return None
    return stage_position(*(in_micrometres(float(section[f"{axis}-Stage"]), "m") for axis in "XYZ"))
