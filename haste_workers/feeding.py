"""Which child a waiting task goes to: a free one or, where tasks are short, a busy one ahead of time."""

from __future__ import annotations

from collections.abc import Iterable

from haste_core.scheduling import MeanDurations
from haste_workers.attempts import Attempt
from haste_workers.children import Child

# Work sent ahead hides the time between two tasks, but another child could have begun it earlier.
AHEAD_S = 0.05
_AHEAD_TASKS = 50
# Stays in the pipe's buffer even if the child does not read, so that sending never blocks.
_AHEAD_BYTES = 32_000


def choose_child(attempt: Attempt, children: Iterable[Child], durations: MeanDurations[str]) -> Child | None:
    """Choose the child that will come to a task first; None if the task had better wait here."""
    best, best_s = None, AHEAD_S
    for child in children:
        if child.idle:
            return child
        if not _takes_ahead(child, attempt):
            continue
        # The task itself counts too: a long one must not go where it could be overtaken by a free child.
        ahead_s = durations.expected_s(attempt.message.task_key) + sum(
            number * durations.expected_s(key) for key, number in child.ahead.keys.items() if number
        )
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
        and child.ahead.size_bytes + len(attempt.body) < _AHEAD_BYTES
    )
