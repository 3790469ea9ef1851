"""Histograms of lists of values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from haste_apps.measuring.histogram import histogram
from haste_runtime.charts import draw_bins

BINS = 40


def draw_histogram(
    groups: Mapping[str, Sequence[float]],
    *,
    colours: Mapping[str, str],
    name: str,
    span: tuple[float, float] | None = None,
    borders: Sequence[float] = (),
) -> Markup:
    """Draw how values are spread, and which tiers they are in.

    Parameters
    ----------
    groups : mapping of sequence of float
        Finite values by tier; at least one value.
    colours : mapping of str
        By tier.
    name : str
        Of what the values measure.
    span : tuple of float, optional
        The ends of the axis. Default: the least and largest value.
    borders : sequence of float
        Where to draw a line with its value; those outside the axis are left out.
    """
    span = span or _span_of([value for values in groups.values() for value in values])
    return draw_bins(histogram(groups, bins=BINS, span=span), colours=colours, name=name, borders=borders)


def _span_of(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    margin = 0.5 * max(1.0, abs(low)) if low == high else 0.0
    return low - margin, high + margin
