"""Retry, reset and cancel, of many jobs or tasks at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from flask_openapi3.models.tag import Tag

from haste_core.errors import HasteError, InvalidError, NotFoundError, Problem
from haste_core.states import Event, TaskState, allows
from haste_core.stores import JobAction, Swept, TaskAction, TaskFilter
from haste_server.api.answers import BulkActionAnswer, Shown
from haste_server.api.blueprints import Blueprint
from haste_server.api.bodies import ActionOnJobs, ActionOnTasks
from haste_server.api.problems import documented
from haste_server.api.services import services

blueprint = Blueprint(
    "actions",
    __name__,
    url_prefix="/HASTE",
    abp_tags=[Tag(name="many at once", description="By their numbers, or by stream, key, site and state")],
    abp_responses=documented(400, 401, 403, 404, 408, 413, 415, 429, 503),
)

MAX_SWEPT = 5000  # jobs in one call, some seconds of work

_STATES: Mapping[str, frozenset[TaskState]] = {
    "open": frozenset(state for state in TaskState if not state.ended),
    "done": frozenset({TaskState.DONE}),
    "failed": frozenset(state for state in TaskState if state.failed),
}
_RETRIABLE = frozenset(state for state in TaskState if allows(Event.RETRY, state))
_HOW = (
    "By numbers: one answer for each, the good ones are done. By a filter: counts, and `next` while there "
    "are more. The filter's state defaults to {default}."
)


@blueprint.post(
    "/jobs/retry",
    summary="Retry many jobs",
    description=_HOW.format(default="all that can be retried"),
    responses={200: BulkActionAnswer},
)
def retry_jobs(body: ActionOnJobs) -> Shown:
    """Run the failed, reset and cancelled tasks of jobs again."""
    return _act_on_jobs("retry", body, default=_RETRIABLE)


@blueprint.post(
    "/jobs/cancel",
    summary="Cancel many jobs",
    description=_HOW.format(default="open"),
    responses={200: BulkActionAnswer},
)
def cancel_jobs(body: ActionOnJobs) -> Shown:
    """End what is open of jobs."""
    return _act_on_jobs("cancel", body, default=_STATES["open"])


@blueprint.post(
    "/tasks/retry",
    summary="Retry many tasks",
    description=_HOW.format(default="all that can be retried"),
    responses={200: BulkActionAnswer},
)
def retry_tasks(body: ActionOnTasks) -> Shown:
    """Run failed, reset and cancelled tasks again."""
    return _act_on_tasks("retry", body, default=_RETRIABLE)


@blueprint.post(
    "/tasks/forceretry",
    summary="Run many tasks again, whatever their state",
    description=_HOW.format(default="nothing: it has to be given"),
    responses={200: BulkActionAnswer},
)
def force_retry_tasks(body: ActionOnTasks) -> Shown:
    """Run tasks again whatever their state, and what depends on them."""
    return _act_on_tasks("forceretry", body, default=None)


@blueprint.post(
    "/tasks/reset",
    summary="Reset many tasks",
    description=_HOW.format(default="nothing: it has to be given"),
    responses={200: BulkActionAnswer},
)
def reset_tasks(body: ActionOnTasks) -> Shown:
    """Take tasks back to registered."""
    return _act_on_tasks("reset", body, default=None)


def _act_on_jobs(action: JobAction, body: ActionOnJobs, *, default: frozenset[TaskState]) -> Shown:
    jobs = services().jobs
    return _act(body, partial(jobs.act_on_jobs, action), partial(jobs.sweep_jobs, action), default)


def _act_on_tasks(action: TaskAction, body: ActionOnTasks, *, default: frozenset[TaskState] | None) -> Shown:
    jobs = services().jobs
    return _act(body, partial(jobs.act_on_tasks, action), partial(jobs.sweep_tasks, action), default)


def _act(
    body: ActionOnJobs | ActionOnTasks,
    act: Callable[..., Sequence[HasteError | None]],
    sweep: Callable[..., Swept],
    default: frozenset[TaskState] | None,
) -> Shown:
    now = services().clock()
    if body.ids is not None:
        return _answered(body.ids, act(body.ids, now=now))
    return _swept(sweep(_filter_of(body, default), now=now, cursor=body.cursor, limit=MAX_SWEPT))


def _filter_of(body: ActionOnJobs | ActionOnTasks, default: frozenset[TaskState] | None) -> TaskFilter:
    if body.stream_id is not None:
        services().streams.stream(body.stream_id)
    return TaskFilter(
        states=_states_of(body.state, default),
        stream_id=body.stream_id,
        task_key=body.task_key,
        site=body.site,
    )


def _states_of(given: str | TaskState | None, default: frozenset[TaskState] | None) -> frozenset[TaskState]:
    if isinstance(given, TaskState):
        return frozenset(state for state in TaskState if given in (state, state.shown))
    if given is not None:
        return _STATES[given]
    if default is None:
        raise InvalidError([Problem("state", "say which: answers of done tasks would be forgotten as well")])
    return default


def _answered(ids: Sequence[int], refusals: Sequence[HasteError | None]) -> dict[str, Any]:
    services().wake()
    refused = sum(refusal is not None for refusal in refusals)
    results = [_result(number, refusal) for number, refusal in zip(ids, refusals, strict=True)]
    return {"changed": len(ids) - refused, "refused": refused, "results": results, "next": None}


def _result(number: int, refusal: HasteError | None) -> dict[str, Any]:
    if refusal is None:
        return {"id": number, "status": 200}
    status = 404 if isinstance(refusal, NotFoundError) else 409
    return {"id": number, "status": status, "detail": str(refusal)}


def _swept(swept: Swept) -> dict[str, Any]:
    services().wake()
    return {"changed": swept.changed, "refused": swept.refused, "next": swept.next}
