"""Plates and wells of a report's images, and the grid of wells and times as SVG."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from markupsafe import Markup

from haste_apps.reporting.spots import Spot
from haste_core.wells import Well
from haste_runtime.drawing import picture, text
from haste_runtime.plates import EDGE, MAP_WIDTH, NUMBERED_CELL, Cell, draw_cell

Item = TypeVar("Item")

PLATES_SHOWN = 20


def cell_of(spots: Iterable[Spot]) -> Cell:
    """Sum up images of a well."""
    return Cell.of((spot.score, spot.tier) for spot in spots)


def by_plate(spots: Iterable[Spot]) -> dict[str, dict[Well, list[Spot]]]:
    """Sort the images that have a well by plate and well."""
    plates: dict[str, dict[Well, list[Spot]]] = defaultdict(lambda: defaultdict(list))
    for spot in spots:
        if spot.well is not None:
            plates[spot.plate][spot.well].append(spot)
    return {name: plates[name] for name in sorted(plates)}


def draw_grid(rows: Sequence[tuple[str, Mapping[Well, Sequence[Spot]]]]) -> Markup:
    """Draw wells by times: a row for each time, a column for each well, the colour of the mean score.

    Parameters
    ----------
    rows : sequence of (str, mapping)
        The name of each time, and its images by well.
    """
    wells = sorted({well for _, members in rows for well in members})
    left = 8.0 + 7.5 * max(len(name) for name, _ in rows)
    side = min(NUMBERED_CELL, max(4.0, (MAP_WIDTH - left) / len(wells)))
    content = [
        text(str(well), left + (number + 0.5) * side, EDGE - 6) for number, well in _every(wells, 30 / side)
    ]
    content += [
        text(name, left - 4, EDGE + (line + 0.5) * side + 4, class_="end")
        for line, (name, _) in _every(rows, 14 / side)
    ]
    for line, (name, members) in enumerate(rows):
        for number, well in enumerate(wells):
            if well in members:
                x, y = left + number * side, EDGE + line * side
                content += draw_cell(cell_of(members[well]), f"{well}, {name}", x, y, side=side)
    return picture(
        content,
        width=left + len(wells) * side + EDGE,
        height=EDGE + len(rows) * side + 2,
        label="Mean scores by time and well",
    )


def _every(items: Sequence[Item], distance: float) -> list[tuple[int, Item]]:
    """Choose the items that get a label, with their numbers: so many apart that the labels do not touch."""
    return list(enumerate(items))[:: max(1, math.ceil(distance))]
