"""What the API answers, for its OpenAPI document."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from haste_core.messages import Place
from haste_server.api.problems import FieldProblem

Shown = dict[str, Any] | tuple[dict[str, Any] | str, int] | tuple[dict[str, Any] | str, int, dict[str, str]]
"""What a view returns: JSON, or nothing; a status other than 200; headers."""


class TaskAnswer(BaseModel):
    """One task of a job, as the class ``Task`` of DANE's format."""

    model_config = ConfigDict(extra="allow")

    task_key: str
    task_id: int
    job_id: int
    task_state: int = Field(
        description="201 waits or is held, 102 runs, 200 done, 204 skipped, others: failed."
    )
    task_msg: str
    site: str
    priority: float
    attempts: int
    worker: str | None
    started_at: float | None
    ended_at: float | None
    fraction: float | None = Field(description="How far it is, if it runs and its handler told.")
    note: str = Field(description="What it is doing, if it runs and its handler told.")


class WrappedTask(BaseModel):
    """One task."""

    Task: TaskAnswer


class AttemptAnswer(BaseModel):
    """One attempt of a task."""

    attempt: int
    outcome: Literal["running", "ended", "crashed", "handed_back", "lost", "revoked"] = Field(
        description="ended: the handler answered or failed; crashed: its process died; lost: its worker did; "
        "handed_back: not begun; revoked: cancelled, or asked for anew."
    )
    state: int | None = Field(description="What the task came to, if the handler ended.")
    worker: str | None
    started_at: float | None
    ended_at: float | None
    message: str


class TaskWithHistory(TaskAnswer):
    """One task with its attempts."""

    history: list[AttemptAnswer]


class WrappedTaskWithHistory(BaseModel):
    """One task with its attempts."""

    Task: TaskWithHistory


class JobAnswer(BaseModel):
    """A job as it stands: its spec, its place, its tasks' states and answers."""

    model_config = ConfigDict(extra="allow")

    job_id: int
    state: int = Field(
        description="200 done, 201 and 102 open (201 also if held until a retry), others: failed."
    )
    created_at: float
    ended_at: float | None
    stream_id: str
    source_id: str
    source_url: str
    site: str
    priority: float
    place: Place | None = Field(description="Null if the object was deleted.")
    deleted_at: float | None
    tasks: dict[str, Any]
    response: dict[str, Any]


class JobsPage(BaseModel):
    """A part of a list of jobs; `next` is the cursor of the following part."""

    jobs: list[JobAnswer]
    next: str | None


class JobIdsPage(BaseModel):
    """A part of a list of jobs' numbers; `next` is the cursor of the following part."""

    jobs: list[int]
    next: str | None


class SubmissionResult(BaseModel):
    """What became of one spec of a bulk submission."""

    status: Literal[200, 201, 400]
    job_id: int | None = None
    problems: list[FieldProblem] | None = None


class SubmissionResults(BaseModel):
    """What became of the specs, in their order."""

    results: list[SubmissionResult]


class ActionResult(BaseModel):
    """What became of one job or task that something was asked of."""

    id: int
    status: Literal[200, 404, 409]
    detail: str | None = Field(default=None, description="Why it was refused.")


class BulkActionAnswer(BaseModel):
    """How often an action was done."""

    changed: int
    refused: int
    results: list[ActionResult] | None = Field(
        default=None, description="One for each id, in their order; not where a filter chose."
    )
    next: str | None = Field(
        default=None,
        description="Where a filter chose: not null if there are more; ask again with it as cursor.",
    )


class PrioritiesChanged(BaseModel):
    """How many jobs or tasks have another priority now, and which were not found."""

    changed: int
    unknown: list[int]


class PipelineSummary(BaseModel):
    """A pipeline that streams may name; `tags` are those of HASTE agents that start it."""

    name: str
    description: str
    keys: list[str] = Field(description="Of its tasks.")
    tags: list[str]


class PipelinesAnswer(BaseModel):
    """All pipelines that streams may name."""

    pipelines: list[PipelineSummary]


class ProgressAnswer(BaseModel):
    """How far the jobs of a stream are, and how many images another policy has still to reach."""

    jobs: int
    open: int
    done: int
    failed: int
    to_redecide: int
    to_move: int


class TierAnswer(BaseModel):
    """What a stream's decisions put in one tier."""

    count: int
    size_bytes: int
    mean_score: float | None


class DeletedAnswer(BaseModel):
    """What of a stream was deleted from a trash."""

    count: int
    size_bytes: int


