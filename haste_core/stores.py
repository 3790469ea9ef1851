"""What the API needs from a store, in the words of the domain, and what it answers.

One contract suite runs on each database.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, Protocol, TypeVar

from haste_core.errors import HasteError, Problem
from haste_core.jobs import JobRecord
from haste_core.jobspec import JobSpec
from haste_core.messages import Outcome, Presence
from haste_core.pipelines import Pipeline
from haste_core.ports import QueueView
from haste_core.states import TaskState

Item = TypeVar("Item")

DEFAULT_PROJECT = "default"
"""Of streams that are made without naming one, by who may know of all."""


@dataclass(frozen=True)
class Submitted:
    """A spec that was stored, now or before.

    Attributes
    ----------
    job : JobRecord, optional
        The new job, as it was stored.
    """

    job_id: int
    created: bool
    job: JobRecord | None = None


@dataclass(frozen=True)
class Refused:
    """A spec that could not be stored."""

    problems: tuple[Problem, ...]


@dataclass(frozen=True)
class Page(Generic[Item]):
    """A part of a list; `next` continues it, None at its end."""

    items: list[Item]
    next: str | None


@dataclass(frozen=True)
class JobFilter:
    """Which jobs a list shows.

    Attributes
    ----------
    state : "open", "done", "failed" or a code, optional
    ended_since : float, optional
        Seconds since 1970; jobs that ended then or later, in the order of their ends.
    projects : sequence of str, optional
        Of their streams; None: any.
    """

    stream_id: str | None = None
    source_id: str | None = None
    state: Literal["open", "done", "failed"] | int | None = None
    ended_since: float | None = None
    projects: Sequence[str] | None = None


JobAction = Literal["retry", "cancel"]
TaskAction = Literal["retry", "forceretry", "reset"]


@dataclass(frozen=True)
class TaskFilter:
    """Which tasks, or which jobs by their tasks, something is asked of.

    Attributes
    ----------
    states : frozenset of TaskState
        Of the tasks.
    projects : sequence of str, optional
        Of their streams; None: any.
    """

    states: frozenset[TaskState]
    stream_id: str | None = None
    task_key: str | None = None
    site: str | None = None
    projects: Sequence[str] | None = None


@dataclass(frozen=True)
class Swept:
    """What became of an action on many.

    Attributes
    ----------
    changed, refused : int
        Jobs or tasks, whichever were asked.
    next : str, optional
        Where to go on; None if all were asked.
    """

    changed: int
    refused: int
    next: str | None


@dataclass(frozen=True)
class AttemptRecord:
    """One attempt of a task.

    Attributes
    ----------
    outcome : Outcome, optional
        None while a worker has it.
    state : TaskState
        What the task came to, if the outcome is ``ended``.
    """

    attempt: int
    outcome: Outcome | None
    state: TaskState
    worker_id: str | None
    started_at: float | None
    ended_at: float | None
    message: str


class JobStore(Protocol):
    """What the API does with stored jobs.

    Unknown ids raise NotFoundError, requests that do not fit the state ConflictError.
    """

    def submit(
        self,
        specs: Sequence[JobSpec],
        *,
        now: float,
        idempotency_key: str | None = None,
        projects: Sequence[str] | None = None,
    ) -> list[Submitted | Refused]:
        """Store jobs with their tasks in one transaction; answers in the order of the specs.

        A spec whose (stream, source_id, source_version) is known answers with the job that is there.
        So does a whole call whose idempotency key was used before.

        Parameters
        ----------
        projects : sequence of str, optional
            Those that the streams may belong to; new streams belong to the first. None: to any, new ones to
            `DEFAULT_PROJECT`.

        Raises
        ------
        ConflictError
            If the idempotency key was used for other specs, or a stream belongs to another project.
        """

    def job(self, job_id: int) -> JobRecord:
        """Load a job."""

    def job_of_task(self, task_id: int) -> tuple[JobRecord, int]:
        """Load the job of a task, and the task's position in it."""

    def jobs(self, wanted: JobFilter, *, cursor: str | None, limit: int) -> Page[JobRecord]:
        """List jobs, by id or by end."""

    def job_ids(self, wanted: JobFilter, *, cursor: str | None, limit: int) -> Page[int]:
        """List the ids of jobs."""

    def delete(self, job_id: int) -> None:
        """Forget a job; a result that is still under way will find nothing to change."""

    def retry_job(self, job_id: int, *, now: float) -> JobRecord:
        """Run the failed, reset and cancelled tasks of a job again."""

    def cancel_job(self, job_id: int, *, now: float) -> JobRecord:
        """End all tasks of a job that are open; what still comes of them changes nothing."""

    def retry_task(self, task_id: int, *, now: float) -> JobRecord:
        """Run a failed or reset task again."""

    def force_retry_task(self, task_id: int, *, now: float) -> JobRecord:
        """Run a task again whatever its state, and what depends on it."""

    def reset_task(self, task_id: int, *, now: float) -> JobRecord:
        """Take a task back to registered until it is asked for again."""

    def act_on_jobs(
        self, action: JobAction, job_ids: Sequence[int], *, now: float
    ) -> list[HasteError | None]:
        """Apply an action to many jobs; tell for each why it was refused, None if it was not."""

    def act_on_tasks(
        self, action: TaskAction, task_ids: Sequence[int], *, now: float
    ) -> list[HasteError | None]:
        """Apply an action to many tasks; tell for each why it was refused, None if it was not."""

    def sweep_jobs(
        self, action: JobAction, wanted: TaskFilter, *, now: float, cursor: str | None, limit: int
    ) -> Swept:
        """Apply an action to jobs that have such tasks, at most `limit` of them."""

    def sweep_tasks(
        self, action: TaskAction, wanted: TaskFilter, *, now: float, cursor: str | None, limit: int
    ) -> Swept:
        """Apply an action to such tasks, in at most `limit` jobs."""

    def attempts(self, task_id: int) -> list[AttemptRecord]:
        """List the latest attempts of a task, the present one last."""

    def set_priorities(self, priorities: Mapping[int, float]) -> list[int]:
        """Give jobs other priorities; answer with the ids that are unknown."""

    def set_priorities_by_index(self, stream_id: str, priorities: Mapping[int, float]) -> list[int]:
        """Give jobs other priorities, by their objects' numbers in the stream."""

    def set_task_priorities(self, priorities: Mapping[int, float | None]) -> list[int]:
        """Give tasks priorities of their own, or (None) their jobs'; answer with the ids that are unknown."""


