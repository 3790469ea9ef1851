"""When and in which order ready tasks are handed out, and what a failed attempt means."""

from __future__ import annotations

import math
from collections.abc import Container, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

WINDOW_PER_SLOT = 2  # one task runs, one waits in the worker
WINDOW_PER_WORKER = 100
WINDOW_TIME_S = 0.05  # of work in flight beyond that: hides a round trip, and keeps the rank binding late
TOGETHER_TIME_S = 0.02  # of work that goes to one worker together
MOST_TOGETHER = 25
GRACE_PER_LEASE = 1 / 3  # two heartbeats, where a lease is six
_NEWEST_SHARE = 0.2

Key = TypeVar("Key", bound=Hashable)


class MeanDurations(Generic[Key]):
    """How long tasks of each kind take, as a moving average."""

    def __init__(self) -> None:
        self._mean_s: dict[Key, float] = {}

    def note(self, key: Key, duration_s: float) -> None:
        """Learn from a task that ended."""
        known_s = self._mean_s.get(key, duration_s)
        self._mean_s[key] = known_s + _NEWEST_SHARE * (duration_s - known_s)

    def keep(self, keys: Container[Key]) -> None:
        """Forget all other kinds."""
        self._mean_s = {key: mean_s for key, mean_s in self._mean_s.items() if key in keys}

    def expected_s(self, key: Key) -> float:
        """Guess how long a task will take; infinite for a kind that has not run yet."""
        return self._mean_s.get(key, math.inf)


def window_size(*, slots: int, workers: int, duration_s: float) -> int:
    """How many tasks of one queue may be in flight.

    Ready tasks stay in the database, where their rank can still change; only this many are with the
    broker or with workers.

    Parameters
    ----------
    slots : int
        Tasks that the live workers of the queue can run at once.
    workers : int
        Live workers of the queue.
    duration_s : float
        What a task takes; infinite if that is not known.
    """
    most = WINDOW_PER_WORKER * workers
    short = slots * _count_in(WINDOW_TIME_S, duration_s, most=most)
    return min(max(WINDOW_PER_SLOT * slots, short), most)


def count_together(duration_s: float) -> int:
    """How many tasks of one queue are best sent to one worker together.

    A message costs as much as a task of a millisecond; long tasks go one by one, each to whoever is free.

    Parameters
    ----------
    duration_s : float
        What a task takes; infinite if that is not known.
    """
    return max(1, _count_in(TOGETHER_TIME_S, duration_s, most=MOST_TOGETHER))


def _count_in(time_s: float, duration_s: float, *, most: int) -> int:
    return most if duration_s * most <= time_s else int(time_s / duration_s)


def order_key(*, priority: float, ready_at: float, ageing_per_s: float) -> float:
    """Where a ready task stands in its queue: the lower, the earlier.

    A waiting task gains `ageing_per_s` of priority each second. All gain alike, so the order of two waiting
    tasks never changes with time, and this number is stored once: the negative of
    ``rank = priority - ageing_per_s * ready_at``.
    """
    return ageing_per_s * ready_at - priority


def grace_s(*, lease_s: float) -> float:
    """How long a living worker may take to make itself heard once it could: two of its heartbeats."""
    return lease_s * GRACE_PER_LEASE


@dataclass(frozen=True)
class Retry:
    """The task gets another attempt after a pause."""

    delay_s: float


@dataclass(frozen=True)
class GiveUp:
    """The task ends; `reason` says which limit it met."""

    reason: str


@dataclass(frozen=True)
class RetryPolicy:
    """How often a task is tried.

    Attributes
    ----------
    max_attempts : int
        Failures that may pass (503) and deaths of the task's own child process.
    max_lost : int
        Attempts whose worker died while they ran.
    base_delay_s, max_delay_s : float
        The pause doubles with each failure, up to the maximum.
    """

    max_attempts: int = 5
    max_lost: int = 20
    base_delay_s: float = 1.0
    max_delay_s: float = 300.0

    def after_failure(self, failures: int, *, jitter: float) -> Retry | GiveUp:
        """Decide after the n-th failure.

        Parameters
        ----------
        failures : int
            Including the present one.
        jitter : float
            Drawn from [0, 1); spreads the retries of tasks that failed together over half of the pause.
        """
        if failures >= self.max_attempts:
            return GiveUp(f"failed {failures} times")
        pause = min(self.base_delay_s * 2 ** (failures - 1), self.max_delay_s)
        return Retry(pause * (1 + jitter) / 2)

    def after_loss(self, losses: int) -> Retry | GiveUp:
        """Decide after the n-th attempt whose worker died."""
        if losses >= self.max_lost:
            return GiveUp(f"its worker died {losses} times while it ran")
        return Retry(0.0)
