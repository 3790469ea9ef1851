"""Leica LIF: every image of the file, plane by plane, as its XML says that they lie."""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO
from xml.etree import ElementTree

import numpy as np

from haste_workers.imaging.colour import luminance
from haste_workers.imaging.formats.extras import needing
from haste_workers.imaging.formats.units import in_micrometres
from haste_workers.imaging.image import (
    Metadata,
    OpenImage,
    Pixels,
    Plane,
    Position,
    UnreadableImageError,
    check_count,
    declared_bytes,
)

if TYPE_CHECKING:
    from liffile import LifFile, LifImageABC

_X, _Y, _Z, _T, _TILE = 1, 2, 3, 4, 10
"""Leica's numbers of dimensions (DimID)."""

_AXES = {_T: "time", _TILE: "scene"}
"""All others count as planes of a focus series."""

_START = struct.Struct("<9xI")
"""Before the XML; its last number is the XML's length in characters."""

_RED, _GREEN, _BLUE = 1, 2, 3
"""Leica's ChannelTag; 0 is grey."""


@dataclass(frozen=True)
class _Dimension:
    kind: int
    size: int
    step_bytes: int
    pixel_um: float | None


@dataclass(frozen=True)
class _Channel:
    dtype: np.dtype[np.generic]
    offset: int
    tag: int
    name: str


@contextmanager
def open_lif(path: Path) -> Iterator[OpenImage]:
    """Open a LIF file.

    Parameters
    ----------
    path : pathlib.Path

    Yields
    ------
    OpenImage
        Each image of the file is a scene, and so is each tile of a mosaic. A plane is spanned by the two
        dimensions that were scanned first, X and Y in most files. Photon counts of lifetime imaging are
        left out. A plane whose pixels are not all in the file raises an error when it is decoded.

    Raises
    ------
    UnreadableImageError
        The file is no LIF, or damaged, or refers to images in other files.
    PermanentError
        The extra ``bioio`` is not installed here.
    """
    with needing("bioio", "a LIF file"):
        from liffile import LifFile
    with path.open("rb") as file:
        _check_xml(file)
        with LifFile(file) as lif:
            yield _open_image(file, lif)


def _open_image(file: BinaryIO, lif: LifFile) -> OpenImage:
    images = _images(lif)
    planes: list[Plane] = []
    scenes = 0
    for image in images:
        planes += _planes(file, image, first_scene=scenes)
        check_count(len(planes))
        scenes = planes[-1].position.scene + 1
    channels = _channels(images[0])
    return OpenImage(
        format="LIF",
        dtype=channels[0].dtype.name,
        bits=8 * channels[0].dtype.itemsize,
        colour=_is_colour(channels),
        planes=tuple(planes),
    )


def _check_xml(file: BinaryIO) -> None:
    """Refuse a file that ends before its XML, for which liffile would take memory."""
    start = file.read(_START.size)
    if len(start) < _START.size or _START.size + 2 * _START.unpack(start)[0] > file.seek(0, os.SEEK_END):
        raise UnreadableImageError("the LIF is not complete; was it still being written or copied?")
    file.seek(0)


def _images(lif: LifFile) -> list[LifImageABC]:
    # liffile would open whatever file is named there.
    if lif.xml_element.find(".//Children/Reference") is not None:
        raise UnreadableImageError("the LIF refers to other files; export each image as a file")
    images = [image for image in lif.images if not image.is_flim]
    # liffile keeps the last of images with one name.
    if len(images) != len(lif.xml_element.findall(".//Element/Data/Image")):
        raise UnreadableImageError("several images in the LIF have the same name; rename them")
    check_count(len(images))
    return images


def _planes(file: BinaryIO, image: LifImageABC, *, first_scene: int) -> list[Plane]:
    channels = _channels(image)
    *outer, rows, columns = _dimensions(image)
    colour = _is_colour(channels)
    check_count(math.prod(dimension.size for dimension in outer))
    metadata = _metadata(image, channels, rows, columns)
    stages = _stages(image)
    planes = []
    for numbers in np.ndindex(*(dimension.size for dimension in outer)):
        offset = sum(n * d.step_bytes for n, d in zip(numbers, outer, strict=True))
        position = _position(outer, numbers)
        stage = stages[position.scene] if position.scene < len(stages) else None
        for number, kinds in enumerate([channels] if colour else [(channel,) for channel in channels]):
            planes.append(
                Plane(
                    decode=partial(_decoded, file, image, offset, (rows, columns), kinds),
                    decoded_bytes=declared_bytes((rows.size, columns.size, len(kinds)), kinds[0].dtype),
                    # Less than that where rows lie one over the other.
                    stored_bytes=_span((rows, columns), kinds[0]),
                    position=replace(position, scene=first_scene + position.scene, channel=number),
                    metadata=replace(metadata, stage_um=stage),
                )
            )
    return planes


def _position(outer: Sequence[_Dimension], numbers: Sequence[int]) -> Position:
    return Position.along(
        (_AXES.get(dimension.kind, "z"), number, dimension.size)
        for dimension, number in zip(outer, numbers, strict=True)
    )


