"""Zeiss CZI: every plane of every scene, put together from its tiles by Zeiss' own library."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO
from xml.etree import ElementTree

import numpy as np

from haste_workers.imaging.colour import luminance
from haste_workers.imaging.formats.czi_tiles import Tile, check_tiles, stored_tiles
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
    check_size,
    declared_bytes,
)

if TYPE_CHECKING:
    from pylibCZIrw.czi import CziReader

_AXES = {"S": "scene", "T": "time", "C": "channel"}
"""Dimensions of a CZI; all others count as planes of a focus series."""


@dataclass(frozen=True)
class _PixelType:
    name: str
    dtype: np.dtype[np.generic]
    samples: int


_PIXEL_TYPES = {
    0: _PixelType("Gray8", np.dtype(np.uint8), 1),
    1: _PixelType("Gray16", np.dtype(np.uint16), 1),
    2: _PixelType("Gray32Float", np.dtype(np.float32), 1),
    3: _PixelType("Bgr24", np.dtype(np.uint8), 3),
    4: _PixelType("Bgr48", np.dtype(np.uint16), 3),
}
"""By Zeiss' numbers: those that libCZI reads without a loss."""


@contextmanager
def open_czi(path: Path) -> Iterator[OpenImage]:
    """Open a CZI file.

    Parameters
    ----------
    path : pathlib.Path

    Yields
    ------
    OpenImage
        The tiles of a mosaic are put together, one plane for a scene, channel, plane and time point; where
        the scene has no tile, it is black. Reduced copies (pyramids), previews and attachments are left out.
        A plane that lacks tiles which others of its scene have raises an error when it is decoded.

    Raises
    ------
    UnreadableImageError
        The file is not whole, is one of several, or holds what has no grey level.
    PermanentError
        The extra ``bioio`` is not installed here.
    """
    with needing("bioio", "a CZI file"):
        from pylibCZIrw import czi
    with path.open("rb") as file:
        tiles = [tile for tile in stored_tiles(file) if not tile.reduced]
        by_place = _by_place(tiles)
        check_count(len(by_place))
        with czi.open_czi(str(path)) as document:
            planes = _planes(document, file, by_place)
            first = _pixel_type(tiles[:1])
            yield OpenImage(
                format="CZI",
                dtype=first.dtype.name,
                bits=8 * first.dtype.itemsize,
                colour=first.samples > 1,
                planes=planes,
            )


_Place = tuple[tuple[str, int], ...]
"""Where a plane stands, in the file's own numbers: dimension and start of each."""


def _by_place(tiles: Iterable[Tile]) -> dict[_Place, list[Tile]]:
    places: dict[_Place, list[Tile]] = defaultdict(list)
    for tile in tiles:
        places[tuple(sorted(tile.at.items()))].append(tile)
    return dict(sorted(places.items()))


def _planes(document: CziReader, file: BinaryIO, by_place: Mapping[_Place, list[Tile]]) -> tuple[Plane, ...]:
    numbers = _numbers(by_place)
    described = _described(document.raw_metadata, channels=sorted(numbers.get("C", {0: 0})))
    scenes: dict[int | None, list[Tile]] = defaultdict(list)
    most: dict[int | None, int] = defaultdict(int)
    for place, tiles in by_place.items():
        scene = dict(place).get("S")
        scenes[scene] += tiles
        most[scene] = max(most[scene], len(tiles))
    frames = {scene: _frame(tiles) for scene, tiles in scenes.items()}
    planes = []
    for place, tiles in by_place.items():
        at = dict(place)
        scene = at.pop("S", None)
        kind, (_, _, width, height) = _pixel_type(tiles), frames[scene]
        source = _Source(document, file, at, scene, frames[scene], kind, tiles, expected=most[scene])
        shared, stages = described
        planes.append(
            Plane(
                decode=partial(_decoded, source),
                decoded_bytes=declared_bytes((height, width, kind.samples), kind.dtype),
                # What the tiles really take is looked at when they are decoded; there may be many thousands.
                stored_bytes=declared_bytes((height, width, kind.samples), kind.dtype),
                position=_position(place, numbers),
                metadata=replace(shared, stage_um=stages.get(scene or 0)),
            )
        )
    return tuple(planes)


