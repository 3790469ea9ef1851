"""Stores as somebody may use them who may know of some projects only.

What belongs to other projects is not there: it is left out of lists, and asked for by name or number it is
not found. A method that has no rule here cannot be called.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from haste_core.errors import ConflictError, HasteError, InvalidError, NotFoundError, Problem
from haste_core.job_lists import JobSearch
from haste_core.jobspec import JobSpec
from haste_core.pipelines import Pipeline
from haste_core.stores import JobFilter, Refused, StreamRecord, Submitted, TaskFilter, WorkerView
from haste_core.tokens import ProjectStore
from haste_core.uploads import Upload, UploadMetadata

_MOST_REMEMBERED = 10_000  # streams

Method = Callable[..., Any]
Rule = Callable[..., Any]
"""Does what a method does, as far as it may be done; takes the projects, the method, and what it is given."""


class Owned:
    """What belongs to some projects.

    Parameters
    ----------
    projects : tuple of str
        At least one; what is made belongs to the first.
    store : ProjectStore
    """

    def __init__(self, projects: tuple[str, ...], store: ProjectStore) -> None:
        self.projects = projects
        self._store = store
        self._streams: set[str] = set()  # they stay in their projects for ever

    def has_stream(self, stream_id: str) -> bool:
        """Tell whether a stream is there, and belongs to them."""
        if stream_id in self._streams:
            return True
        found = self._store.streams_among([stream_id], self.projects)
        if len(self._streams) >= _MOST_REMEMBERED:
            self._streams.clear()
        self._streams |= found
        return stream_id in found

    def foreign_streams(self, names: Iterable[str]) -> frozenset[str]:
        """Choose the streams that belong to others."""
        unknown = sorted(set(names) - self._streams)
        return self._store.foreign_streams(unknown, self.projects) if unknown else frozenset()

    def jobs(self, job_ids: Collection[int]) -> frozenset[int]:
        """Choose the jobs that belong to them."""
        return self._store.jobs_among(list(job_ids), self.projects)

    def tasks(self, task_ids: Collection[int]) -> frozenset[int]:
        """Choose the tasks that belong to them."""
        return self._store.tasks_among(list(task_ids), self.projects)


class Guard:
    """A store behind rules.

    Parameters
    ----------
    store : object
    owned : Owned
    rules : mapping of str to Rule
        By the names of the store's methods.
    """

    def __init__(self, store: object, owned: Owned, rules: Mapping[str, Rule]) -> None:
        self._store = store
        self._owned = owned
        self._rules = rules

    def __getattr__(self, name: str) -> Method:
        """Return a method as it may be called.

        Raises
        ------
        AttributeError
            If nobody has said how it may be called.
        """
        if name.startswith("_") or name not in self._rules:
            raise AttributeError(f"{name!r} has no rule for who may know of some projects only")
        rule, owned, method = self._rules[name], self._owned, getattr(self._store, name)

        def guarded(*given: Any, **named: Any) -> Any:
            return rule(owned, method, *given, **named)

        return guarded


def free(_owned: Owned, method: Method, *given: Any, **named: Any) -> Any:
    """Do what concerns no project."""
    return method(*given, **named)


def of_stream(owned: Owned, method: Method, stream_id: str, *given: Any, **named: Any) -> Any:
    """Do something with a stream, whose name is given first."""
    if not owned.has_stream(stream_id):
        raise NotFoundError(f"there is no stream {stream_id!r}")
    return method(stream_id, *given, **named)


def of_job(owned: Owned, method: Method, job_id: int, *given: Any, **named: Any) -> Any:
    """Do something with a job, whose number is given first."""
    if not owned.jobs([job_id]):
        raise _no_job(job_id)
    return method(job_id, *given, **named)


def of_task(owned: Owned, method: Method, task_id: int, *given: Any, **named: Any) -> Any:
    """Do something with a task, whose number is given first."""
    if not owned.tasks([task_id]):
        raise _no_task(task_id)
    return method(task_id, *given, **named)


def of_jobs(owned: Owned, method: Method, job_ids: Sequence[int], *given: Any, **named: Any) -> Any:
    """Do something with jobs, leaving out those of others."""
    own = owned.jobs(job_ids)
    return method([number for number in job_ids if number in own], *given, **named)


def of_tasks(owned: Owned, method: Method, task_ids: Sequence[int], *given: Any, **named: Any) -> Any:
    """Do something with tasks, leaving out those of others."""
    own = owned.tasks(task_ids)
    return method([number for number in task_ids if number in own], *given, **named)


def filtered(owned: Owned, method: Method, *given: Any, **named: Any) -> Any:
    """Do something with all that belongs to projects."""
    return method(*given, **named, projects=owned.projects)


def listed(owned: Owned, method: Method, wanted: JobFilter | JobSearch, **named: Any) -> Any:
    """Do something with jobs that are looked for."""
    return method(replace(wanted, projects=owned.projects), **named)


def _swept(owned: Owned, method: Method, action: str, wanted: TaskFilter, **named: Any) -> Any:
    return method(action, replace(wanted, projects=owned.projects), **named)


def _submitted(
    owned: Owned, method: Method, specs: Sequence[JobSpec], **named: Any
) -> list[Submitted | Refused]:
    foreign = owned.foreign_streams(spec.stream_id for spec in specs)
    sent = [spec for spec in specs if spec.stream_id not in foreign]
    answers = iter(method(sent, **named, projects=owned.projects) if sent else ())
    return [
        Refused((Problem("stream_id", _elsewhere(spec.stream_id)),))
        if spec.stream_id in foreign
        else next(answers)
        for spec in specs
    ]


def _created(
    owned: Owned,
    method: Method,
    stream_id: str,
    pipeline: Pipeline,
    mode: str | None,
    *,
    now: float,
    project: str | None = None,
) -> tuple[StreamRecord, bool]:
    if project is not None and project not in owned.projects:
        known = ", ".join(owned.projects)
        raise InvalidError([Problem("project", f"{project!r} is none of this token's projects ({known})")])
    if project is None and not owned.has_stream(stream_id):
        project = owned.projects[0]
    made: tuple[StreamRecord, bool] = method(stream_id, pipeline, mode, now=now, project=project)
    return made


def _acted(find: str, missing: Callable[[int], NotFoundError]) -> Rule:
    def rule(
        owned: Owned, method: Method, action: str, ids: Sequence[int], **named: Any
    ) -> list[HasteError | None]:
        own = getattr(owned, find)(ids)
        asked = [number for number in ids if number in own]
        answers = iter(method(action, asked, **named) if asked else ())
        return [next(answers) if number in own else missing(number) for number in ids]

    return rule


def _prioritised(find: str) -> Rule:
    def rule(owned: Owned, method: Method, priorities: Mapping[int, Any]) -> list[int]:
        own = getattr(owned, find)(list(priorities))
        unknown = method({number: value for number, value in priorities.items() if number in own})
        return [number for number in priorities if number not in own or number in unknown]

    return rule


def _seen(owned: Owned, method: Method, **named: Any) -> list[WorkerView]:
    """Show what workers have of these projects, and that they are there."""
    views: list[WorkerView] = method(**named)
    own = owned.tasks({held.task_id for view in views for held in view.presence.held})
    return [replace(view, presence=_with_own(view, own)) for view in views]


def _with_own(view: WorkerView, own: frozenset[int]) -> Any:
    held = tuple(held for held in view.presence.held if held.task_id in own)
    return view.presence.model_copy(update={"held": held})


def _begun(owned: Owned, method: Method, length: int, header: str, **named: Any) -> Upload:
    _check_destination(owned, header)
    upload: Upload = method(length, header, **named, projects=owned.projects)
    return upload


def _taken(owned: Owned, method: Method, body: Any, header: str, **named: Any) -> Upload:
    _check_destination(owned, header)
    upload: Upload = method(body, header, **named, projects=owned.projects)
    return upload


def _check_destination(owned: Owned, header: str) -> None:
    said = UploadMetadata.parse(header)
    if said.stream_id is not None and owned.foreign_streams([said.stream_id]):
        raise ConflictError(_elsewhere(said.stream_id))


def _no_job(job_id: int) -> NotFoundError:
    return NotFoundError(f"there is no job {job_id}")


def _no_task(task_id: int) -> NotFoundError:
    return NotFoundError(f"there is no task {task_id}")


def _elsewhere(stream_id: str) -> str:
    return f"the name {stream_id!r} belongs to a stream of another project: choose another one"


JOBS: Mapping[str, Rule] = {
    "submit": _submitted,
    "jobs": listed,
    "job_ids": listed,
    "job_of_task": of_task,
    "attempts": of_task,
    "act_on_jobs": _acted("jobs", _no_job),
    "act_on_tasks": _acted("tasks", _no_task),
    "sweep_jobs": _swept,
    "sweep_tasks": _swept,
    "set_priorities": _prioritised("jobs"),
    "set_priorities_by_index": of_stream,
    "set_task_priorities": _prioritised("tasks"),
    **dict.fromkeys(("job", "delete", "retry_job", "cancel_job"), of_job),
    **dict.fromkeys(("retry_task", "force_retry_task", "reset_task"), of_task),
}
STREAMS: Mapping[str, Rule] = {
    "create_stream": _created,
    "streams": filtered,
    **dict.fromkeys(
        ("stream", "progress", "complete_stream", "set_mode", "set_policy", "sources"), of_stream
    ),
}
OBJECTS: Mapping[str, Rule] = {
    **dict.fromkeys(("objects", "best", "decisions", "preview", "scored_last", "unmoved"), of_stream),
    **dict.fromkeys(("decision_of", "decisions_about", "pin", "unpin", "recall"), of_job),
}
ALERTS: Mapping[str, Rule] = {
    "newest_open": filtered,
    **dict.fromkeys(("alerts", "acknowledge", "open_alerts"), of_stream),
}
TRASHES: Mapping[str, Rule] = {
    "deleted": of_stream,
    **dict.fromkeys(("trashed", "removable", "empty"), filtered),
}
WORKERS: Mapping[str, Rule] = {"workers": _seen, "queues": free, "ping": free}
UPLOADS: Mapping[str, Rule] = {
    "create": _begun,
    "take": _taken,
    **dict.fromkeys(("look", "append", "remove"), filtered),
}
