"""The attempts that a worker has: waiting, with a child, running; and those that it has just reported."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from haste_core.errors import PermanentError
from haste_core.messages import AttemptKey, HeldAttempt, TaskMessage, TaskResult
from haste_core.ports import TaskDelivery
from haste_core.scheduling import MOST_TOGETHER
from haste_workers.settings import MAX_PREFETCH

# As many as a worker can have unconfirmed when its connection breaks.
_REMEMBERED_RESULTS = MAX_PREFETCH * MOST_TOGETHER

LONGEST_TASK_S = 30 * 24 * 3600
"""No task takes a month; a larger limit is a slip, and sums with it may overflow."""


def key_of(message: TaskMessage | TaskResult) -> AttemptKey:
    """Return (task_id, attempt)."""
    return message.task_id, message.attempt


@dataclass(slots=True)
class Attempt:
    """One attempt that is held here.

    Attributes
    ----------
    delivery : TaskDelivery
        The latest one; a reconnected broker delivers again what it had delivered before.
    body : bytes
        The message, as it goes to the child.
    timeout_s : float
    expires_at : float
        By `time.monotonic`; it is handed back if no child was free by then.
    started_at : float, optional
        Seconds since 1970.
    revoked : bool
        Nobody wants its result any more.
    """

    delivery: TaskDelivery
    body: bytes
    timeout_s: float
    expires_at: float
    started_at: float | None = None
    fraction: float | None = None
    note: str = ""
    revoked: bool = False

    @property
    def message(self) -> TaskMessage:
        """The task's message."""
        return self.delivery.message

    @property
    def key(self) -> AttemptKey:
        """(task_id, attempt)."""
        return key_of(self.message)

    def held(self) -> HeldAttempt:
        """Say what a heartbeat says about it."""
        return HeldAttempt(
            task_id=self.message.task_id,
            attempt=self.message.attempt,
            started_at=self.started_at,
            fraction=self.fraction,
            note=self.note,
        )


def time_limit_s(message: TaskMessage, *, default_s: float) -> float:
    """Read how long the task may run: its pipeline's ``timeout_s``, or the worker's.

    Raises
    ------
    PermanentError
        If the parameter is no positive number, or more than `LONGEST_TASK_S`.
    """
    given = message.parameters.get("timeout_s", default_s)
    if isinstance(given, bool) or not isinstance(given, int | float) or not 0 < given <= LONGEST_TASK_S:
        raise PermanentError(
            f"the pipeline's timeout_s for {message.task_key!r} is {str(given)[:40]}; "
            f"not a number of seconds up to {LONGEST_TASK_S}"
        )
    return float(given)


@dataclass
class AttemptBook:
    """What is held, what of it waits for a free child, and what was reported lately."""

    held: dict[AttemptKey, Attempt] = field(default_factory=dict)
    waiting: deque[Attempt] = field(default_factory=deque)
    _reported: OrderedDict[AttemptKey, TaskResult] = field(default_factory=OrderedDict)

    def add(self, attempt: Attempt) -> None:
        """Take an attempt; it waits."""
        self.held[attempt.key] = attempt
        self.waiting.append(attempt)

    def put_back(self, attempts: Sequence[Attempt]) -> None:
        """Let attempts wait again, before all others, since they came first."""
        for attempt in attempts:
            attempt.started_at = attempt.fraction = None
            attempt.note = ""
        self.waiting.extendleft(reversed(attempts))

    def close(self, result: TaskResult) -> Attempt | None:
        """Let go of an attempt whose result is known; None if it is not held (any more)."""
        self._reported[key_of(result)] = result
        if len(self._reported) > _REMEMBERED_RESULTS:
            self._reported.popitem(last=False)
        return self.held.pop(key_of(result), None)

    def reported(self, message: TaskMessage) -> TaskResult | None:
        """Return the result of an attempt that ended here, if that is not long ago."""
        return self._reported.get(key_of(message))