class StreamAnswer(BaseModel):
    """An acquisition, and how far it is."""

    stream_id: str
    pipeline: dict[str, Any]
    mode: Literal["observe", "enforce"]
    project: str
    created_at: float
    completed_at: float | None = Field(
        description="When it was said that no more images come; null while they may, also after one came."
    )
    progress: ProgressAnswer
    tiers: dict[str, TierAnswer]
    deleted: DeletedAnswer
    open_alerts: int = Field(description="Alerts that nobody has acknowledged.")


class StreamsPage(BaseModel):
    """A part of the list of streams; `next` is the cursor of the following part."""

    streams: list[StreamAnswer]
    next: str | None


class DeliveryAnswer(BaseModel):
    """How far an alert came on one channel."""

    channel: str
    delivered_at: float | None
    due_at: float | None = Field(
        description="When it is tried next; null once it was delivered, or was given up after three days."
    )
    failures: int
    trouble: str = Field(description="Why it failed last.")


class AlertAnswer(BaseModel):
    """Something that a rule of the stream's pipeline told."""

    alert_id: int
    event_id: str = Field(description="The `id` in the webhooks' messages.")
    stream_id: str
    rule: Literal["low-scores", "well-below", "silence", "finished", "tier-nearly-full"]
    raised_at: float
    message: str
    details: dict[str, Any]
    acknowledged_at: float | None
    deliveries: list[DeliveryAnswer]


class AlertsPage(BaseModel):
    """A part of a stream's alerts, the oldest first; `next` is the cursor of the following part."""

    alerts: list[AlertAnswer]
    next: str | None


class StreamEvent(BaseModel):
    """How a stream stands after something of it changed."""

    stream_id: str
    open: int = Field(description="Jobs that are not finished.")
    running: int = Field(description="Tasks that workers have.")
    done: int
    failed: int
    open_alerts: int
    last_job_id: int | None
    last_decision_id: int | None
    last_end_at: float | None = Field(description="`ended_since` for the list of jobs, to see what ended.")
    mode: Literal["observe", "enforce"]
    completed_at: float | None


class SourceAnswer(BaseModel):
    """A source that a stream knows."""

    source_id: str
    source_version: str | None
    job_id: int


class SourcesPage(BaseModel):
    """A part of a stream's sources; `next` is the cursor of the following part."""

    sources: list[SourceAnswer]
    next: str | None


class CurrentAttempt(BaseModel):
    """An attempt that a worker runs now."""

    task_id: int
    attempt: int
    since_s: float
    fraction: float | None
    note: str


class WorkerAnswer(BaseModel):
    """A live worker."""

    worker_id: str
    host: str
    pid: int
    keys: list[str]
    site: str
    slots: int
    busy: int
    tasks_per_s: dict[str, float] = Field(
        description="By key: tasks that came to an end, over the last minute."
    )
    seen_s_ago: float
    clock_ahead_s: float = Field(
        description="By how much its clock is ahead of the server's, less the time that its heartbeat took."
    )
    version: str = Field(description="Of its software; empty if it does not tell.")
    current: list[CurrentAttempt]


class QueueAnswer(BaseModel):
    """The tasks of one key at one site that are on their way."""

    task_key: str
    site: str
    ready: int
    delayed: int
    handed_out: int
    more: bool = Field(description="There are more than these: each is counted up to 100,000.")
    oldest_ready_s: float | None
    live_workers: int
    message: str


class DeadLetterAnswer(BaseModel):
    """A message that nobody could read."""

    queue: str = Field(description="Where it came from.")
    reason: str
    head: str = Field(description="Its first 200 characters.")
    died_s_ago: float | None


class DeadLettersAnswer(BaseModel):
    """The messages that nobody could read; they lie in RabbitMQ's queue `haste.dead`."""

    count: int
    latest: list[DeadLetterAnswer] = Field(description="The last few, the newest last.")


class WorkersAnswer(BaseModel):
    """Who works, what waits, and what could not be read."""

    workers: list[WorkerAnswer]
    queues: list[QueueAnswer]
    dead_letters: DeadLettersAnswer | None = Field(description="null while broker or engine are away.")


class UploadAnswer(BaseModel):
    """How an upload stands."""

    upload_id: str
    length: int
    offset: int = Field(description="How many bytes have arrived.")
    is_finished: bool
    expires_at: float
    place: Place | None = Field(
        description="null until it is finished, or if the object has gone elsewhere since."
    )
    job_id: int | None = Field(description="null without a stream, or if no job was wanted.")


class AgentAnswer(BaseModel):
    """What the original gateway answered."""

    result: Literal["OK!"]


class HealthAnswer(BaseModel):
    """The server answers."""

    status: Literal["ok"]
    version: str


class ReadinessAnswer(BaseModel):
    """``ok`` for each part of the server, or why it cannot work."""

    database: str
    broker: str
    engine: str