def _decoded(
    file: BinaryIO,
    image: LifImageABC,
    offset: int,
    sides: tuple[_Dimension, _Dimension],
    channels: Sequence[_Channel],
) -> Pixels:
    planes = [_plane(file, image, offset, sides, channel) for channel in channels]
    return luminance(planes) if len(planes) > 1 else planes[0]


def _plane(
    file: BinaryIO,
    image: LifImageABC,
    offset: int,
    sides: tuple[_Dimension, _Dimension],
    channel: _Channel,
) -> Pixels:
    shape = tuple(side.size for side in sides)
    strides = tuple(side.step_bytes for side in sides)
    span = _span(sides, channel)
    start = offset + channel.offset
    try:
        block = image.memory_block
    except KeyError:
        block = None
    file_bytes = file.seek(0, os.SEEK_END)
    if block is None or start < 0 or start + span > block.size or block.offset + start + span > file_bytes:
        raise UnreadableImageError(
            f"the pixels of {image.path!r} are not all in the LIF; was it still being written or copied, or "
            "the acquisition stopped? Choose another scene or time"
        )
    file.seek(block.offset + start)
    pixels: Pixels = np.ndarray(shape, channel.dtype, file.read(span), strides=strides)
    return pixels.astype(channel.dtype.newbyteorder("="))


def _span(sides: tuple[_Dimension, _Dimension], channel: _Channel) -> int:
    return sum((side.size - 1) * side.step_bytes for side in sides) + channel.dtype.itemsize


def _dimensions(image: LifImageABC) -> list[_Dimension]:
    """List the dimensions of more than one element, those that were scanned first at the end."""
    described = image.xml_element.findall("./Data/Image/ImageDescription/Dimensions/DimensionDescription")
    dimensions = sorted(
        (_dimension(element) for element in described if int(element.attrib["NumberOfElements"]) != 1),
        key=lambda dimension: -dimension.step_bytes,
    )
    if len(dimensions) < 2 or any(d.size <= 0 or d.step_bytes <= 0 for d in dimensions):
        raise UnreadableImageError(f"{image.path!r} in the LIF is no image with rows and columns")
    return dimensions


def _dimension(element: ElementTree.Element) -> _Dimension:
    size = int(element.attrib["NumberOfElements"])
    length = in_micrometres(element.get("Length"), element.get("Unit", ""))
    kind = int(element.attrib["DimID"])
    return _Dimension(
        kind=kind,
        size=size,
        step_bytes=int(element.attrib["BytesInc"]),
        # From the middle of the first pixel to that of the last; some axes run backwards.
        pixel_um=abs(length) / (size - 1) if length and size > 1 else None,
    )


def _channels(image: LifImageABC) -> list[_Channel]:
    described = image.xml_element.findall("./Data/Image/ImageDescription/Channels/ChannelDescription")
    channels = sorted((_channel(element) for element in described), key=lambda channel: channel.offset)
    if not channels:
        raise UnreadableImageError(f"{image.path!r} in the LIF has no channels")
    if len({channel.dtype for channel in channels}) > 1:
        raise UnreadableImageError(f"the channels of {image.path!r} have different depths; export each")
    if _is_colour(channels):
        return sorted(channels, key=lambda channel: channel.tag)
    return channels


def _channel(element: ElementTree.Element) -> _Channel:
    bits = int(element.attrib["Resolution"])
    size = next((size for size in (1, 2, 4, 8) if 0 < bits <= 8 * size), None)
    is_float = element.get("DataType") == "1"
    if size is None or (is_float and size == 1):
        raise UnreadableImageError(f"its samples of {bits} bits have no grey level; export it with 8 or 16")
    dye = next(
        (
            prop.findtext("Value")
            for prop in element.findall("ChannelProperty")
            if prop.findtext("Key") == "DyeName"
        ),
        None,
    )
    return _Channel(
        dtype=np.dtype(f"<{'f' if is_float else 'u'}{size}"),
        offset=int(element.attrib["BytesInc"]),
        tag=int(element.get("ChannelTag", 0)),
        name=dye or element.get("LUTName") or "",
    )


def _is_colour(channels: Sequence[_Channel]) -> bool:
    return sorted(channel.tag for channel in channels) == [_RED, _GREEN, _BLUE]


def _metadata(
    image: LifImageABC, channels: Sequence[_Channel], rows: _Dimension, columns: _Dimension
) -> Metadata:
    times = image.timestamps
    sides = rows.pixel_um, columns.pixel_um
    names = () if _is_colour(channels) else tuple(channel.name for channel in channels)
    return Metadata(
        channel_names=names if any(names) else (),
        pixel_size_um=(sides[0], sides[1]) if sides[0] and sides[1] else None,
        # Windows' file times are in UTC.
        acquired=f"{times[0]}Z" if times is not None and len(times) else None,
    )


def _stages(image: LifImageABC) -> list[tuple[float, float]]:
    """List the positions of the stage at the tiles of a mosaic, in micrometres."""
    scan = image.tilescan
    if scan is None:
        return []
    return [(1e6 * float(x), 1e6 * float(y)) for x, y in zip(scan["pos_x"], scan["pos_y"], strict=True)]
