"""Histograms as SVG: bars stacked by tier, and lines where a policy cuts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from haste_runtime.drawing import element, picture, text

_WIDTH, _HEIGHT = 640.0, 170.0  # of the bars, in SVG units
_LEFT, _RIGHT, _TOP, _BOTTOM = 46.0, 20.0, 24.0, 42.0
_TICKS = 6
_GRIP = 48.0  # on a telephone, where the picture is about half as large, 24 pixels


@dataclass(frozen=True)
class Bin:
    """The values in [lo, hi), or [lo, hi] for the last.

    Attributes
    ----------
    counts : dict of int
        By the name of the group.
    """

    lo: float
    hi: float
    counts: Mapping[str, int]

    @property
    def middle(self) -> float:
        """The value in its middle."""
        return self.lo + (self.hi - self.lo) / 2


@dataclass(frozen=True)
class Axes:
    """Where values and counts stand in a histogram.

    Attributes
    ----------
    span : tuple of float
        The values at the left and right end; the second is larger.
    highest : int
        The count at the top, at least 1.
    """

    span: tuple[float, float]
    highest: int

    def x(self, value: float) -> float:
        """Place a value, in SVG units from the left."""
        low, high = self.span
        return _LEFT + _WIDTH * (value - low) / (high - low)

    def height(self, count: int) -> float:
        """Return how high so many images stand."""
        return _HEIGHT * count / self.highest


def draw_bins(
    bins: Sequence[Bin],
    *,
    colours: Mapping[str, str],
    name: str,
    borders: Sequence[float] = (),
    between: Sequence[str] = (),
) -> Markup:
    """Draw how values are spread, and which tiers they are in.

    Parameters
    ----------
    bins : sequence of Bin
        One after the other, without a gap; their counts by tier.
    colours : mapping of str
        By tier.
    name : str
        Of what the values measure.
    borders : sequence of float
        Where to draw a line with its value; those outside the axis are left out.
    between : sequence of str
        If a script moves the borders: what each lies between. All of them lie on the axis then.
    """
    span = bins[0].lo, bins[-1].hi
    axes = Axes(span, max(1, *(sum(one.counts.values()) for one in bins)))
    bottom = _TOP + _HEIGHT
    content = [
        element("g", *_bars(bins, axes, colours), class_="bars"),
        *(_movable(borders, between, axes) if between else _borders(borders, axes)),
        element("line", x1=_LEFT, x2=_LEFT + _WIDTH, y1=bottom, y2=bottom, class_="axis"),
        *(text(f"{tick:g}", axes.x(tick), bottom + 16) for tick in ticks(*span)),
        text(name, _LEFT + _WIDTH / 2, bottom + 36, class_="name"),
        text(str(axes.highest), _LEFT - 6, _TOP + 5, class_="end"),
        text("0", _LEFT - 6, bottom, class_="end"),
    ]
    size = {"width": _LEFT + _WIDTH + _RIGHT, "height": bottom + _BOTTOM}
    field = f"{_LEFT:g} {_TOP:g} {_WIDTH:g} {_HEIGHT:g}" if between else None
    label = f"Histogram of {name}, with the borders of the tiers"
    return picture(content, **size, label=label, data_field=field)


def ticks(low: float, high: float) -> list[float]:
    """Choose about six round numbers between two others, in steps of 1, 2 or 5 times a power of ten."""
    rough = (high - low) / _TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    digits = max(0, 1 - math.floor(math.log10(step)))
    return [round(number * step, digits) for number in range(first, last + 1)]


def _bars(bins: Sequence[Bin], axes: Axes, colours: Mapping[str, str]) -> Iterator[Markup]:
    for one in bins:
        y = _TOP + _HEIGHT
        for tier, count in one.counts.items():
            if count:
                y -= axes.height(count)
                said = f"{one.lo:.3f} to {one.hi:.3f}: {count} images in {tier}"
                yield element(
                    "rect",
                    element("title", said),
                    x=axes.x(one.lo),
                    y=y,
                    width=axes.x(one.hi) - axes.x(one.lo) - 1,
                    height=axes.height(count),
                    fill=colours[tier],
                )


def _borders(values: Sequence[float], axes: Axes) -> Iterator[Markup]:
    low, high = axes.span
    for value in values:
        if low < value < high:
            yield from _border(value, axes.x(value))


def _border(value: float, x: float) -> Iterator[Markup]:
    yield element("line", x1=x, x2=x, y1=_TOP, y2=_TOP + _HEIGHT, class_="border")
    yield text(f"{value:.3g}", x, _TOP - 8)


def _movable(values: Sequence[float], between: Sequence[str], axes: Axes) -> Iterator[Markup]:
    """Draw borders as groups that are moved as a whole; their grips are wide enough for a finger."""
    low, high = axes.span
    for value, name in zip(values, between, strict=True):
        yield element(
            "g",
            element("rect", x=-_GRIP / 2, y=_TOP, width=_GRIP, height=_HEIGHT, class_="reach"),
            *_border(value, 0.0),
            element("rect", x=-5, y=_TOP + _HEIGHT / 2 - 16, width=10, height=32, rx=4, class_="grip"),
            transform=f"translate({axes.x(value):.1f} 0)",
            class_="between",
            aria_label=f"Border between {name}",
            aria_valuemin=f"{low:g}",
            aria_valuemax=f"{high:g}",
            aria_valuenow=f"{value:g}",
        )
