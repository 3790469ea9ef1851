"""The job spec: what a client may ask for, in DANE's format with our additions.

A spec is validated once, where it enters; all its problems are reported together.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property, lru_cache
from typing import Annotated, Any

from pydantic import AfterValidator, Field, ValidationError, model_validator
from pydantic_core import from_json, to_json

from haste_core.errors import InvalidError, Problem
from haste_core.fields import (
    Index,
    JsonObject,
    Name,
    Number,
    PlainText,
    Priority,
    SourceName,
    SourceUrl,
    StreamName,
    Strict,
)
from haste_core.findings import problems_of
from haste_core.readiness import Plan
from haste_core.routing import DEFAULT_SITE
from haste_core.tasktree import Node, Parallel, Sequential, Task, check_bounds, stored_tasks

MAX_SPEC_BYTES = 2**20
"""As JSON. A spec is a part of each of its tasks' messages, whose limit is `routing.MAX_MESSAGE_BYTES`."""
MAX_SIDECARS = 16
DEFAULT_STREAM = "default"


TIMESTAMPS = (-6e10, 1e11)
"""From the year 68 to 5138: wide, but milliseconds since 1970 lie beyond, and dates can be made of all."""


def _seconds(timestamp: float) -> float:
    first, last = TIMESTAMPS
    if not first <= timestamp <= last:
        raise ValueError("should be seconds since 1970, not milliseconds, such as 1790000000.5")
    return timestamp


class JobSpec(Strict):
    """One object's work, as a client submits it.

    Attributes
    ----------
    source_url : str
        Where the object is: ``root://NAME/path``, ``file://``, ``http(s)://``, ``s3://`` or ``swift://``.
    source_id : str
        Names the object in its stream; at most 255 characters.
    tasks : Task or Sequential or Parallel
        What to do with it.
    source_version : str, optional
        Tells versions of one source apart (size and time of change, or a SHA-256). A stream holds one job for
        each (source_id, source_version); submitting it again answers with the job that is there.
    sidecars : tuple of str
        Where the files are that belong to the object and travel with it, such as a SerialEM ``.mdoc``. At
        most `MAX_SIDECARS`, with the same schemes as `source_url` and at the same site.
    site : str
        Where the source can be reached.
    stream_id : str
        The acquisition that the object belongs to.
    index : int, optional
        The object's number in its stream; breaks ties between equal ranks.
    timestamp : float, optional
        Time of acquisition, seconds since 1970, within `TIMESTAMPS`.
    location : tuple of float
        Stage position or grid place of the object.
    substream_id : str, optional
        A part of the stream, for example a well.
    metadata : dict
        Anything else that handlers and interestingness functions may want to know.
    priority : float
        The higher, the earlier its tasks are handed out.
    response : dict
        Answers that are known beforehand, by task key.
    """

    source_url: SourceUrl
    source_id: SourceName
    tasks: Annotated[Node, AfterValidator(check_bounds)]
    source_version: Annotated[PlainText, Field(max_length=128)] | None = None
    sidecars: tuple[SourceUrl, ...] = Field(default=(), max_length=MAX_SIDECARS)
    site: Name = DEFAULT_SITE
    stream_id: StreamName = DEFAULT_STREAM
    index: Index | None = None
    timestamp: Annotated[Number, AfterValidator(_seconds)] | None = None
    location: tuple[Number, ...] = Field(default=(), max_length=8)
    substream_id: Annotated[PlainText, Field(max_length=100)] | None = None
    metadata: JsonObject = Field(default_factory=dict)
    priority: Priority = 1.0
    response: JsonObject = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _drop_what_has_no_meaning(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            raise ValueError("a job spec is a JSON object")  # noqa: TRY004 - pydantic wants it
        # A spec that was fetched from DANE or from us may be sent again as a new job.
        return {key: item for key, item in value.items() if key not in ("source_set", "job_id")}

    @classmethod
    def stored(cls, text: str) -> JobSpec:
        """Take a spec back from a store that kept its `text`; it is not checked again."""
        value = from_json(text)
        tasks = stored_tasks(to_json(value["tasks"]))
        lists = {name: tuple(value[name]) for name in ("location", "sidecars")}
        spec = cls.model_construct(**{**value, **lists, "tasks": tasks})
        spec.__dict__["text"] = text
        return spec

    @cached_property
    def text(self) -> str:
        """The spec as JSON text."""
        return self.model_dump_json(by_alias=True)

    @cached_property
    def plan(self) -> Plan:
        """What follows from the tree of tasks."""
        return _plan(self.tasks)

    def to_json(self) -> dict[str, Any]:
        """Write the spec as a JSON object that `parse_job_spec` reads back as an equal spec."""
        written: dict[str, Any] = from_json(self.text)
        return written


def parse_job_spec(value: Any) -> JobSpec:
    """Read a job spec from decoded JSON.

    Raises
    ------
    InvalidError
        With every problem that the spec has.
    """
    try:
        return JobSpec.model_validate(value)
    except ValidationError as error:
        raise InvalidError(problems_of(error)) from error


@lru_cache(maxsize=1000)
def _plan(tasks: Task | Sequential | Parallel) -> Plan:
    """Make the plan of a tree of tasks; the jobs of a stream mostly have the same one."""
    return Plan(tasks)


def check_size(spec: JobSpec) -> None:
    """Refuse a spec that is too large to travel with its tasks.

    Raises
    ------
    InvalidError
        If it takes more than `MAX_SPEC_BYTES`.
    """
    size_bytes = len(spec.text.encode())
    if size_bytes <= MAX_SPEC_BYTES:
        return
    sizes = {name: len(spec.model_dump_json(include={name}).encode()) for name in ("metadata", "response")}
    largest = max(sizes, key=sizes.__getitem__)
    what = (
        f"the job spec takes {size_bytes:,} bytes, at most {MAX_SPEC_BYTES:,} are possible; {largest!r} has "
        f"{sizes[largest]:,} of them: put what is large into a file and name its path"
    )
    raise InvalidError([Problem("", what)])
