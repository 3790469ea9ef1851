"""Failures that are alike, told as one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from haste_core.job_lists import Failure
from haste_core.states import TaskState

EXAMPLES = 3


@dataclass(frozen=True)
class FailureGroup:
    """Failures of one task with one message.

    Attributes
    ----------
    message : str
        With … in place of the image's name.
    examples : tuple of Failure
        The latest ones.
    job_ids : tuple of int
        Of all of them.
    """

    task_key: str
    state: TaskState
    message: str
    count: int
    examples: tuple[Failure, ...]
    job_ids: tuple[int, ...]


def grouped(failures: Iterable[Failure]) -> list[FailureGroup]:
    """Put failures together whose messages differ only in the image's name; the largest group first."""
    groups: dict[tuple[str, TaskState, str], list[Failure]] = {}
    for failure in failures:
        groups.setdefault((failure.task_key, failure.state, _without_name(failure)), []).append(failure)
    found = [
        FailureGroup(
            key,
            state,
            message,
            count=len(members),
            examples=tuple(members[:EXAMPLES]),
            job_ids=tuple(sorted({member.job_id for member in members})),
        )
        for (key, state, message), members in groups.items()
    ]
    return sorted(found, key=lambda group: -group.count)


def _without_name(failure: Failure) -> str:
    message = failure.message
    for name in (failure.source_id, failure.source_id.replace("\\", "/").rpartition("/")[2]):
        message = message.replace(name, "\N{HORIZONTAL ELLIPSIS}") if len(name) > 1 else message
    return message
