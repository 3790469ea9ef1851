"""The errors that all programs share: invalid, not found, conflict, transient, permanent."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from haste_core.states import TaskState


class HasteError(Exception):
    """Something that HASTE server can explain to its user."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with an input.

    Attributes
    ----------
    where : str
        The field, as a path into the JSON (``tasks.taskSequential[1].Task.task_key``); empty for the whole.
    what : str
        What is wrong, and what would be right.
    """

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}" if self.where else self.what


class InvalidError(HasteError):
    """The input cannot be accepted as it is; every problem is listed, nothing was stored."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(str(problem) for problem in self.problems))


class NotFoundError(HasteError):
    """There is no such job, task, stream or file."""


class ConflictError(HasteError):
    """What was asked does not fit the present state, for example a retry of a running task."""


class TransientError(HasteError):
    """A remote service is in trouble for now; trying again later can help.

    A handler that raises this has its task retried with back-off (state 503 when the attempts are used up).
    """

    state = TaskState.REMOTE_TROUBLE


class OutcomeUnknownError(HasteError):
    """Something may have been changed, and changing it again would not be the same; somebody has to look."""


class PermanentError(HasteError):
    """The task will fail in the same way each time; trying again cannot help."""

    state = TaskState.ERROR


class SourceDeniedError(PermanentError):
    """The source lies outside the folders that this site may read (state 403)."""

    state = TaskState.SOURCE_DENIED


class SourceMissingError(PermanentError):
    """The source is not there (state 404)."""

    state = TaskState.SOURCE_MISSING


class BadInputError(PermanentError):
    """The source is there, but is not what the task needs, for example no readable image (state 502)."""

    state = TaskState.BAD_INPUT
