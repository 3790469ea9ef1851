"""Points over an axis as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from haste_runtime.charts import ticks
from haste_runtime.drawing import element, picture, text

_WIDTH, _HEIGHT = 640.0, 200.0  # of the field, in SVG units
_LEFT, _RIGHT, _TOP, _BOTTOM = 46.0, 20.0, 14.0, 42.0
_RADIUS = 3.0


@dataclass(frozen=True)
class Point:
    """A value at a place.

    Attributes
    ----------
    y : float
        In [0, 1].
    colour : str
    said : str
        What it is, for who points at it.
    """

    x: float
    y: float
    colour: str
    said: str


def draw_points(points: Sequence[Point], *, name: str, over: str, borders: Sequence[float] = ()) -> Markup:
    """Draw points between 0 and 1 over an axis.

    Parameters
    ----------
    points : sequence of Point
        At least one.
    name, over : str
        Of what the values measure, and of the axis.
    borders : sequence of float
        Values at which to draw a line.
    """
    low, high = min(point.x for point in points), max(point.x for point in points)
    high = high if high > low else low + 1.0
    bottom = _TOP + _HEIGHT

    def x(place: float) -> float:
        return _LEFT + _WIDTH * (place - low) / (high - low)

    def y(value: float) -> float:
        return _TOP + _HEIGHT * (1 - value)

    across = {"x1": _LEFT, "x2": _LEFT + _WIDTH}
    content = [
        *(element("line", **across, y1=y(one), y2=y(one), class_="border") for one in borders),
        *(
            element(
                "circle",
                element("title", point.said),
                cx=x(point.x),
                cy=y(point.y),
                r=_RADIUS,
                fill=point.colour,
                class_="point",
            )
            for point in points
        ),
        element("line", **across, y1=bottom, y2=bottom, class_="axis"),
        *(text(f"{tick:g}", _LEFT - 6, y(tick) + 4, class_="end") for tick in ticks(0, 1)),
        *(text(f"{tick:g}", x(tick), bottom + 16) for tick in ticks(low, high)),
        text(over, _LEFT + _WIDTH / 2, bottom + 36, class_="name"),
    ]
    size = {"width": _LEFT + _WIDTH + _RIGHT, "height": bottom + _BOTTOM}
    return picture(content, **size, label=f"{name} over {over}")
