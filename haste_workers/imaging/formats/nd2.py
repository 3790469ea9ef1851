"""Nikon ND2: every frame that is there, at its place in the loops of the acquisition."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from haste_workers.imaging.colour import luminance
from haste_workers.imaging.formats.extras import needing
from haste_workers.imaging.formats.nd2_frames import frame_offsets, read_frame
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
    from collections.abc import Callable

    from nd2 import ND2File
    from nd2.structures import Attributes, ExpLoop

_AXES = {"TimeLoop": "time", "NETimeLoop": "time", "XYPosLoop": "scene"}
"""Loops of an acquisition; all others count as focus series."""

_COLOURS = 3

_J2000, _J2000_DAY = datetime(2000, 1, 1, 12, tzinfo=UTC), 2_451_545.0
"""A time, and its Julian day."""

_CENTURY_DAYS = 36_525


@contextmanager
def open_nd2(path: Path) -> Iterator[OpenImage]:
    """Open an ND2 file, other than those of NIS-Elements' first versions, which hold JPEG 2000.

    Parameters
    ----------
    path : pathlib.Path

    Yields
    ------
    OpenImage
        Frames that were never taken, since the acquisition was stopped, are not among its planes.

    Raises
    ------
    UnreadableImageError
        The file is not whole, or its frames are packed with a loss.
    PermanentError
        The extra ``bioio`` is not installed here.
    """
    with needing("bioio", "an ND2 file"):
        from nd2 import ND2File
    with path.open("rb") as file:
        offsets = frame_offsets(file)
        with ND2File(path) as nd2:
            form = nd2.attributes
            if form.compressionType == "lossy":
                raise UnreadableImageError("its frames are packed with a loss; export it as TIFF")
            dtype = nd2.dtype
            yield OpenImage(
                format="ND2",
                dtype=dtype.name,
                bits=8 * dtype.itemsize,
                colour=_samples_of_a_channel(form) == _COLOURS,
                planes=_planes(nd2, file, offsets),
            )


def _samples_of_a_channel(form: Attributes) -> int:
    return form.componentCount // (form.channelCount or 1)


def _planes(nd2: ND2File, file: BinaryIO, offsets: dict[int, int]) -> tuple[Plane, ...]:
    form, dtype = nd2.attributes, nd2.dtype
    samples = form.componentCount
    colours = _COLOURS if _samples_of_a_channel(form) == _COLOURS else 1
    check_count(len(offsets) * samples)
    shape = (form.heightPx, form.widthPx or 0, samples)
    frame_bytes = declared_bytes(shape, dtype)
    metadata, stages = _described(nd2)

    # The samples of a frame lie side by side; channels that are decoded one after the other share it.
    @lru_cache(maxsize=1)
    def frame(number: int) -> Pixels:
        return read_frame(
            file,
            offsets[number],
            shape=shape,
            dtype=dtype,
            row_bytes=form.widthBytes or frame_bytes // form.heightPx,
            packed=form.compressionType == "lossless",
        )

    return tuple(
        Plane(
            decode=partial(_decoded, frame, number, first, colours),
            decoded_bytes=frame_bytes,
            stored_bytes=frame_bytes,
            decoded_together=samples // colours,
            position=replace(position, channel=first // colours),
            metadata=replace(
                metadata, stage_um=stages[position.scene] if position.scene < len(stages) else None
            ),
        )
        for number, position in _positions(nd2.experiment, sorted(offsets))
        for first in range(0, samples, colours)
    )


def _decoded(frame: Callable[[int], Pixels], number: int, first: int, colours: int) -> Pixels:
    pixels = frame(number)
    if colours == 1:
        return pixels[..., first].copy()
    # NIS-Elements keeps colours as Windows does: blue first.
    return luminance([pixels[..., first + sample] for sample in (2, 1, 0)])


def _positions(loops: Sequence[ExpLoop], frames: Sequence[int]) -> Iterator[tuple[int, Position]]:
    """Give each frame that is there its position; without loops that could, they are a focus series."""
    if frames[-1] >= math.prod(loop.count for loop in loops):
        yield from ((number, Position(z=number)) for number in frames)
        return
    for frame in frames:
        axes, slower = [], frame
        for loop in reversed(loops):
            slower, number = divmod(slower, loop.count)
            axes.append((_AXES.get(loop.type, "z"), number, loop.count))
        yield frame, Position.along(reversed(axes))


def _described(nd2: ND2File) -> tuple[Metadata, list[tuple[float, ...]]]:
    """Read what is told of all frames, and the positions of the stage by scene."""
    try:
        # nd2 warns of what it does not find.
        with warnings.catch_warnings(action="ignore"):
            check_count(math.prod(loop.count for loop in nd2.experiment))  # nd2 lists them all
            channels = nd2.metadata.channels or []
            first = nd2.frame_metadata(0)
    # What stands beside the pixels may be missing, or new, in any way.
    except Exception:
        return Metadata(), []
    if isinstance(first, dict) or not channels or not first.channels:
        return Metadata(), []
    volume = channels[0].volume
    width, height, _ = volume.axesCalibration
    since_2000 = first.channels[0].time.absoluteJulianDayNumber - _J2000_DAY
    # What has no clock writes 0 or -1.
    taken = _J2000 + timedelta(days=since_2000) if abs(since_2000) < _CENTURY_DAYS else None
    points = [loop.parameters.points for loop in nd2.experiment if loop.type == "XYPosLoop"]
    stages = [tuple(point.stagePositionUm[:2]) for point in points[0]] if points else []
    return Metadata(
        channel_names=tuple(channel.channel.name for channel in channels),
        pixel_size_um=(height, width) if all(volume.axesCalibrated[:2]) else None,
        acquired=taken.isoformat(timespec="seconds") if taken else None,
    ), stages or [tuple(first.channels[0].position.stagePositionUm)]
