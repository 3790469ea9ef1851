"""What programs send one another: tasks, results, presence. Versioned JSON, never pickle."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from haste_core.errors import InvalidError
from haste_core.findings import problems_of
from haste_core.states import TaskState

RowId = Annotated[int, Field(ge=0, lt=2**63)]
AttemptNumber = Annotated[int, Field(ge=0, lt=2**31)]
WorkerId = Annotated[str, Field(max_length=100)]

JsonObject: TypeAlias = dict[str, Any]
"""What was decoded from JSON; pydantic's JsonValue would look at each value of it once more, in Python."""

AttemptKey: TypeAlias = tuple[int, int]
"""(task_id, attempt)"""


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    v: Literal[1] = 1

    def encode(self) -> bytes:
        """Write the message as UTF-8 JSON."""
        return self.model_dump_json().encode()

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Read a message.

        Raises
        ------
        InvalidError
            If it is no message of this kind and version.
        """
        try:
            return cls.model_validate_json(body)
        except ValidationError as error:
            raise InvalidError(problems_of(error)) from error


class Sidecar(BaseModel):
    """Where a file that belongs to an object now is.

    Attributes
    ----------
    source_url : str
        Where the job spec says it was.
    url : str
    sha256 : str
        Of the content, in hex.
    size_bytes : int
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    source_url: str
    url: str
    sha256: str
    size_bytes: int


class Place(BaseModel):
    """Where an object now is.

    Attributes
    ----------
    url : str
        A ``root://``, ``file://``, ``http(s)://``, ``s3://`` or ``swift://`` URL.
    site : str
        Where the URL can be reached; later tasks are routed there.
    sha256 : str, optional
        Of the content, in hex.
    size_bytes : int, optional
    moved : True, optional
        The original is gone: it was removed after it had been copied.
    moved_at : float, optional
        When it was removed, in seconds since 1970.
    deleted_at : float, optional
        When the object was deleted there, in seconds since 1970.
    sidecars : tuple of Sidecar, optional
        Those that went with the object. None: they are where the job spec says.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str
    site: str
    sha256: str | None = None
    size_bytes: int | None = None
    moved: Literal[True] | None = None
    moved_at: FiniteFloat | None = None
    deleted_at: FiniteFloat | None = None
    sidecars: tuple[Sidecar, ...] | None = None

    def url_of_sidecar(self, source_url: str) -> str:
        """Tell where a sidecar of the job spec now is."""
        moved = (sidecar.url for sidecar in self.sidecars or () if sidecar.source_url == source_url)
        return next(moved, source_url)


class DecisionNote(BaseModel):
    """What a `tier` task is told to do: the tier, and why.

    Attributes
    ----------
    score : float, optional
        The interestingness, in [0, 1]; None where it is undefined.
    tier : str
    reason : str
        In a sentence.
    enforce : bool
        False: record only, move nothing.
    sha256 : str, optional
        Of the content that the features were measured on.
    removes : bool
        The place that the object is taken from may go once its copy is recorded.
    deletes : bool
        The object is to be deleted from the trash in which it lies; its file, if it `removes` too.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    decision_id: int
    score: float | None
    tier: str
    reason: str
    enforce: bool
    sha256: str | None = None
    removes: bool = False
    deletes: bool = False


class TaskMessage(_Message):
    """One attempt of one task, as it is handed out.

    Attributes
    ----------
    ttl_s : float
        How long it may wait in a queue, and once more at a worker. After that it is dropped unrun, since it
        may be handed out again. A length of time, for the clocks of server and worker may differ.
    parameters : dict
        The handler's, from the stream's pipeline.
    leaving : Place, optional
        What an earlier attempt has copied to `place`: this attempt is to remove it.
    is_scored : bool
        Whether a decision about the object will be made from the answer.
    job : dict
        The whole job as the API shows it, with the responses so far.
    """

    task_id: int
    job_id: int
    attempt: int
    task_key: str
    site: str
    ttl_s: Annotated[FiniteFloat, Field(ge=0)]
    place: Place
    parameters: JsonObject = Field(default_factory=dict)
    decision: DecisionNote | None = None
    leaving: Place | None = None
    is_scored: bool = False
    job: JsonObject


class Outcome(StrEnum):
    """How an attempt came back."""

    ENDED = "ended"  # the handler answered or failed; `state` tells
    CRASHED = "crashed"  # the child process died, or was killed at a limit
    HANDED_BACK = "handed_back"  # not started: expired, or the worker stops
    LOST = "lost"  # its worker vanished, or was stopped while it ran; may have run
    REVOKED = "revoked"  # stopped, or never begun, since somebody cancelled or asked for it anew


MAX_THUMBNAIL_BYTES = 8192
"""Of one image: they lie in the database, one for each image of a stream."""


class TaskResult(_Message):
    """What became of one attempt.

    Attributes
    ----------
    state : TaskState
        For outcome ``ended``: 200 or a failure's code. 503 is tried again while attempts are left.
    place : Place, optional
        Where the object is now, if the task moved or replaced it.
    leaving : Place, optional
        What may be removed once `place` is recorded. Then the task runs again to do so. The place itself, if
        the object is to be deleted.
    thumbnail : bytes, optional
        A JPEG of the image, for people.
    """

    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")

    task_id: RowId
    attempt: AttemptNumber
    worker_id: WorkerId
    outcome: Outcome
    state: TaskState = TaskState.ERROR
    message: str = ""
    response: JsonObject = Field(default_factory=dict)
    place: Place | None = None
    leaving: Place | None = None
    thumbnail: Annotated[bytes, Field(max_length=MAX_THUMBNAIL_BYTES)] | None = None
    started_at: FiniteFloat | None = None
    ended_at: FiniteFloat | None = None

    @property
    def duration_s(self) -> float | None:
        """How long it ran, if it did."""
        if self.started_at is None or self.ended_at is None:
            return None
        return self.ended_at - self.started_at


class Revocation(_Message):
    """Attempts that workers shall stop, each as (task_id, attempt); whoever has none of them does nothing."""

    attempts: tuple[tuple[RowId, AttemptNumber], ...]


class HeldAttempt(BaseModel):
    """An attempt that a worker has; `started_at` is None while it waits for a free child."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    task_id: RowId
    attempt: AttemptNumber
    started_at: FiniteFloat | None = None
    fraction: Annotated[float, Field(ge=0, le=1)] | None = None
    note: str = ""


class Presence(_Message):
    """A worker's heartbeat: who it is, what it takes, and what it holds.

    Attributes
    ----------
    slots : int
        How many tasks it runs at once.
    leaving : bool
        It takes no more tasks.
    tasks_per_s : dict of str
        How many tasks came to an end, by key, over the last minute; keys without any are left out.
    version : str
        Of the worker's software; empty: not told.
    tiers : dict of str
        Whether objects can be put to the tiers that it knows, by name: empty if they can, or what is in the
        way. Those that it has not tried yet are left out.
    sent_at : float
        By the worker's clock, seconds since 1970.
    """

    worker_id: WorkerId
    host: str
    pid: int
    keys: tuple[str, ...]
    site: str
    slots: int
    held: tuple[HeldAttempt, ...] = ()
    leaving: bool = False
    tasks_per_s: dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]] = Field(default_factory=dict)
    version: str = ""
    tiers: dict[str, str] = Field(default_factory=dict)
    sent_at: float
