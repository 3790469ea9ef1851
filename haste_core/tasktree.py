"""The tree of tasks in a job spec: sequential and parallel containers, with tasks for leaves.

The leaves, numbered depth first, are the tasks' *positions*.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property, lru_cache
from typing import Annotated, Any, Self

from pydantic import (
    BeforeValidator,
    Discriminator,
    Field,
    JsonValue,
    Tag,
    TypeAdapter,
    ValidationError,
    model_serializer,
    model_validator,
)

from haste_core.errors import InvalidError
from haste_core.fields import Condition, Name, Priority, Strict
from haste_core.findings import problems_of, unwritten
from haste_core.routing import normalise_name

MAX_TASKS = 100
MAX_DEPTH = 10

_ANSWERED_FIELDS = ("task_id", "task_state", "task_msg", "job_id")


def _non_empty_list(value: Any) -> Any:
    if not isinstance(value, list | tuple):
        raise ValueError("should be a list of tasks")  # noqa: TRY004 - pydantic wants it
    if not value:
        raise ValueError("holds no task; a container may not be empty")
    return value


class Task(Strict):
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
            return {"task_key": normalise_name(value)}  # here, since the user wrote no field `task_key`
        inner = _only_value(value)
        if isinstance(inner, Mapping):
            return {key: item for key, item in inner.items() if key not in _ANSWERED_FIELDS}
        raise ValueError('a task is "KEY" or {"Task": {"task_key": "KEY"}}')

    @cached_property
    def given(self) -> dict[str, JsonValue]:
        """The fields that were given, by name."""
        return {name: getattr(self, name) for name in self.model_fields_set | {"task_key"}}

    @model_serializer
    def _wrap(self) -> str | dict[str, dict[str, JsonValue]]:
        return self.task_key if len(self.given) == 1 else {"Task": self.given}


class Sequential(Strict):
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


class Parallel(Strict):
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
    if isinstance(value, str):
        return _BARE
    if isinstance(value, Task):
        return "Task"
    if isinstance(value, Sequential):
        return "taskSequential"
    if isinstance(value, Parallel):
        return "taskParallel"
    if isinstance(value, Mapping) and len(value) == 1:
        return _CLASS_NAMES.get(str(next(iter(value))).lower())
    return None


_BARE = unwritten("KEY")
_CLASS_NAMES = {
    "task": "Task",
    "tasksequential": "taskSequential",
    "taskparallel": "taskParallel",
}


def _only_value(value: Any) -> Any:
    return next(iter(value.values())) if isinstance(value, Mapping) and len(value) == 1 else value


Node = Annotated[
    Annotated[Task, Tag("Task")]
    | Annotated[Task, Tag(_BARE)]
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


Sequential.model_rebuild()
Parallel.model_rebuild()

_adapter: TypeAdapter[Task | Sequential | Parallel] = TypeAdapter(Node)


def parse_tasks(value: Any) -> Task | Sequential | Parallel:
    """Read a tree of tasks, as a stored job or a pipeline holds it."""
    try:
        return _adapter.validate_python(value)
    except ValidationError as error:
        raise InvalidError(problems_of(error)) from error


@lru_cache(maxsize=1000)
def stored_tasks(text: bytes) -> Task | Sequential | Parallel:
    """Read a tree of tasks that was checked before; the jobs of a stream mostly have the same one."""
    return _adapter.validate_json(text)


def check_bounds(tasks: Task | Sequential | Parallel) -> Task | Sequential | Parallel:
    """Refuse a tree that is too large, or only an optional task.

    Raises
    ------
    ValueError
    """
    if isinstance(tasks, Task) and tasks.optional:
        raise ValueError("a single task cannot be optional")
    if _depth(tasks) > MAX_DEPTH or sum(1 for _ in leaves(tasks)) > MAX_TASKS:
        raise ValueError(f"a job has at most {MAX_TASKS} tasks, nested at most {MAX_DEPTH} deep")
    return tasks