@dataclass(frozen=True)
class TierCount:
    """What a stream's decisions put in one tier."""

    count: int
    size_bytes: int
    mean_score: float | None


@dataclass(frozen=True)
class StreamRecord:
    """An acquisition.

    Attributes
    ----------
    mode : "observe" or "enforce"
        Whether decisions move objects, or are recorded only.
    first_pipeline_sha256 : str
        Of the pipeline that it began with; its function and policy may be others since.
    completed_at : float, optional
        When somebody said that no more images come; None while they may. An image that is submitted later
        opens it again.
    project : str
        Which it belongs to, for ever.
    """

    stream_id: str
    pipeline: Pipeline
    mode: Literal["observe", "enforce"]
    created_at: float
    first_pipeline_sha256: str
    completed_at: float | None = None
    project: str = DEFAULT_PROJECT


@dataclass(frozen=True)
class StreamProgress:
    """How far the jobs of a stream are.

    Attributes
    ----------
    to_redecide, to_move : int
        Objects that are to be decided about once more, or whose tasks are to move them.
    """

    open: int
    done: int
    failed: int
    to_redecide: int
    to_move: int
    tiers: Mapping[str, TierCount]


@dataclass(frozen=True)
class Source:
    """A source that a stream knows."""

    source_id: str
    source_version: str | None
    job_id: int


class StreamStore(Protocol):
    """What the API does with streams."""

    def create_stream(
        self,
        stream_id: str,
        pipeline: Pipeline,
        mode: Literal["observe", "enforce"] | None,
        *,
        now: float,
        project: str | None = None,
    ) -> tuple[StreamRecord, bool]:
        """Create a stream, or find it; the second value tells whether it is new.

        Without a mode, a new one observes, and one that is there may have any. Without a project, a new one
        belongs to `DEFAULT_PROJECT`, and one that is there to any.

        Raises
        ------
        ConflictError
            If it is there with another pipeline, mode or project.
        """

    def stream(self, stream_id: str) -> StreamRecord:
        """Load a stream."""

    def streams(
        self, *, cursor: str | None, limit: int, projects: Sequence[str] | None = None
    ) -> Page[StreamRecord]:
        """List streams by name, all or those of projects."""

    def progress(self, stream_id: str) -> StreamProgress:
        """Count a stream's jobs and tiers."""

    def complete_stream(self, stream_id: str, *, now: float) -> StreamRecord:
        """Take note that no more images come; one that is complete stays as it is.

        Image sets no longer wait for images that are not there.
        """

    def set_mode(self, stream_id: str, mode: Literal["observe", "enforce"]) -> StreamRecord:
        """Observe, or enforce: then what was decided before is carried out, too."""

    def set_policy(self, stream_id: str, pipeline: Pipeline) -> StreamRecord:
        """Decide by another function and policy from now on, also about what was decided before.

        Parameters
        ----------
        stream_id : str
        pipeline : Pipeline
            The stream's own, but for these.
        """

    def sources(self, stream_id: str, *, cursor: str | None, limit: int) -> Page[Source]:
        """List what was submitted to a stream, by job id."""


@dataclass(frozen=True)
class WorkerView:
    """A worker as its last heartbeat told it."""

    presence: Presence
    seen_at: float


class WorkerStore(Protocol):
    """What the API knows about workers and queues."""

    def workers(self, *, seen_since: float) -> list[WorkerView]:
        """List the workers that were heard of lately and are not leaving."""

    def queues(self) -> list[QueueView]:
        """Count the tasks on their way, by queue; of very many, only some."""

    def ping(self) -> None:
        """Ask the database for anything; raises TransientError if it is not there."""
