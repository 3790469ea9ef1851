"""What the server answers, as typed values. Fields that a newer server adds are ignored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from haste_client import notebooks
from haste_core.states import TaskState


class Answer(BaseModel):
    """Something that the server told; a notebook shows it as a table of its fields."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    def _repr_html_(self) -> str:
        return notebooks.fields(type(self).__name__.removesuffix("Answer"), self.model_dump())


class Sidecar(Answer):
    """Where a file that went with an object is, and where its job spec says it was."""

    source_url: str
    url: str
    sha256: str
    size_bytes: int


class Place(Answer):
    """Where an object is now.

    Attributes
    ----------
    moved : bool
        The original is gone: it was removed after it had been copied.
    moved_at : float, optional
        When it was removed, in seconds since 1970.
    """

    url: str
    site: str
    sha256: str | None = None
    size_bytes: int | None = None
    moved: bool = False
    moved_at: float | None = None
    sidecars: tuple[Sidecar, ...] = ()


class AttemptAnswer(Answer):
    """One attempt of a task.

    Attributes
    ----------
    outcome : str
        ``running``, ``ended`` (see `state`), ``crashed``, ``handed_back``, ``lost`` or ``revoked``.
    started_at, ended_at : float, optional
        Seconds since 1970.
    """

    attempt: int
    outcome: str
    state: int | None = None
    worker: str | None = None
    started_at: float | None = None
    ended_at: float | None = None
    message: str = ""


class TaskAnswer(Answer):
    """One task of a job, with its state.

    Attributes
    ----------
    fraction : float, optional
        How far it is, in [0, 1], if it runs and its handler told.
    note : str
        What it is doing.
    history : tuple of AttemptAnswer
        The last hundred attempts, the present one at the end; empty where the task stands in a job.
    """

    task_key: str
    task_id: int
    job_id: int
    task_state: int
    task_msg: str = ""
    attempts: int = 0
    worker: str | None = None
    started_at: float | None = None
    ended_at: float | None = None
    priority: float | None = None
    fraction: float | None = None
    note: str = ""
    history: tuple[AttemptAnswer, ...] = ()


class JobAnswer(Answer):
    """One job, with the state of its tasks and their responses.

    Attributes
    ----------
    state : int
        200 done; 201 and 102 open, 201 also while a task that was reset is held until somebody asks for a
        retry; 410 cancelled; any other is the code of the failure.
    created_at, ended_at : float
        Seconds since 1970; `ended_at` is None while the job is open.
    tasks : JSON value
        The tree of tasks as in the job spec, each with its state.
    response : mapping
        The handlers' answers, by task key.
    place : Place or None
        Where the object is now; None if it was deleted.
    deleted_at : float or None
        When it was deleted from a trash, in seconds since 1970.
    """

    job_id: int
    state: int
    created_at: float
    ended_at: float | None = None
    source_url: str
    source_id: str
    source_version: str | None = None
    sidecars: tuple[str, ...] = ()
    site: str
    stream_id: str
    index: int | None = None
    timestamp: float | None = None
    location: tuple[float, ...] = ()
    substream_id: str | None = None
    metadata: dict[str, Any] = Field(default_factory=dict)
    priority: float = 1.0
    place: Place | None = None
    deleted_at: float | None = None
    tasks: Any = None
    response: dict[str, Any] = Field(default_factory=dict)

    @property
    def ended(self) -> bool:
        """True if no task of the job will run any more unless somebody asks."""
        return self.ended_at is not None

    @property
    def done(self) -> bool:
        """True if all its tasks succeeded."""
        return self.state == TaskState.DONE

    def task_list(self) -> list[TaskAnswer]:
        """List the tasks depth first, in the order of the job spec."""
        return [TaskAnswer.model_validate(leaf) for leaf in _leaves(self.tasks)]

    def _repr_html_(self) -> str:
        tasks = self.task_list()
        facts = {
            "image": self.source_id,
            "stream": self.stream_id,
            "state": notebooks.state(self.state),
            "submitted": notebooks.moment(self.created_at),
            "ended": notebooks.moment(self.ended_at),
            "deleted": notebooks.moment(self.deleted_at),
            "now at": self.place and self.place.url,
        }
        ended = [TaskState(task.task_state) for task in tasks if TaskState(task.task_state).ended]
        failed = sum(state.failed for state in ended)
        drawn = notebooks.states(len(tasks), done=len(ended) - failed, failed=failed)
        rows = [
            [one.task_key, notebooks.state(one.task_state), one.task_msg, self.response.get(one.task_key)]
            for one in tasks
        ]
        listed = notebooks.table(["task", "state", "message", "answer"], rows)
        return notebooks.card(f"Job {self.job_id}", facts, drawn, listed)


def _leaves(tree: Any) -> Iterator[Mapping[str, Any]]:
    if not isinstance(tree, Mapping):
        return
    for name, value in tree.items():
        if name == "Task":
            yield value
        else:
            for child in value:
                yield from _leaves(child)


class StreamProgress(Answer):
    """How many jobs of a stream there are, and how they stand.

    Attributes
    ----------
    to_redecide, to_move : int
        Images that another policy of the stream has not reached yet.
    """

    jobs: int
    open: int
    done: int
    failed: int
    to_redecide: int = 0
    to_move: int = 0


