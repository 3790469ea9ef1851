"""Which scores belong in which tier, as tables show it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

Range: TypeAlias = tuple[float, float]
"""Scores from the first to below the second; the highest holds its upper end, too."""


def ranges_by_tier(intervals: Iterable[tuple[float, float, str]]) -> dict[str, tuple[Range, ...]]:
    """Tell which scores belong in which tier; several intervals may name the same one.

    Parameters
    ----------
    intervals : iterable of (float, float, str)
        Lower end, upper end and tier, in any order, without an overlap.

    Returns
    -------
    dict of str to tuple of (float, float)
        Tiers and their ranges, the best first; intervals that follow each other are one range.
    """
    found: dict[str, tuple[Range, ...]] = {}
    for lo, hi, tier in sorted(intervals, reverse=True):
        *others, last = found.get(tier, ((lo, hi),))
        found[tier] = (*others, (lo, last[1])) if last[0] in (lo, hi) else (*others, last, (lo, hi))
    return found


def ranges_text(ranges: Sequence[Range]) -> str:
    """Write ranges as in a table, the lowest first; nothing if there are none."""
    return ", ".join(f"{lo:.2f} to {hi:.2f}" for lo, hi in sorted(ranges))
