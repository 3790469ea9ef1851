"""What requests carry beside their bodies: numbers in paths, queries and headers."""

from __future__ import annotations

import re
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

from haste_core.fields import Form, StreamName, TierName
from haste_core.objects import ObjectOrder
from haste_core.states import TaskState
from haste_server.api.requests import MAX_ID

MAX_PAGE = 1000
MAX_SOURCES_PAGE = 10_000
NO_CURSOR = "is no cursor of this list: send `next` of the answer before, as it stands"
LATEST_TIME = 1e11  # seconds since 1970: the year 5138


def _known_state(value: Any, judge: ValidatorFunctionWrapHandler) -> Any:
    try:
        return judge(value)
    except ValidationError:
        codes = ", ".join(str(state.value) for state in TaskState)
        raise ValueError(f"should be open, done, failed, or one of the codes {codes}") from None


def _digits(value: Any) -> Any:
    # The sender and whatever stands between may read "+5" and "5_0" otherwise.
    if isinstance(value, str) and not re.fullmatch("-?[0-9]{1,20}", value):
        raise ValueError("should be a number of bytes, in digits only")
    return value


NumericId = Annotated[int, Field(ge=0, le=MAX_ID)]
NumericCursor = Annotated[
    str, Form(r"[0-9]{1,18}", NO_CURSOR), Field(description="`next` of the page before.")
]
ScoreCursor = Annotated[str, Form(r"-?[0-9](\.[0-9]{1,20})?(e-?[0-9]{1,3})?:[0-9]{1,18}", NO_CURSOR)]
PageSize = Annotated[int, Field(ge=1, le=MAX_PAGE)]
StateFilter = Annotated[Literal["open", "done", "failed"] | TaskState, WrapValidator(_known_state)]


class _Query(BaseModel):
    model_config = ConfigDict(extra="forbid")


class JobPath(BaseModel):
    """The number of a job."""

    job_id: NumericId


class TaskPath(BaseModel):
    """The number of a task."""

    task_id: NumericId


class StreamPath(BaseModel):
    """The name of a stream."""

    stream_id: str


class TierPath(BaseModel):
    """The name of a tier."""

    tier: str


class EmptyingQuery(_Query):
    """How a trash is to be emptied.

    Attributes
    ----------
    dry_run : bool
        Tell only what would be deleted.
    """

    dry_run: bool = False


class AlertPath(StreamPath):
    """The number of one of a stream's alerts."""

    alert_id: NumericId


class TokenPath(BaseModel):
    """The name of a token."""

    name: str


class SourcePath(BaseModel):
    """The name of an object in its stream; it may hold slashes."""

    source_id: str


class PageQuery(_Query):
    """Which part of a list is wanted."""

    cursor: NumericCursor | None = None
    limit: PageSize = 100


class AlertsQuery(PageQuery):
    """Which part of a stream's alerts is wanted.

    Attributes
    ----------
    open : bool
        Only those that nobody has acknowledged.
    """

    open: bool = False


class SourcesQuery(_Query):
    """Which part of a stream's sources is wanted."""

    cursor: NumericCursor | None = None
    limit: Annotated[int, Field(ge=1, le=MAX_SOURCES_PAGE)] = 1000


