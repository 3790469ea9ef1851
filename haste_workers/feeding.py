"""Which child a waiting task goes to: a free one or, where tasks are short, a busy one ahead of time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from haste_workers.attempts import Attempt
from haste_workers.children import Child

# Work sent ahead hides the time between two tasks, but another child could have begun it earlier.
AHEAD_S = 0.05
_AHEAD_TASKS = 50
# Stays in the pipe's buffer even if the child does not read, so that sending never blocks.
_AHEAD_BYTES = 32_000
_NEWEST_SHARE = 0.2


@dataclass
class TaskDurations:
    """How long the tasks of each key take, as a moving average."""

    _mean_s: dict[str, float] = field(default_factory=dict)

    def note(self, task_key: str, duration_s: float) -> None:
        """Learn from a task that ended."""
        known_s = self._mean_s.get(task_key, duration_s)
        self._mean_s[task_key] = known_s + _NEWEST_SHARE * (duration_s - known_s)

    def expected_s(self, attempt: Attempt) -> float:
        """Guess how long a task will take; infinite for a key that has not run yet."""
        return self._mean_s.get(attempt.message.task_key, float("inf"))


def choose_child(attempt: Attempt, children: Iterable[Child], durations: TaskDurations) -> Child | None:
    """Choose the child that will come to a task first; None if the task had better wait here."""
    best, best_s = None, AHEAD_S
    for child in children:
        if child.idle:
            return child
        if not _takes_ahead(child, attempt):
            continue
        # The task itself counts too: a long one must not go where it could be overtaken by a free child.
        ahead_s = durations.expected_s(attempt) + sum(durations.expected_s(other) for other in child.ahead)
        if ahead_s <= best_s:
            best, best_s = child, ahead_s
    return best


def _takes_ahead(child: Child, attempt: Attempt) -> bool:
    return (
        child.ready
        and not child.recalled
        and not child.was_killed_here
        and len(child.ahead) < _AHEAD_TASKS
        and child.running_s < AHEAD_S
        and sum(len(other.body) for other in child.ahead) + len(attempt.body) < _AHEAD_BYTES
    )
