"""Plate maps as SVG: wells in the colours of their mean scores."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from markupsafe import Markup

from haste_core.wells import Well
from haste_runtime.drawing import element, ink_on, picture, score_colour, text

FORMATS = {96: (8, 12), 384: (16, 24), 1536: (32, 48)}
"""Rows and columns of plates, by their number of wells."""

MAP_WIDTH = 640.0
EDGE = 26.0
NUMBERED_CELL = 26.0  # a score of two digits fits in
_LARGEST_CELL = 40.0


@dataclass(frozen=True)
class Cell:
    """Some images of one well.

    Attributes
    ----------
    score : float or None
        The mean of those that have one.
    tiers : mapping of int
        How many of them are in which tier.
    """

    count: int
    score: float | None
    tiers: Mapping[str, int]

    @classmethod
    def of(cls, images: Iterable[tuple[float | None, str]]) -> Cell:
        """Sum up images, each as its score and tier."""
        there = list(images)
        scores = [score for score, _ in there if score is not None]
        tiers: dict[str, int] = {}
        for _, tier in there:
            tiers[tier] = tiers.get(tier, 0) + 1
        return cls(len(there), fmean(scores) if scores else None, tiers)

    def describe(self, name: str) -> str:
        """Say what the well holds, in a line."""
        tiers = ", ".join(f"{count} in {tier}" for tier, count in sorted(self.tiers.items()))
        score = "-" if self.score is None else f"{self.score:.3f}"
        return f"{name}: mean score {score} of {self.count} images; {tiers}"


def format_of(wells: Iterable[Well]) -> int:
    """Return how many wells the smallest plate has that holds these."""
    there = list(wells)
    rows, columns = max(well.row for well in there), max(well.column for well in there)
    return next(count for count, size in FORMATS.items() if rows <= size[0] and columns <= size[1])


def draw_plate(wells: Mapping[Well, Cell]) -> Markup:
    """Draw a plate, each well in the colour of its mean score; wells without images are outlines."""
    wells_there = format_of(wells)
    rows, columns = FORMATS[wells_there]
    side = min(_LARGEST_CELL, MAP_WIDTH / columns)
    content = [*_labels([Well(row, 1) for row in range(1, rows + 1)], columns, side)]
    for row in range(1, rows + 1):
        for column in range(1, columns + 1):
            well = Well(row, column)
            x, y = EDGE + (column - 1) * side, EDGE + (row - 1) * side
            content += draw_cell(wells.get(well), str(well), x, y, side=side)
    return picture(
        content,
        width=EDGE + columns * side + 2,
        height=EDGE + rows * side + 2,
        label=f"Plate of {wells_there} wells, coloured by mean score",
    )


def draw_cell(cell: Cell | None, name: str, x: float, y: float, *, side: float) -> Iterator[Markup]:
    """Draw a well or a cell of a grid, with its score where that fits in."""
    size = {"x": x + 0.5, "y": y + 0.5, "width": side - 1, "height": side - 1}
    if cell is None:
        yield element("rect", **size, class_="none")
        return
    yield element(
        "rect", element("title", cell.describe(name)), **size, fill=score_colour(cell.score), rx=side / 8
    )
    if side >= NUMBERED_CELL:
        shown = "-" if cell.score is None else f"{cell.score:.2f}"
        # By a class, since pages allow no styles within elements, and style sheets overrule attributes.
        ground = "dark" if ink_on(cell.score) == "#fff" else "light"
        yield text(shown, x + side / 2, y + side / 2 + 4, class_=f"on {ground}")


def _labels(first_wells: Sequence[Well], columns: int, side: float) -> Iterator[Markup]:
    """Write the letters of rows and numbers of columns, as many as can be read."""
    every = 1 if side >= 16 else 2
    for well in first_wells[::every]:
        y = EDGE + (well.row - 0.5) * side + 4
        yield text(str(well).rstrip("0123456789"), EDGE - 4, y, class_="end")
    for column in range(1, columns + 1, every):
        yield text(str(column), EDGE + (column - 0.5) * side, EDGE - 6)
