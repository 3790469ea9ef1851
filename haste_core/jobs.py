"""A job as it stands: its spec, its tasks' states and answers, and how it is shown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self, TypeAlias

from haste_core.jobspec import JobSpec
from haste_core.messages import AttemptKey, HeldAttempt, Place
from haste_core.readiness import Plan
from haste_core.states import Phase, TaskState
from haste_core.tasktree import Parallel, Sequential, Task

HeldAttempts: TypeAlias = Mapping[AttemptKey, HeldAttempt]
"""What workers told of the attempts that they have."""


class _Record:
    """A frozen dataclass whose copies with other values are cheap: the engine makes many of them a task."""

    def but(self, **changes: Any) -> Self:
        """Return this record with other values, as `dataclasses.replace` does at a seventh of its speed."""
        fields = type(self).__dataclass_fields__  # type: ignore[attr-defined]
        assert changes.keys() <= fields.keys(), changes.keys() - fields.keys()
        copied = object.__new__(type(self))
        values = copied.__dict__
        values.update(self.__dict__, **changes)
        values.pop("responses", None)  # computed from what may be other now
        return copied

    @classmethod
    def of(cls, values: Iterable[tuple[str, Any]]) -> Self:
        """Make a record of all its fields' values, in two thirds of the constructor's time."""
        made = object.__new__(cls)
        made.__dict__.update(values)
        return made


@dataclass(frozen=True)
class TaskRecord(_Record):
    """One task of a job, as it stands.

    Attributes
    ----------
    site : str
        Where it is, or was last, handed out.
    attempt : int
        Number of the latest hand-out; 0 before the first.
    failures : int
        Attempts that failed in passing or whose child process died, since it was last asked for.
    losses : int
        Attempts whose worker died while they ran, since it was last asked for.
    order_key : float
        Its place among the ready tasks of its queue: the lower, the earlier.
    ready_at : float, optional
        When it last became ready; seconds since 1970.
    contended : bool
        It is optional or overtakes an optional task, so its hand-out must look at the whole job.
    due_at : float, optional
        When its lease ends (handed out) or its pause ends (delayed, undecided); seconds since 1970.
    priority : float, optional
        Its own; None to take the job's.
    response : mapping, optional
        The handler's answer.
    place : Place, optional
        Where the task left the object, if it moved or replaced it.
    leaving : Place, optional
        What the task copied to `place` and has still to remove, or the place itself, if its object is to be
        deleted; its next attempt does nothing else.
    former : Place, optional
        What it left in a tier before tasks before it were run again; removed once the same is elsewhere.
    """

    position: int
    task_key: str
    site: str
    task_id: int = 0
    state: TaskState = TaskState.REGISTERED
    phase: Phase = Phase.BLOCKED
    attempt: int = 0
    failures: int = 0
    losses: int = 0
    priority: float | None = None
    order_key: float = 0.0
    ready_at: float | None = None
    contended: bool = False
    due_at: float | None = None
    worker_id: str | None = None
    started_at: float | None = None
    ended_at: float | None = None
    message: str = ""
    response: Mapping[str, Any] | None = None
    place: Place | None = None
    leaving: Place | None = None
    former: Place | None = None
    decision_id: int | None = None

    @property
    def is_to_delete(self) -> bool:
        """True if a worker has found that the object may be deleted where it is."""
        return self.leaving is not None and self.place is not None and self.leaving.url == self.place.url

    @property
    def is_deleting(self) -> bool:
        """True if a worker may have deleted the object, and has not told."""
        return self.is_to_delete and self.phase is not Phase.ENDED


@dataclass(frozen=True)
class JobRecord(_Record):
    """A job as it stands.

    Attributes
    ----------
    state : TaskState
        201 while anything may still happen, 205 while it waits for a reset task, else its end state.
    priority : float
        The present one; the spec holds the submitted one.
    tasks : tuple of TaskRecord
        By position.
    """

    spec: JobSpec
    tasks: tuple[TaskRecord, ...]
    created_at: float
    priority: float
    job_id: int = 0
    state: TaskState = TaskState.REGISTERED
    ended_at: float | None = None

    @property
    def plan(self) -> Plan:
        """What follows from the tree of tasks."""
        return self.spec.plan

    @cached_property
    def responses(self) -> dict[str, Any]:
        """The answers so far, by task key; the spec's own come first."""
        answered = {task.task_key: task.response for task in self.tasks if task.response is not None}
        return {**self.spec.response, **answered}

    @property
    def place(self) -> Place | None:
        """Where the object is; None if it was deleted."""
        return self.place_before(len(self.tasks)) if self.deleted_at is None else None

    @property
    def deleted_at(self) -> float | None:
        """When the object was deleted, in seconds since 1970."""
        places = (task.place for task in self.tasks if task.place is not None)
        return next((place.deleted_at for place in places if place.deleted_at is not None), None)

    def place_for(self, position: int) -> Place:
        """Tell where a task finds the object: where it left it itself, if it runs again.

        Where the original was moved away, tasks before that find it at its new place.
        """
        mine = self.tasks[position].place
        return mine or self._taken_from_before(position) or self.place_before(position)

    def place_before(self, position: int) -> Place:
        """Tell where a task finds the object: where the last task before it left it, at first its source."""
        return self._moved_to(position) or Place(url=self.spec.source_url, site=self.spec.site)

    def site_for(self, position: int) -> str:
        """Tell at which site a task finds the object, and what it has to remove."""
        task = self.tasks[position]
        if task.leaving is not None:
            return task.leaving.site
        place = task.place or self._taken_from_before(position) or self._moved_to(position)
        return self.spec.site if place is None else place.site

    def _taken_from_before(self, position: int) -> Place | None:
        """Find the place to which the original was moved away from a task that reads it."""
        if self._moved_to(position) is not None:
            return None
        return next((task.place for task in self.tasks[position:] if self._takes_original(task)), None)

    def _takes_original(self, task: TaskRecord) -> bool:
        removes_it = task.leaving is not None and task.leaving.url == self.spec.source_url
        return task.place is not None and (task.place.moved is True or removes_it)

    def _moved_to(self, position: int) -> Place | None:
        return next((task.place for task in self.tasks[:position][::-1] if task.place is not None), None)

    def to_json(self, held: HeldAttempts | None = None) -> dict[str, Any]:
        """Show the job as the API and the handlers see it.

        Parameters
        ----------
        held : mapping of AttemptKey to HeldAttempt, optional
            What workers told of their attempts: each task is shown with its progress. Handlers do without.
        """
        running = any(task.state is TaskState.RUNNING for task in self.tasks)
        shown = self.spec.to_json()
        shown.update(
            job_id=self.job_id,
            state=TaskState.RUNNING if running else self.state.shown,
            priority=self.priority,
            created_at=self.created_at,
            ended_at=self.ended_at,
            place=None if self.place is None else self.place.model_dump(exclude_none=True),
            deleted_at=self.deleted_at,
            tasks=self._show(self.spec.tasks, iter(self.tasks), held),
            response=self.responses,
        )
        return shown

    def task_json(self, position: int, held: HeldAttempts | None = None) -> dict[str, Any]:
        """Show one task, as the class `Task` of DANE's format; `held` as in `to_json`."""
        return {"Task": show_task(self.plan.tasks[position], self.tasks[position], self, held)}

    def _show(
        self, node: Task | Sequential | Parallel, tasks: Any, held: HeldAttempts | None
    ) -> dict[str, Any]:
        if isinstance(node, Task):
            return {"Task": show_task(node, next(tasks), self, held)}
        children = [self._show(child, tasks, held) for child in node.tasks]
        return {"taskSequential" if isinstance(node, Sequential) else "taskParallel": children}


def was_deleted(job_id: int) -> str:
    """Say that nothing can be done with an object any more."""
    return (
        f"the object of job {job_id} was deleted from the trash, and does not come back; if its original is "
        "still there, delete the job and submit it anew"
    )


def show_task(
    task: Task, record: TaskRecord, job: JobRecord, held: HeldAttempts | None = None
) -> dict[str, Any]:
    """Show a task as a JSON object: what was asked, and what became of it."""
    return {
        **task.given,
        "task_id": record.task_id,
        "job_id": job.job_id,
        "task_state": record.state.shown,
        "task_msg": record.message,
        "site": record.site,
        "priority": job.priority if record.priority is None else record.priority,
        "attempts": record.attempt,
        "worker": record.worker_id,
        "started_at": record.started_at,
        "ended_at": record.ended_at,
        **({} if held is None else _progress(record, held)),
    }


def _progress(record: TaskRecord, held: HeldAttempts) -> dict[str, Any]:
    runs = record.state is TaskState.RUNNING
    told = held.get((record.task_id, record.attempt)) if runs else None
    return {"fraction": told and told.fraction, "note": told.note if told else ""}
