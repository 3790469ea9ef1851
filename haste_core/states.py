"""The states of tasks and jobs, and the one table that says which may follow which.

The codes are DANE's, so that its users and programs can read ours.
"""

from __future__ import annotations

from enum import Enum, IntEnum


class TaskState(IntEnum):
    """The state of a task or a job, as DANE's codes."""

    RUNNING = 102  # handed out to a worker
    DONE = 200
    REGISTERED = 201  # stored; waits for other tasks, for its turn, or for its next attempt
    SKIPPED = 204  # not needed: its `when` was false, or its successor overtook it
    RESET = 205  # will not run until somebody asks; shown as 201
    MALFORMED = 400
    SOURCE_DENIED = 403
    SOURCE_MISSING = 404
    CANCELLED = 410
    UNROUTABLE = 422  # read from DANE, never made here
    ERROR = 500
    BAD_INPUT = 502
    REMOTE_TROUBLE = 503

    @property
    def shown(self) -> TaskState:
        """The code that the API shows: 201 for a reset task, as DANE does."""
        return TaskState.REGISTERED if self is TaskState.RESET else self

    @property
    def ended(self) -> bool:
        """True if no worker and no wait is involved any more."""
        return self not in _OPEN

    @property
    def succeeded(self) -> bool:
        """True if what follows may run."""
        return self in (TaskState.DONE, TaskState.SKIPPED)

    @property
    def failed(self) -> bool:
        """True if it ended without success."""
        return self.ended and not self.succeeded


_OPEN = frozenset({TaskState.REGISTERED, TaskState.RUNNING, TaskState.RESET})
_FAILED = frozenset(state for state in TaskState if state.failed)


class Phase(IntEnum):
    """Where an open task stands on its way to a worker; 201 alone does not tell."""

    BLOCKED = 0  # other tasks of its job come first
    UNDECIDED = 1  # waits for the evaluator's decision about its object; if postponed, from `due_at` on
    READY = 2  # may be handed out
    DELAYED = 3  # failed in passing, or was handed back; ready again at `due_at`
    HANDED_OUT = 4  # leased to a worker
    HELD = 5  # reset: waits until somebody asks
    ENDED = 6
    SET_ASIDE = 7  # would copy, but its stream observes again: waits until it enforces


class Due(IntEnum):
    """What is yet to be done about an object that was decided about."""

    NOTHING = 0
    DECISION = 1  # its stream got another policy, or it was unpinned: it is decided about once more
    MOVE = 2  # its `tier` task is to carry out a later decision
    MOVE_FIRST = 3  # the same, before all others: a person asked for it
    REPETITION = 4  # its stream has got another mode: its latest decision is repeated in that


TO_DECIDE = (Due.DECISION, Due.REPETITION)
"""What is due about objects about which is decided once more, in the order in which that is done."""

MOVES = (Due.MOVE_FIRST, Due.MOVE)
"""What is due about objects that are to move, in the order in which they start."""


class Event(Enum):
    """What can happen to a task."""

    HAND_OUT = "hand out"
    HAND_BACK = "hand back"  # returned, lost, expired, half done, or to be retried after a transient failure
    END = "end"  # the worker's result, good or bad
    SKIP = "skip"
    REFUSE = "refuse"  # ends before it ran, for example because its decision could not be made
    CANCEL = "cancel"
    RESET = "reset"
    RETRY = "retry"
    FORCE_RETRY = "force retry"
    INVALIDATE = "invalidate"  # a task that it depends on runs again


_ANY = frozenset(TaskState)

_TRANSITIONS: dict[Event, tuple[frozenset[TaskState], frozenset[TaskState]]] = {
    Event.HAND_OUT: (frozenset({TaskState.REGISTERED}), frozenset({TaskState.RUNNING})),
    Event.HAND_BACK: (frozenset({TaskState.RUNNING}), frozenset({TaskState.REGISTERED})),
    Event.END: (frozenset({TaskState.RUNNING}), _FAILED | {TaskState.DONE}),
    Event.SKIP: (frozenset({TaskState.REGISTERED}), frozenset({TaskState.SKIPPED})),
    Event.REFUSE: (frozenset({TaskState.REGISTERED}), _FAILED),
    Event.CANCEL: (_OPEN, frozenset({TaskState.CANCELLED})),
    Event.RESET: (_ANY - {TaskState.RUNNING}, frozenset({TaskState.RESET})),
    Event.RETRY: (_FAILED | {TaskState.RESET}, frozenset({TaskState.REGISTERED})),
    Event.FORCE_RETRY: (_ANY, frozenset({TaskState.REGISTERED})),
    Event.INVALIDATE: (_ANY, frozenset({TaskState.REGISTERED})),
}


def allows(event: Event, before: TaskState, after: TaskState | None = None) -> bool:
    """Tell whether a task in state `before` may meet `event` (and end up in `after`)."""
    sources, targets = _TRANSITIONS[event]
    return before in sources and (after is None or after in targets)
