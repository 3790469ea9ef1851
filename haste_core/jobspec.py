"""The job spec: what a client may ask for, in DANE's format with our additions.

A spec is validated once, where it enters; all its problems are reported together. The tasks form a tree
of sequential and parallel containers; its leaves, numbered depth first, are the tasks' *positions*.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    FiniteFloat,
    JsonValue,
    Tag,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_serializer,
    model_validator,
)

from haste_core.errors import InvalidError, Problem
from haste_core.expressions import parse_expression
from haste_core.findings import wording
from haste_core.routing import DEFAULT_SITE, SOURCE_SCHEMES, normalise_name

MAX_TASKS = 100
MAX_DEPTH = 10
MAX_SPEC_BYTES = 2**20
"""As JSON. A spec is a part of each of its tasks' messages, whose limit is `routing.MAX_MESSAGE_BYTES`."""
DEFAULT_STREAM = "default"

_STREAM_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_CONTROL_CHARACTERS = re.compile(r"[\x00-\x1f\x7f]")
_ANSWERED_FIELDS = ("task_id", "task_state", "task_msg", "job_id")


def _not_a_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("should be a number, not true or false")  # noqa: TRY004 - pydantic wants it
    return value


def _plain_text(text: str) -> str:
    stripped = text.strip()
    if not stripped:
        raise ValueError("may not be empty")
    if _CONTROL_CHARACTERS.search(stripped):
        raise ValueError("may not contain control characters")
    return stripped


def _stream_name(name: str) -> str:
    if not _STREAM_NAME.fullmatch(name):
        raise ValueError(
            f"{name[:100]!r} is not the name of a stream: at most 100 letters, digits, '.', '-' and '_', "
            "a letter or digit first"
        )
    return name


def _safe_relative_name(name: str) -> str:
    parts = re.split(r"[/\\]", name)
    if parts[0] == "" or ".." in parts or re.match(r"[A-Za-z]:", name):
        raise ValueError(f"{name!r} names an object in its stream: no leading '/', no drive, no '..'")
    return name


def _unmistakable_url(url: str) -> str:
    """Accept only what every reader of URLs takes for the same place."""
    parts = urlsplit(url)
    if parts.scheme.lower() not in SOURCE_SCHEMES:
        raise ValueError(
            f"{url!r} has no scheme that is offered ({', '.join(sorted(SOURCE_SCHEMES))}); "
            "a local file is file:///folder/name.tif or root://NAME/name.tif"
        )
    if "\\" in url or "@" in parts.netloc:
        raise ValueError("may hold neither a backslash nor a user name")
    if parts.scheme.lower() in ("root", "file") and ("#" in url or "?" in url):
        raise ValueError("holds '#' or '?', which end a path in a URL; write them as %23 and %3F")
    return url


def _plain_json(value: dict[str, Any]) -> dict[str, Any]:
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        raise ValueError("may not hold numbers that are infinite or not a number") from None
    return value


def _non_empty_list(value: Any) -> Any:
    if not isinstance(value, list | tuple):
        raise ValueError("should be a list of tasks")  # noqa: TRY004 - pydantic wants it
    if not value:
        raise ValueError("holds no task; a container may not be empty")
    return value


def _readable_expression(text: str) -> str:
    return parse_expression(text).text


