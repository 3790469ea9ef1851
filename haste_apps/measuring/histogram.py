"""How values are spread, as text."""

from __future__ import annotations

BINS = 12
_LONGEST_BAR = 30  # characters


def bar(count: int, largest: int) -> str:
    """Draw a count as a line of signs; any but 0 has one at least."""
    return "#" * (max(1, round(_LONGEST_BAR * count / largest)) if count else 0)
