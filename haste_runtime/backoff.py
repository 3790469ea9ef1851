"""How long to wait before the next attempt to connect."""

from __future__ import annotations

from secrets import SystemRandom


class Backoff:
    """Waits that double from `first_s` to `longest_s`, each shortened at random by up to a half.

    The randomness keeps a hundred workers from coming back to a restarted broker all at once.
    """

    def __init__(self, *, first_s: float, longest_s: float) -> None:
        self._first_s = first_s
        self._longest_s = longest_s
        self._next_s = first_s
        self._random = SystemRandom()

    def next_s(self) -> float:
        """Return the seconds to wait now; the next wait is longer."""
        wait_s = self._next_s
        self._next_s = min(2 * wait_s, self._longest_s)
        return wait_s * self._random.uniform(0.5, 1.0)

    def reset(self) -> None:
        """Begin again with the shortest wait."""
        self._next_s = self._first_s
