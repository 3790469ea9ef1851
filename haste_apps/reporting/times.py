"""The time points of a stream's images: as their names tell them, else by the clock."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import groupby
from operator import itemgetter

from haste_apps.reporting.spots import Spot
from haste_core.wells import Well

ROWS_AT_MOST = 60
"""Of the grid of wells and times; more time points share a row."""

Row = tuple[str, Mapping[Well, Sequence[Spot]]]


def rows_by_time(wells: Mapping[Well, Sequence[Spot]]) -> list[Row]:
    """Sort a plate's images by time, then by well.

    Parameters
    ----------
    wells : mapping of sequence of Spot
        The images of one plate.

    Returns
    -------
    list of (str, mapping)
        One for each time point ``t`` of the metadata, in its order; without these, and if the wells were
        visited twice at least, one for each equal part of the time between the first and the last
        acquisition. Else none.
    """
    images = [(well, image) for well, members in wells.items() for image in members]
    named = _by_name(images)
    return named if named else _by_clock(images)


def _by_name(images: Sequence[tuple[Well, Spot]]) -> list[Row]:
    points: dict[str, dict[Well, list[Spot]]] = defaultdict(lambda: defaultdict(list))
    for well, image in images:
        if image.time_point is not None:
            points[image.time_point][well].append(image)
    if len(points) < 2:
        return []
    return _merged([(name, points[name]) for name in sorted(points, key=_natural)])


def _by_clock(images: Sequence[tuple[Well, Spot]]) -> list[Row]:
    timed = sorted(
        ((image.timestamp, well, image) for well, image in images if image.timestamp is not None),
        key=itemgetter(0, 1),
    )
    visits = [well for well, _ in groupby(well for _, well, _ in timed)]
    if not timed or len(visits) < 2 * len(set(visits)) or timed[0][0] == timed[-1][0]:
        return []
    first, step = timed[0][0], (timed[-1][0] - timed[0][0]) / ROWS_AT_MOST
    points: dict[int, dict[Well, list[Spot]]] = defaultdict(lambda: defaultdict(list))
    for seconds, well, image in timed:
        points[min(int((seconds - first) / step), ROWS_AT_MOST - 1)][well].append(image)
    return [(_clock(first + number * step), points[number]) for number in sorted(points)]


def _merged(rows: Sequence[Row]) -> list[Row]:
    """Put neighbours together until there are few enough rows."""
    size = -(-len(rows) // ROWS_AT_MOST)
    if size == 1:
        return list(rows)
    merged: list[Row] = []
    for start in range(0, len(rows), size):
        part = rows[start : start + size]
        together: dict[Well, list[Spot]] = defaultdict(list)
        for _, members in part:
            for well, images in members.items():
                together[well] += images
        merged.append((f"{part[0][0]} to {part[-1][0]}" if len(part) > 1 else part[0][0], together))
    return merged


def _natural(name: str) -> list[tuple[bool, float, str]]:
    """Order by the numbers in a name: t2 before t10."""
    parts = re.findall(r"\d+(?:\.\d+)?|\D+", name)
    return [(False, float(part), "") if part[0].isdecimal() else (True, 0.0, part) for part in parts]


def _clock(seconds: float) -> str:
    # In UTC, so that a page says the same on all machines.
    return datetime.fromtimestamp(seconds, UTC).strftime("%m-%d %H:%M:%S")