class StreamsQuery(_Query):
    """Which part of the list of streams is wanted."""

    cursor: Annotated[str, Form(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", NO_CURSOR)] | None = None
    limit: Annotated[int, Field(ge=1, le=100)] = 100


class ObjectsQuery(_Query):
    """Which images of a stream are wanted.

    Attributes
    ----------
    min, max : float, optional
        Of the score, both included; images without a score are left out then.
    order : str
        ``-score`` (highest first), ``score``, or ``job`` (as submitted); without a score means lowest.
    """

    tier: TierName | None = None
    min: Annotated[float, Field(ge=0, le=1)] | None = None
    max: Annotated[float, Field(ge=0, le=1)] | None = None
    order: ObjectOrder = "-score"
    cursor: ScoreCursor | None = None
    limit: PageSize = 100


class TargetsQuery(_Query):
    """How many of the best images are wanted."""

    top: PageSize = 10


class JobsQuery(_Query):
    """Which jobs are wanted.

    Attributes
    ----------
    state : str, optional
        ``open``, ``done``, ``failed``, or a code such as 502.
    ended_since : float, optional
        Seconds since 1970; the list is then in the order of the jobs' ends.
    """

    stream_id: StreamName | None = None
    source_id: Annotated[str, Field(min_length=1, max_length=255)] | None = None
    state: StateFilter | None = None
    ended_since: Annotated[float, Field(ge=0, le=LATEST_TIME)] | None = None
    cursor: Annotated[str, Form(r"([0-9]{1,12}(\.[0-9]{1,12})?:)?[0-9]{1,18}", NO_CURSOR)] | None = None
    limit: PageSize = 100


class EventsQuery(_Query):
    """Which events are wanted.

    Attributes
    ----------
    stream_id : str, optional
        Of one stream only.
    present : bool
        Begin with the present state of each stream; else only what changes is told.
    """

    stream_id: StreamName | None = None
    present: bool = True


_make_schema = cache(BaseModel.model_json_schema.__func__)  # type: ignore[attr-defined]


class _Headers(BaseModel):
    @classmethod
    def model_json_schema(cls, *arguments: Any, **options: Any) -> dict[str, Any]:
        """Make the schema once: flask-openapi3 asks for it with each request."""
        return dict(_make_schema(cls, *arguments, **options))


class EventHeaders(_Headers):
    """Where a stream of events broke off."""

    last_event_id: (
        Annotated[
            str, Form(r"[0-9]{1,18}", "is no id of an event: send the last `id` that came, as it stands")
        ]
        | None
    ) = Field(default=None, alias="Last-Event-ID")


class SubmissionHeaders(_Headers):
    """A repeated call with the same key and body answers as the first one did."""

    idempotency_key: (
        Annotated[
            str,
            Form(r"[\x21-\x7e]{1,255}", "is no key: at most 255 ASCII letters, digits and signs, no blanks"),
        ]
        | None
    ) = Field(default=None, alias="Idempotency-Key")


Count = Annotated[int, Field(ge=0, lt=2**62), BeforeValidator(_digits)]
TUS_VERSION = "1.0.0"
TusVersion = Annotated[
    Literal["1.0.0"],
    Field(alias="Tus-Resumable", description="Of the protocol; another one is answered 412."),
]
Metadata = Annotated[str, Field(max_length=8000, description="Keys, each with its value in Base64.")]
PieceChecksum = Annotated[str, Field(max_length=200, description="`sha256 BASE64`, or `sha1 BASE64`.")]


class UploadPath(BaseModel):
    """The name that the server gave to an upload."""

    upload_id: str


class TusHeaders(_Headers):
    """What each call of the protocol carries."""

    tus_resumable: TusVersion


class CreateHeaders(TusHeaders):
    """What is announced."""

    upload_length: Count = Field(alias="Upload-Length")
    upload_metadata: Metadata = Field(default="", alias="Upload-Metadata")
    upload_checksum: PieceChecksum | None = Field(default=None, alias="Upload-Checksum")


class AppendHeaders(TusHeaders):
    """Where a piece belongs, and what it must be."""

    upload_offset: Count = Field(alias="Upload-Offset")
    upload_checksum: PieceChecksum | None = Field(default=None, alias="Upload-Checksum")


class OverrideHeaders(TusHeaders):
    """Which method is meant."""

    method: Literal["PATCH", "DELETE"] = Field(alias="X-HTTP-Method-Override")
    upload_offset: Count | None = Field(default=None, alias="Upload-Offset")
    upload_checksum: PieceChecksum | None = Field(default=None, alias="Upload-Checksum")


class AgentPath(BaseModel):
    """The stream that the agent has made up: a time and its tag."""

    stream_id: StreamName


class AgentHeaders(_Headers):
    """What the original agent says about an image: its path, its tag, and when it was sent."""

    original_filename: Annotated[str, Field(min_length=1, max_length=1000)] = Field(
        alias="X-HASTE-original_filename"
    )
    tag: Annotated[str, Field(min_length=1, max_length=100)] = Field(alias="X-HASTE-tag")
    unixtime: Annotated[float, Field(ge=0, le=LATEST_TIME)] | None = Field(
        default=None, alias="X-HASTE-unixtime"
    )
