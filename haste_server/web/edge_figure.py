"""What preprocessing saves over a stream, as SVG: the images, and what is expected of the others.

The form is that of figure 7 in B. Blamey et al., "Rapid development of cloud-native intelligent data
pipelines for scientific data streams using the HASTE Toolkit", GigaScience 10 (2021) giab018.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from markupsafe import Markup

from haste_core.edge_course import Course, Mark
from haste_runtime.charts import ticks
from haste_runtime.drawing import element, picture, text

_WIDTH, _HEIGHT = 640.0, 220.0  # of the field, in SVG units
_LEFT, _RIGHT, _TOP, _BOTTOM = 62.0, 20.0, 14.0, 46.0
_BAND = 2.0  # standard deviations to either side
_KILO = 1000.0
_RADIUS, _TICK = 3.0, 7.0


def draw_course(course: Course, *, skipped: Sequence[int]) -> Markup:
    """Draw a course; `skipped` are images that were sent as they were found."""
    low, high = _heights(course)
    first, last = course.span

    def x(number: float) -> float:
        return _LEFT + _WIDTH * (number - first) / (last - first)

    def y(worth: float) -> float:
        return _TOP + _HEIGHT * (1 - (min(max(worth, low), high) - low) / (high - low))

    bottom = _TOP + _HEIGHT
    points = list(zip(course.numbers, course.expected, course.deviations, strict=True))
    upper = [(x(number), y(worth + _BAND * sd)) for number, worth, sd in points]
    lower = [(x(number), y(worth - _BAND * sd)) for number, worth, sd in points]
    content = [
        element("polygon", points=_joined([*upper, *reversed(lower)]), class_="band"),
        element("polyline", points=_joined([(x(n), y(worth)) for n, worth, _ in points]), class_="estimate"),
        *(
            element("line", x1=x(number), x2=x(number), y1=bottom - _TICK, y2=bottom, class_="skipped")
            for number in skipped
            if first <= number <= last
        ),
        *(_mark(mark, x(mark.number), y(mark.worth)) for mark in course.marks),
        element("line", x1=_LEFT, x2=_LEFT + _WIDTH, y1=bottom, y2=bottom, class_="axis"),
        *_scale(low, high),
        *(text(f"{tick:g}", x(tick), bottom + 16) for tick in ticks(first, last)),
        text("number of the image", _LEFT + _WIDTH / 2, bottom + 38, class_="name"),
    ]
    return picture(
        content,
        width=_LEFT + _WIDTH + _RIGHT,
        height=bottom + _BOTTOM,
        label="What preprocessing saves, in kB per CPU second, over the number of the image",
    )


def _heights(course: Course) -> tuple[float, float]:
    """Choose the ends of the scale: all marks lie there, and the band as far as it is not far beyond."""
    worths = [mark.worth for mark in course.marks]
    low, high = min(0.0, *worths), max(0.0, *worths)
    room = 0.15 * (high - low) or 1.0
    return (low - room if low < 0 else 0.0), high + room


def _mark(mark: Mark, x: float, y: float) -> Markup:
    way = "searched" if mark.searched else "exploited"
    said = element("title", f"image {mark.number}: {mark.worth / _KILO:.1f} kB per CPU second, {way}")
    return element("circle", said, cx=x, cy=y, r=_RADIUS, class_=way)


def _scale(low: float, high: float) -> Iterator[Markup]:
    for tick in ticks(low / _KILO, high / _KILO):
        y = _TOP + _HEIGHT * (1 - (tick * _KILO - low) / (high - low))
        yield text(f"{tick:g}", _LEFT - 8, y + 4, class_="end")
    yield text("kB per CPU second", 4, 10, class_="start")


def _joined(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
