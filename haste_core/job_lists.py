"""Lists of jobs as people look for them: by state, key, stream and text, the newest first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from haste_core.states import TaskState


@dataclass(frozen=True)
class JobSearch:
    """Which jobs are looked for.

    Attributes
    ----------
    state : "open", "done", "failed" or a code, optional
        Of the job; with a key, of its task of that key as well.
    task_key : str, optional
        Jobs that have a task of this key.
    text : str, optional
        Stands in the object's name or in a task's message, in capitals or not.
    projects : tuple of str, optional
        Jobs of streams of these only.
    """

    state: Literal["open", "done", "failed"] | int | None = None
    task_key: str | None = None
    stream_id: str | None = None
    text: str | None = None
    projects: tuple[str, ...] | None = None

    @property
    def looks_inside(self) -> bool:
        """True if each job has to be looked at to tell whether it is wanted."""
        return self.task_key is not None or self.text is not None


@dataclass(frozen=True)
class Failure:
    """A task that ended without success."""

    job_id: int
    source_id: str
    task_key: str
    state: TaskState
    message: str


@dataclass(frozen=True)
class TaskLine:
    """Where a task stands, in short."""

    task_key: str
    state: TaskState
    attempt: int
    message: str


@dataclass(frozen=True)
class JobLine:
    """One line of a list of jobs.

    Attributes
    ----------
    tasks : tuple of TaskLine
        By position.
    """

    job_id: int
    stream_id: str
    source_id: str
    state: TaskState
    priority: float
    created_at: float
    ended_at: float | None
    tasks: tuple[TaskLine, ...] = ()

    @property
    def telling(self) -> TaskLine | None:
        """The task that tells best how the job stands: what failed, else what runs, else what comes next."""
        for fits in (_failed, _runs, _waits):
            for task in self.tasks:
                if fits(task.state):
                    return task
        return None


@dataclass(frozen=True)
class FoundJobs:
    """A part of what was found.

    Attributes
    ----------
    next : str, optional
        Where to go on; None if there are no older jobs.
    looked_at : int
        How many jobs were looked at. With a `next` and few lines: more may be found further on.
    """

    lines: list[JobLine]
    next: str | None
    looked_at: int


class JobListStore(Protocol):
    """What pages read to list jobs. What a call reads does not grow with how many jobs there are."""

    def find_jobs(self, wanted: JobSearch, *, cursor: str | None, limit: int) -> FoundJobs:
        """List jobs, the newest first, at most `limit`."""

    def latest_failures(self, wanted: JobSearch, *, limit: int) -> list[Failure]:
        """List the failed tasks of the newest failed jobs, at most `limit` jobs; whatever the state."""

    def tasks_to_hold(self, job_ids: Sequence[int], *, task_key: str | None) -> dict[int, list[int]]:
        """Find the tasks of jobs, by job, that failed or could be handed out now or later by themselves."""

    def jobs_of_tasks(self, task_ids: Sequence[int]) -> dict[int, JobLine]:
        """Find the jobs of tasks, by the tasks' ids, without their tasks; unknown ids are left out."""


def _failed(state: TaskState) -> bool:
    return state.failed


def _runs(state: TaskState) -> bool:
    return state is TaskState.RUNNING


def _waits(state: TaskState) -> bool:
    return not state.ended
