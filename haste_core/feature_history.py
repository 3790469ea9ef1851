"""The values that a feature had in a stream, at any moment of its past."""

from __future__ import annotations

import bisect
from collections import deque
from collections.abc import Iterable
from typing import TypeAlias

Step: TypeAlias = tuple[int, str, float | None]
"""Number of a decision, the object's source_id, and the value that it has from then on, if any."""


class FeatureHistory:
    """The values of one feature, as the decisions up to some number left them.

    Going from one number to the next costs little, and so does going back a few.

    Parameters
    ----------
    steps : iterable of Step
        In the order of the decisions' numbers; taken only as far as is asked for.
    """

    def __init__(self, steps: Iterable[Step] = ()) -> None:
        self._steps = iter(steps)
        self._ahead: deque[Step] = deque()
        self._done: list[Step] = []  # each with the value before it
        self._values: dict[str, float] = {}
        self._sorted: list[float] = []

    def count_others(self, x: float, source_id: str, *, up_to: int) -> tuple[int, int, int]:
        """Count the other objects with a value below `x`, equal to it, and with any.

        Parameters
        ----------
        x : float
        source_id : str
            The object that is not to be counted.
        up_to : int
            Number of the last decision that counts.
        """
        self._go_to(up_to)
        below = bisect.bisect_left(self._sorted, x)
        equal = bisect.bisect_right(self._sorted, x) - below
        own = self._values.get(source_id)
        if own is None:
            return below, equal, len(self._sorted)
        return below - (own < x), equal - (own == x), len(self._sorted) - 1

    def extend(self, steps: Iterable[Step]) -> None:
        """Take more steps, which follow those that there are."""
        while self._next() is not None:
            self._take()
        for step in steps:
            self._ahead.append(step)
            self._take()

    def _go_to(self, up_to: int) -> None:
        while self._done and self._done[-1][0] > up_to:
            number, source_id, before = self._done.pop()
            self._ahead.appendleft((number, source_id, self._put(source_id, before)))
        while (step := self._next()) is not None and step[0] <= up_to:
            self._take()

    def _take(self) -> None:
        number, source_id, value = self._ahead.popleft()
        self._done.append((number, source_id, self._put(source_id, value)))

    def _next(self) -> Step | None:
        if not self._ahead and (step := next(self._steps, None)) is not None:
            self._ahead.append(step)
        return self._ahead[0] if self._ahead else None

    def _put(self, source_id: str, value: float | None) -> float | None:
        """Give an object another value, and return the one before."""
        before = self._values.pop(source_id, None)
        if before is not None:
            del self._sorted[bisect.bisect_left(self._sorted, before)]
        if value is not None:
            self._values[source_id] = value
            bisect.insort(self._sorted, value)
        return before
