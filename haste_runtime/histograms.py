"""Histograms of lists of values."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence

from markupsafe import Markup

from haste_runtime.charts import Bin, draw_bins

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


def histogram(
    groups: Mapping[str, Sequence[float]], *, bins: int, span: tuple[float, float] | None = None
) -> list[Bin]:
    """Count the values of groups in bins of one width.

    Parameters
    ----------
    groups : mapping of sequence of float
        Finite values by the name of their group; together, not all the same.
    bins : int
    span : tuple of float, optional
        Where the first bin begins and the last ends; all values lie there. Default: the least and the
        largest value.
    """
    values = [value for group in groups.values() for value in group]
    low, high = span or (min(values), max(values))
    edges = [low + (high - low) * number / bins for number in range(bins)]
    places = {
        name: Counter(bisect_right(edges, value) - 1 for value in group) for name, group in groups.items()
    }
    return [
        Bin(lo, hi, {name: places[name][number] for name in groups})
        for number, (lo, hi) in enumerate(zip(edges, [*edges[1:], high], strict=True))
    ]
