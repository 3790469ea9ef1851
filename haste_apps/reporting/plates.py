"""Plate maps, and the grid of wells and times, as SVG."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from markupsafe import Markup

from haste_apps.output import number_text
from haste_apps.reporting.tiers import mean
from haste_client.answers import ImageAnswer
from haste_core.wells import Well
from haste_runtime.drawing import element, ink_on, picture, score_colour, text

Item = TypeVar("Item")

FORMATS = {96: (8, 12), 384: (16, 24), 1536: (32, 48)}
"""Rows and columns of plates, by their number of wells."""

PLATES_SHOWN = 20
_MAP_WIDTH = 640.0
_EDGE = 26.0
_LARGEST_CELL = 40.0
_NUMBERED_CELL = 26.0  # a score of two digits fits in


@dataclass(frozen=True)
class Cell:
    """Some images of one well.

    Attributes
    ----------
    score : float or None
        The mean of those that have one.
    """

    count: int
    score: float | None
    tiers: Mapping[str, int]

    @classmethod
    def of(cls, images: Sequence[ImageAnswer]) -> Cell:
        """Sum up images."""
        return cls(
            len(images), mean(image.score for image in images), Counter(image.tier for image in images)
        )

    def describe(self, name: str) -> str:
        """Say what the well holds, in a line."""
        tiers = ", ".join(f"{count} in {tier}" for tier, count in sorted(self.tiers.items()))
        return f"{name}: mean score {number_text(self.score)} of {self.count} images; {tiers}"


def well_of(image: ImageAnswer) -> Well | None:
    """Read an image's well from its metadata."""
    try:
        return Well.parse(str(image.metadata["well"]))
    except (KeyError, ValueError):
        return None


def by_plate(images: Iterable[ImageAnswer]) -> dict[str, dict[Well, list[ImageAnswer]]]:
    """Sort the images that have a well by plate and well; a plate without a name is ''."""
    plates: dict[str, dict[Well, list[ImageAnswer]]] = defaultdict(lambda: defaultdict(list))
    for image in images:
        well = well_of(image)
        if well is not None:
            plates[str(image.metadata.get("plate") or "")][well].append(image)
    return {name: plates[name] for name in sorted(plates)}


def format_of(wells: Iterable[Well]) -> int:
    """Return how many wells the smallest plate has that holds these."""
    there = list(wells)
    rows, columns = max(well.row for well in there), max(well.column for well in there)
    return next(count for count, size in FORMATS.items() if rows <= size[0] and columns <= size[1])


def draw_plate(wells: Mapping[Well, Sequence[ImageAnswer]]) -> Markup:
    """Draw a plate, each well in the colour of its mean score; wells without images are outlines."""
    wells_there = format_of(wells)
    rows, columns = FORMATS[wells_there]
    side = min(_LARGEST_CELL, _MAP_WIDTH / columns)
    content = [*_labels([Well(row, 1) for row in range(1, rows + 1)], columns, side)]
    for row in range(1, rows + 1):
        for column in range(1, columns + 1):
            well = Well(row, column)
            x, y = _EDGE + (column - 1) * side, _EDGE + (row - 1) * side
            cell = Cell.of(wells[well]) if well in wells else None
            content += _drawn(cell, str(well), x, y, side=side)
    return picture(
        content,
        width=_EDGE + columns * side + 2,
        height=_EDGE + rows * side + 2,
        label=f"Plate of {wells_there} wells, coloured by mean score",
    )


def _labels(first_wells: Sequence[Well], columns: int, side: float) -> Iterator[Markup]:
    """Write the letters of rows and numbers of columns, as many as can be read."""
    every = 1 if side >= 16 else 2
    for well in first_wells[::every]:
        y = _EDGE + (well.row - 0.5) * side + 4
        yield text(str(well).rstrip("0123456789"), _EDGE - 4, y, class_="end")
    for column in range(1, columns + 1, every):
        yield text(str(column), _EDGE + (column - 0.5) * side, _EDGE - 6)


def _drawn(cell: Cell | None, name: str, x: float, y: float, *, side: float) -> Iterator[Markup]:
    """Draw a well or a cell of the grid, with its score where that fits in."""
    size = {"x": x + 0.5, "y": y + 0.5, "width": side - 1, "height": side - 1}
    if cell is None:
        yield element("rect", **size, class_="none")
        return
    yield element(
        "rect", element("title", cell.describe(name)), **size, fill=score_colour(cell.score), rx=side / 8
    )
    if side >= _NUMBERED_CELL:
        shown = number_text(cell.score, 2)
        yield text(shown, x + side / 2, y + side / 2 + 4, style=f"fill:{ink_on(cell.score)}", class_="on")


def draw_grid(rows: Sequence[tuple[str, Mapping[Well, Sequence[ImageAnswer]]]]) -> Markup:
    """Draw wells by times: a row for each time, a column for each well, the colour of the mean score.

    Parameters
    ----------
    rows : sequence of (str, mapping)
        The name of each time, and its images by well.
    """
    wells = sorted({well for _, members in rows for well in members})
    left = 8.0 + 7.5 * max(len(name) for name, _ in rows)
    side = min(_NUMBERED_CELL, max(4.0, (_MAP_WIDTH - left) / len(wells)))
    content = [
        text(str(well), left + (number + 0.5) * side, _EDGE - 6) for number, well in _every(wells, 30 / side)
    ]
    content += [
        text(name, left - 4, _EDGE + (line + 0.5) * side + 4, class_="end")
        for line, (name, _) in _every(rows, 14 / side)
    ]
    for line, (name, members) in enumerate(rows):
        for number, well in enumerate(wells):
            if well in members:
                x, y = left + number * side, _EDGE + line * side
                content += _drawn(Cell.of(members[well]), f"{well}, {name}", x, y, side=side)
    return picture(
        content,
        width=left + len(wells) * side + _EDGE,
        height=_EDGE + len(rows) * side + 2,
        label="Mean scores by time and well",
    )


def _every(items: Sequence[Item], distance: float) -> list[tuple[int, Item]]:
    """Choose the items that get a label, with their numbers: so many apart that the labels do not touch."""
    return list(enumerate(items))[:: max(1, math.ceil(distance))]
