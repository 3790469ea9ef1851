"""SVG by hand: elements with escaped attributes and texts, and a scale of colours."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from markupsafe import Markup, escape

UNSCORED = "#9aa0a6"
"""Grey: there is no score."""

# Viridis at equal steps (S. van der Walt and N. Smith, 2015; public domain): even to the eye, also without
# red and green.
_VIRIDIS = (
    (68, 1, 84),
    (72, 40, 120),
    (62, 74, 137),
    (49, 104, 142),
    (38, 130, 142),
    (31, 158, 137),
    (53, 183, 121),
    (110, 206, 88),
    (181, 222, 43),
    (253, 231, 37),
)


def element(name: str, *content: str, **attributes: object) -> Markup:
    """Write an element; content that is no markup is escaped, an attribute that is None left out.

    An attribute's ``_`` is written as ``-``, floats with one decimal; ``class_`` is ``class``.
    """
    # By hand: pages hold hundreds of elements, and Markup's own formatting takes six times as long.
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_value(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Markup(f"<{name}{written}>{''.join(map(escape, content))}</{name}>")  # noqa: S704 - all is escaped


def picture(
    content: Iterable[Markup], *, width: float, height: float, label: str, **attributes: object
) -> Markup:
    """Put elements into an SVG image that shrinks to the page; `label` describes it to who cannot see it."""
    size = f"{width:.0f} {height:.0f}"
    shape = {"viewBox": f"0 0 {size}", "width": f"{width:.0f}"}
    return element("svg", *content, **shape, role="img", aria_label=label, **attributes)


def text(content: str, x: float, y: float, **attributes: object) -> Markup:
    """Write a text, by default around x."""
    return element("text", content, x=x, y=y, **attributes)


def score_colour(score: float | None) -> str:
    """Return the colour of a score in [0, 1]: violet for 0, yellow for 1, grey where there is none."""
    return UNSCORED if score is None else "#{:02x}{:02x}{:02x}".format(*_mixed(score))


def ink_on(score: float | None) -> str:
    """Return black or white, whichever can be read on the colour of a score."""
    red, green, blue = (154, 160, 166) if score is None else _mixed(score)
    return "#000" if 0.299 * red + 0.587 * green + 0.114 * blue > 128 else "#fff"


def _mixed(score: float) -> tuple[int, int, int]:
    place = min(max(score, 0.0), 1.0) * (len(_VIRIDIS) - 1)
    number = min(int(place), len(_VIRIDIS) - 2)
    low, high = list(pairwise(_VIRIDIS))[number]
    red, green, blue = (
        round(one + (other - one) * (place - number)) for one, other in zip(low, high, strict=True)
    )
    return red, green, blue


def _value(value: object) -> str:
    return f"{value:.1f}" if isinstance(value, float) else str(value)
