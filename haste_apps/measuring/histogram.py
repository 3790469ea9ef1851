"""How values are spread: bins, for text and for pictures."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence

from haste_runtime.charts import Bin

BINS = 12
_LONGEST_BAR = 30  # characters


def histogram(
    groups: Mapping[str, Sequence[float]], *, bins: int = BINS, span: tuple[float, float] | None = None
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


def bar(count: int, largest: int) -> str:
    """Draw a count as a line of signs; any but 0 has one at least."""
    return "#" * (max(1, round(_LONGEST_BAR * count / largest)) if count else 0)
