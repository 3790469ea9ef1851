"""How fast a worker works."""

from __future__ import annotations

import time
from collections import Counter, deque

from haste_core.ports import Clock

LOOKS_BACK_S = 60.0
_LEAST_S = 5.0  # a single task in the first moment is no rate


class Pace:
    """Tasks that came to an end over the last minute, by key.

    Parameters
    ----------
    clock : callable
        In seconds, never going back.
    """

    def __init__(self, *, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._began_at = clock()
        self._seconds: deque[tuple[int, Counter[str]]] = deque()  # few, however many tasks there are

    def note(self, task_key: str) -> None:
        """Count a task that ended now."""
        second = int(self._clock())
        if not self._seconds or self._seconds[-1][0] != second:
            self._forget()
            self._seconds.append((second, Counter()))
        self._seconds[-1][1][task_key] += 1

    def per_s(self) -> dict[str, float]:
        """Tell how many tasks came to an end each second, by key; keys without any are left out."""
        self._forget()
        counts: Counter[str] = sum((counter for _, counter in self._seconds), Counter())
        over_s = min(LOOKS_BACK_S, max(_LEAST_S, self._clock() - self._began_at))
        return {key: number / over_s for key, number in sorted(counts.items())}

    def _forget(self) -> None:
        while self._seconds and self._seconds[0][0] < self._clock() - LOOKS_BACK_S:
            self._seconds.popleft()
