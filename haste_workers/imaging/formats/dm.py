"""DM3 and DM4, the formats of Gatan's DigitalMicrograph (GMS)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

import numpy as np

from haste_workers.imaging.formats.dm_tags import Block, DmFile, Tag, number_at, tag_at
from haste_workers.imaging.formats.uncompressed import uncompressed_planes
from haste_workers.imaging.formats.units import in_micrometres, pixel_size, stage_position
from haste_workers.imaging.image import (
    Metadata,
    OpenImage,
    Plane,
    Position,
    UnreadableImageError,
    check_count,
)

_GREY = {1: "i2", 2: "f4", 6: "u1", 7: "i4", 9: "i1", 10: "u2", 11: "u4", 12: "f8", 14: "u1"}
"""Kinds of pixel by DigitalMicrograph's numbers; all others are complex, or colours."""

_MAX_AXES = 5

_FILETIME_EPOCH = datetime(1601, 1, 1, tzinfo=UTC)


@contextmanager
def open_dm(path: Path) -> Iterator[OpenImage]:
    """Open a DM3 or DM4 file.

    Parameters
    ----------
    path : pathlib.Path

    Yields
    ------
    OpenImage
        Its images are scenes; whatever lies above rows and columns is planes of a focus series. The thumbnail
        is left out.

    Raises
    ------
    UnreadableImageError
        The file is not whole, or holds spectra, colours or complex numbers.
    """
    with path.open("rb") as file:
        dm = DmFile(file)
        images = _images(dm.tags)
        if not images:
            raise UnreadableImageError("the DM file holds no image")
        dtype = _dtype(dm, images[0])
        yield OpenImage(
            format=f"DM{dm.version}",
            dtype=dtype.name,
            bits=dtype.itemsize * 8,
            colour=False,
            planes=tuple(_all_planes(file, dm, images)),
        )


def _images(tags: Tag) -> list[Tag]:
    """List the images that are no thumbnails of others."""
    listed, thumbnails = tag_at(tags, "ImageList"), tag_at(tags, "Thumbnails")
    if not isinstance(listed, dict):
        return []
    left_out = (
        {number_at(thumbnail, "ImageIndex") for thumbnail in thumbnails.values()}
        if isinstance(thumbnails, dict)
        else set()
    )
    return [image for number, image in enumerate(listed.values()) if number not in left_out]


def _dtype(dm: DmFile, image: Tag) -> np.dtype[np.generic]:
    kind = number_at(image, "ImageData", "DataType")
    if kind not in _GREY:
        raise UnreadableImageError(
            f"it holds complex numbers or colours (type {kind} of DigitalMicrograph), which have no grey "
            "level; export what should be scored as TIFF"
        )
    return np.dtype(dm.byte_order + _GREY[int(kind)])


def _all_planes(file: BinaryIO, dm: DmFile, images: list[Tag]) -> list[Plane]:
    planes: list[Plane] = []
    for scene, image in enumerate(images):
        planes += _planes(file, dm, image, scene)
        check_count(len(planes))
    return planes


def _planes(file: BinaryIO, dm: DmFile, image: Tag, scene: int) -> tuple[Plane, ...]:
    data, dimensions = tag_at(image, "ImageData", "Data"), tag_at(image, "ImageData", "Dimensions")
    labels = list(dimensions) if isinstance(dimensions, dict) else []
    if not 2 <= len(labels) <= _MAX_AXES:
        raise UnreadableImageError(f"it holds data of {len(labels)} axes, no image; a spectrum has 1")
    sides = [int(number_at(dimensions, label) or 0) for label in labels]
    dtype = _dtype(dm, image)
    if not isinstance(data, Block) or data.size_bytes != math.prod(sides) * dtype.itemsize:
        raise UnreadableImageError("damaged DM file (an image's size is not that of its pixels)")
    width, height, *outer = sides
    metadata = _metadata(dm, image)
    return uncompressed_planes(
        file,
        offset=data.offset,
        shape=(math.prod(outer), height, width),
        dtype=dtype,
        position_of=lambda number: Position(scene=scene, z=number),
        metadata_of=lambda _: metadata,
    )


def _metadata(dm: DmFile, image: Tag) -> Metadata:
    stage = tag_at(image, "ImageTags", "Microscope Info", "Stage Position")
    return Metadata(
        pixel_size_um=pixel_size(_side_um(dm, image, "1"), _side_um(dm, image, "0")),
        acquired=_acquired(number_at(image, "ImageTags", "DataBar", "Acquisition Time (OS)")),
        stage_um=stage_position(*(number_at(stage, f"Stage {axis}") for axis in "XYZ")),
    )


def _side_um(dm: DmFile, image: Tag, dimension: str) -> float | None:
    calibration = tag_at(image, "ImageData", "Calibrations", "Dimension", dimension)
    return in_micrometres(number_at(calibration, "Scale"), dm.text(tag_at(calibration, "Units")))


def _acquired(filetime: float | None) -> str | None:
    """Convert Windows' 100 ns since 1601. The date is told as a text, too, but in the order of the locale."""
    if not filetime:
        return None
    try:
        return (_FILETIME_EPOCH + timedelta(microseconds=filetime / 10)).isoformat(timespec="seconds")
    except OverflowError:
        return None