@dataclass(frozen=True)
class _Source:
    """All that decoding one plane needs; `frame` is x, y, width and height of its scene."""

    document: CziReader
    file: BinaryIO
    at: dict[str, int]
    scene: int | None
    frame: tuple[int, int, int, int]
    kind: _PixelType
    tiles: Sequence[Tile]
    expected: int


def _decoded(source: _Source) -> Pixels:
    if len(source.tiles) < source.expected:
        raise UnreadableImageError(
            f"a plane of the CZI ({source.at}) has {len(source.tiles)} of the {source.expected} tiles that "
            "others of its scene have; was the acquisition stopped? Choose another scene, time or channel"
        )
    _, _, width, height = source.frame
    kind = source.kind
    decoded_bytes = declared_bytes((height, width, kind.samples), kind.dtype)
    stored_bytes = check_tiles(source.file, source.tiles, pixel_bytes=kind.samples * kind.dtype.itemsize)
    check_size(decoded_bytes, stored_bytes=stored_bytes, max_bytes=decoded_bytes)
    pixels: Pixels = source.document.read(
        plane=source.at, scene=source.scene, roi=source.frame, pixel_type=kind.name
    )
    if kind.samples == 1:
        return pixels[..., 0]
    return luminance([pixels[..., sample] for sample in (2, 1, 0)])


def _pixel_type(tiles: Iterable[Tile]) -> _PixelType:
    numbers = {tile.pixel_type for tile in tiles}
    if len(numbers) != 1 or not numbers <= _PIXEL_TYPES.keys():
        raise UnreadableImageError(
            f"its pixels (Zeiss' types {sorted(numbers)}) have no grey level; export it with 8 or 16 bits"
        )
    return _PIXEL_TYPES[numbers.pop()]


def _frame(tiles: Iterable[Tile]) -> tuple[int, int, int, int]:
    """Return x, y, width and height of the smallest rectangle around tiles."""
    left, top, right, bottom = zip(
        *((tile.x, tile.y, tile.x + tile.width, tile.y + tile.height) for tile in tiles), strict=True
    )
    return min(left), min(top), max(right) - min(left), max(bottom) - min(top)


def _numbers(places: Iterable[_Place]) -> dict[str, dict[int, int]]:
    """Count the starts along each dimension from 0: a file that was split keeps those of the whole."""
    starts: dict[str, set[int]] = defaultdict(set)
    for place in places:
        for axis, start in place:
            starts[axis].add(start)
    return {axis: {start: n for n, start in enumerate(sorted(found))} for axis, found in starts.items()}


def _position(place: _Place, numbers: Mapping[str, Mapping[int, int]]) -> Position:
    return Position.along(
        (_AXES.get(axis, "z"), numbers[axis][start], len(numbers[axis])) for axis, start in sorted(place)
    )


def _described(xml: str, *, channels: Sequence[int]) -> tuple[Metadata, dict[int, tuple[float, float]]]:
    """Read what the file's XML says of all planes, and of the stage at each scene."""
    # It needs no document type; entities of one could unpack without end.
    if "<!DOCTYPE" in xml:
        return Metadata(), {}
    try:
        root = ElementTree.fromstring(xml)  # noqa: S314 - without document type there are no entities
    except ElementTree.ParseError:
        return Metadata(), {}
    image = "Metadata/Information/Image"
    names = {
        channel.get("Id", ""): channel.get("Name", channel.get("Id", ""))
        for channel in root.findall(f"{image}/Dimensions/Channels/Channel")
    }
    lengths = {
        axis: in_micrometres(root.findtext(f"Metadata/Scaling/Items/Distance[@Id='{axis}']/Value"), "m")
        for axis in "XY"
    }
    height, width = lengths["Y"], lengths["X"]
    shared = Metadata(
        channel_names=tuple(names.get(f"Channel:{number}", "") for number in channels) if names else (),
        pixel_size_um=(height, width) if height and width else None,
        acquired=root.findtext(f"{image}/AcquisitionDateAndTime"),
    )
    scenes = root.findall(f"{image}/Dimensions/S/Scenes/Scene")
    return shared, {
        int(scene.get("Index") or number): stage
        for number, scene in enumerate(scenes)
        if (stage := _point(scene.findtext("CenterPosition")))
    }


def _point(text: str | None) -> tuple[float, float] | None:
    parts = [in_micrometres(part, "µm") for part in (text or "").split(",")]
    if len(parts) != 2 or parts[0] is None or parts[1] is None:
        return None
    return parts[0], parts[1]