Name = Annotated[str, AfterValidator(normalise_name)]
PlainText = Annotated[str, AfterValidator(_plain_text)]
StreamName = Annotated[
    str, AfterValidator(_stream_name), Field(json_schema_extra={"pattern": f"^{_STREAM_NAME.pattern}$"})
]
SourceName = Annotated[PlainText, Field(max_length=255), AfterValidator(_safe_relative_name)]
Number = Annotated[FiniteFloat, BeforeValidator(_not_a_bool)]
Priority = Annotated[Number, Field(ge=-1e9, le=1e9)]
JsonObject = Annotated[dict[str, JsonValue], AfterValidator(_plain_json)]
Condition = Annotated[str, AfterValidator(_readable_expression)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Task(_Strict):
    """One step of a job.

    Attributes
    ----------
    task_key : str
        Routes the task to the workers that are bound to this key.
    optional : bool
        The following task need not wait for this one: whichever is claimed first decides.
    when : str, optional
        An expression over the job's responses; if it is false, the task is skipped (204).
    priority : float, optional
        Overrides the job's priority for this task.
    priority_from : str, optional
        Key of an earlier task; this task takes the score of that task's object as its priority.
    """

    task_key: Name
    optional: bool = False
    when: Condition | None = None
    priority: Priority | None = None
    priority_from: Name | None = None

    @model_validator(mode="before")
    @classmethod
    def _unwrap(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"task_key": value}
        inner = _only_value(value)
        if isinstance(inner, Mapping):
            return {key: item for key, item in inner.items() if key not in _ANSWERED_FIELDS}
        raise ValueError('a task is "KEY" or {"Task": {"task_key": "KEY"}}')

    @model_serializer
    def _wrap(self) -> str | dict[str, dict[str, JsonValue]]:
        given = {name: getattr(self, name) for name in self.model_fields_set | {"task_key"}}
        return self.task_key if len(given) == 1 else {"Task": given}


class Sequential(_Strict):
    """Tasks of which each starts when the one before it is done."""

    tasks: Annotated[tuple[Node, ...], BeforeValidator(_non_empty_list)] = Field(alias="taskSequential")

    @model_validator(mode="before")
    @classmethod
    def _unwrap(cls, value: Any) -> Any:
        return {"taskSequential": _only_value(value)}

    @model_validator(mode="after")
    def _optional_has_a_successor(self) -> Self:
        last = self.tasks[-1]
        if isinstance(last, Task) and last.optional:
            raise ValueError(f"{last.task_key!r} is optional, but nothing follows it that could overtake it")
        return self


class Parallel(_Strict):
    """Tasks that may run at the same time."""

    tasks: Annotated[tuple[Node, ...], BeforeValidator(_non_empty_list)] = Field(alias="taskParallel")

    @model_validator(mode="before")
    @classmethod
    def _unwrap(cls, value: Any) -> Any:
        return {"taskParallel": _only_value(value)}

    @model_validator(mode="after")
    def _no_optional_task(self) -> Self:
        for task in self.tasks:
            if isinstance(task, Task) and task.optional:
                raise ValueError(
                    f"{task.task_key!r} is optional; that has a meaning in a taskSequential only"
                )
        return self


def _class_name(value: Any) -> str | None:
    if isinstance(value, str | Task):
        return "Task"
    if isinstance(value, Sequential):
        return "taskSequential"
    if isinstance(value, Parallel):
        return "taskParallel"
    if isinstance(value, Mapping) and len(value) == 1:
        return _CLASS_NAMES.get(str(next(iter(value))).lower())
    return None


_CLASS_NAMES = {
    "task": "Task",
    "tasksequential": "taskSequential",
    "taskparallel": "taskParallel",
}


def _only_value(value: Any) -> Any:
    return next(iter(value.values())) if isinstance(value, Mapping) and len(value) == 1 else value


Node = Annotated[
    Annotated[Task, Tag("Task")]
    | Annotated[Sequential, Tag("taskSequential")]
    | Annotated[Parallel, Tag("taskParallel")],
    Discriminator(
        _class_name,
        custom_error_type="task_class",
        custom_error_message=(
            'should be "KEY", {"Task": {…}}, {"taskSequential": […]} or {"taskParallel": […]}'
        ),
    ),
]


def leaves(node: Task | Sequential | Parallel) -> Iterator[Task]:
    """Walk the tasks of a tree depth first, in the order of their positions."""
    if isinstance(node, Task):
        yield node
    else:
        for child in node.tasks:
            yield from leaves(child)


def _depth(node: Task | Sequential | Parallel) -> int:
    return 0 if isinstance(node, Task) else 1 + max(_depth(child) for child in node.tasks)


class JobSpec(_Strict):
    """One object's work, as a client submits it.

    Attributes
    ----------
    source_url : str
        Where the object is: ``root://NAME/path``, ``file://``, ``http(s)://`` or ``s3://``.
    source_id : str
        Names the object in its stream; at most 255 characters.
    tasks : Task or Sequential or Parallel
        What to do with it.
    source_version : str, optional
        Tells versions of one source apart (size and time of change, or a SHA-256). A stream holds one job for
        each (source_id, source_version); submitting it again answers with the job that is there.
    site : str
        Where the source can be reached.
    stream_id : str
        The acquisition that the object belongs to.
    index : int, optional
        The object's number in its stream; breaks ties between equal ranks.
    timestamp : float, optional
        Time of acquisition, seconds since 1970.
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

    source_url: Annotated[PlainText, Field(max_length=2000), AfterValidator(_unmistakable_url)]
    source_id: SourceName
    tasks: Node
    source_version: Annotated[PlainText, Field(max_length=128)] | None = None
    site: Name = DEFAULT_SITE
    stream_id: StreamName = DEFAULT_STREAM
    index: Annotated[int, BeforeValidator(_not_a_bool), Field(ge=0, lt=2**62)] | None = None
    timestamp: Number | None = None
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

    @field_validator("tasks", mode="after")
    @classmethod
    def _bounded_tree(cls, tasks: Task | Sequential | Parallel) -> Task | Sequential | Parallel:
        if isinstance(tasks, Task) and tasks.optional:
            raise ValueError("a single task cannot be optional")
        if _depth(tasks) > MAX_DEPTH or sum(1 for _ in leaves(tasks)) > MAX_TASKS:
            raise ValueError(f"a job has at most {MAX_TASKS} tasks, nested at most {MAX_DEPTH} deep")
        return tasks

    @classmethod
    def stored(cls, value: Mapping[str, Any]) -> JobSpec:
        """Take a spec back from a store that kept what `to_json` wrote; it is not checked again."""
        tasks = _stored_tree(json.dumps(value["tasks"]))
        return cls.model_construct(**{**value, "tasks": tasks, "location": tuple(value["location"])})

    def to_json(self) -> dict[str, Any]:
        """Write the spec as a JSON object that `parse_job_spec` reads back as an equal spec."""
        return self.model_dump(mode="json", by_alias=True)


Sequential.model_rebuild()
Parallel.model_rebuild()
JobSpec.model_rebuild()

_tree_adapter: TypeAdapter[Task | Sequential | Parallel] = TypeAdapter(Node)


@lru_cache(maxsize=1000)
def _stored_tree(text: str) -> Task | Sequential | Parallel:
    """Read a tree of tasks; the jobs of a stream mostly have the same one."""
    return _tree_adapter.validate_json(text)


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


def check_size(spec: JobSpec) -> None:
    """Refuse a spec that is too large to travel with its tasks.

    Raises
    ------
    InvalidError
        If it takes more than `MAX_SPEC_BYTES`.
    """
    size_bytes = len(spec.model_dump_json(by_alias=True).encode())
    if size_bytes <= MAX_SPEC_BYTES:
        return
    sizes = {name: len(spec.model_dump_json(include={name}).encode()) for name in ("metadata", "response")}
    largest = max(sizes, key=sizes.__getitem__)
    what = (
        f"the job spec takes {size_bytes:,} bytes, at most {MAX_SPEC_BYTES:,} are possible; {largest!r} has "
        f"{sizes[largest]:,} of them: put what is large into a file and name its path"
    )
    raise InvalidError([Problem("", what)])


def parse_tasks(value: Any) -> Task | Sequential | Parallel:
    """Read a tree of tasks, as a stored job or a pipeline holds it."""
    try:
        return _tree_adapter.validate_python(value)
    except ValidationError as error:
        raise InvalidError(problems_of(error)) from error


def problems_of(error: ValidationError) -> list[Problem]:
    """Tell pydantic's findings in the words and paths of the JSON that the user wrote."""
    return [Problem(_path(finding["loc"]), wording(finding)) for finding in error.errors(include_url=False)]


def _path(location: tuple[int | str, ...]) -> str:
    path: list[str] = []
    for part in location:
        if isinstance(part, int):
            path[-1:] = [f"{path[-1] if path else ''}[{part}]"]
        elif not path or path[-1] != part:
            path.append(part)
    return ".".join(path)
