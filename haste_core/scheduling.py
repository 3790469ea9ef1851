"""When and in which order ready tasks are handed out, and what a failed attempt means."""

from __future__ import annotations

from dataclasses import dataclass

WINDOW_TIME_S = 0.05  # work in flight beyond the slots: hides a round trip, and keeps the rank binding late
WINDOW_PER_SLOT = 2  # one task runs, one waits in the worker
WINDOW_PER_WORKER = 100
GRACE_PER_LEASE = 1 / 3  # two heartbeats, where a lease is six


def window_size(*, slots: int, workers: int, rate_per_s: float) -> int:
    """How many tasks of one queue may be in flight.

    Ready tasks stay in the database, where their rank can still change; only this many are with the
    broker or with workers.

    Parameters
    ----------
    slots : int
        Tasks that the live workers of the queue can run at once.
    workers : int
        Live workers of the queue.
    rate_per_s : float
        Measured results per second.
    """
    wanted = max(WINDOW_PER_SLOT * slots, round(WINDOW_TIME_S * rate_per_s))
    return min(wanted, WINDOW_PER_WORKER * workers)


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