class TierTotal(Answer):
    """What one tier got from a stream.

    Attributes
    ----------
    mean_score : float or None
        In [0, 1]; None if none of its objects has a score.
    """

    count: int
    size_bytes: int
    mean_score: float | None = None


class PipelineAnswer(Answer):
    """The pipeline of a stream."""

    name: str
    description: str = ""
    tasks: Any
    parameters: dict[str, Any] = Field(default_factory=dict)
    interestingness: dict[str, Any] | None = None
    policy: dict[str, Any] | None = None
    image_set: dict[str, Any] | None = None


class DeletedTotal(Answer):
    """What of a stream was deleted from a trash."""

    count: int = 0
    size_bytes: int = 0


class StreamAnswer(Answer):
    """One acquisition: its pipeline, its mode, how far it is, and since when it is complete (else None)."""

    stream_id: str
    pipeline: PipelineAnswer
    mode: str
    created_at: float
    completed_at: float | None = None
    progress: StreamProgress
    tiers: dict[str, TierTotal] = Field(default_factory=dict)
    deleted: DeletedTotal = DeletedTotal()
    open_alerts: int = 0
    project: str = "default"

    def _repr_html_(self) -> str:
        facts = {
            "pipeline": f"{self.pipeline.name}: {self.pipeline.description}",
            "mode": self.mode,
            "made": notebooks.moment(self.created_at),
            "complete since": notebooks.moment(self.completed_at),
            "open alerts": self.open_alerts or None,
            "deleted images": self.deleted.count or None,
        }
        jobs = self.progress
        drawn = notebooks.states(jobs.jobs, done=jobs.done, failed=jobs.failed)
        shares = [
            notebooks.TierShare(name, tier.count, tier.size_bytes, tier.mean_score)
            for name, tier in self.tiers.items()
        ]
        return notebooks.card(f"Stream {self.stream_id}", facts, drawn, notebooks.tiers(shares))


class PipelineName(Answer):
    """One pipeline that the server offers: `keys` of its tasks, `tags` of HASTE agents that start it."""

    name: str
    description: str = ""
    keys: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()


class ImageAnswer(Answer):
    """One object that was decided about, with its latest decision.

    Attributes
    ----------
    score : float or None
        In [0, 1]; None if undefined, see `reason`.
    tier : str
        Where the object belongs; where it is now tells `place`.
    place : Place or None
        None if it was deleted.
    deleted_at : float or None
        When it was deleted from a trash, in seconds since 1970.
    origin : str
        What made the decision: ``policy`` when it was measured, later ones such as ``new-policy`` or ``pin``.
    decided_at, timestamp : float
        Seconds since 1970; `timestamp` is the time of acquisition, if known.
    features, metadata : mapping
        What was measured, and what was said of it when it was submitted.
    location : tuple of float
        Row and column of the well, or what the client gave.
    """

    job_id: int
    source_id: str
    source_url: str
    index: int | None = None
    score: float | None = None
    tier: str
    reason: str = ""
    origin: str = "policy"
    decided_at: float
    decision_id: int
    pinned: bool = False
    features: dict[str, Any] = Field(default_factory=dict)
    metadata: dict[str, Any] = Field(default_factory=dict)
    timestamp: float | None = None
    location: tuple[float, ...] | None = None
    place: Place | None = None
    size_bytes: int | None = None
    deleted_at: float | None = None


class DecisionAnswer(Answer):
    """One decision, with what it was made from; decisions are never changed, only superseded.

    Attributes
    ----------
    made_at : float
        Seconds since 1970.
    origin, made_by : str
        What made it, see `ImageAnswer`; and who asked for it, if somebody did.
    mode : str
        Whether the stream was to ``observe`` or ``enforce``.
    interestingness, policy : mapping
        Function and policy with all their parameters.
    features, circumstances : mapping
        What was measured, and what else was known: metadata, timestamp, location, substream_id.
    input_sha256 : str
        Of all that the score was made from.
    supersedes : int, optional
        The decision about the object before it.
    seen : int, optional
        Up to which decision of the stream others' were looked at, if any.
    members : tuple of int, optional
        The jobs whose images' scores made that of their image set.
    """

    decision_id: int
    job_id: int
    source_id: str
    made_at: float
    score: float | None = None
    tier: str
    reason: str = ""
    origin: str = "policy"
    made_by: str | None = None
    mode: str = ""
    software_version: str = ""
    features: dict[str, Any] = Field(default_factory=dict)
    circumstances: dict[str, Any] = Field(default_factory=dict)
    interestingness: dict[str, Any] | None = None
    policy: dict[str, Any] | None = None
    input_sha256: str = ""
    supersedes: int | None = None
    seen: int | None = None
    members: tuple[int, ...] | None = None


class KnownSource(Answer):
    """One object that was submitted to a stream before."""

    source_id: str
    source_version: str | None = None
    job_id: int


class BulkAnswer(Answer):
    """The server's answer to one job spec of a bulk call.

    Attributes
    ----------
    status : int
        201 new; 200 known already; 400 refused, see `problems`.
    """

    status: int
    job_id: int | None = None
    problems: tuple[dict[str, str], ...] = ()


class PriorityAnswer(Answer):
    """What became of a change of priorities."""

    changed: int
    unknown: tuple[int | str, ...] = ()
