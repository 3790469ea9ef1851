"""Tasks: look up with their attempts, run again."""

from __future__ import annotations

from typing import Any

from flask_openapi3.models.tag import Tag

from haste_core.jobs import JobRecord
from haste_core.messages import Outcome
from haste_core.stores import AttemptRecord
from haste_server.api.answers import Shown, WrappedTask, WrappedTaskWithHistory
from haste_server.api.blueprints import Blueprint
from haste_server.api.parameters import TaskPath
from haste_server.api.problems import documented
from haste_server.api.services import services
from haste_server.api.waiting import explained

blueprint = Blueprint(
    "tasks",
    __name__,
    url_prefix="/HASTE",
    abp_tags=[Tag(name="tasks", description="The steps of a job")],
    abp_responses=documented(400, 401, 403, 429, 503),
)


@blueprint.get(
    "/task/<id:task_id>",
    summary="Show a task",
    description="With its attempts in `history`: the last hundred, the present one at the end.",
    responses={200: WrappedTaskWithHistory, **documented(404)},
)
def show(path: TaskPath) -> Shown:
    """Show a task with its live state and its attempts."""
    job, _ = services().jobs.job_of_task(path.task_id)
    shown = _show(job, path.task_id)
    shown["Task"]["history"] = list(map(_show_attempt, services().jobs.attempts(path.task_id)))
    return shown


@blueprint.post(
    "/task/<id:task_id>/retry",
    summary="Retry a task",
    description="Runs a failed or reset task again; any other is refused (409).",
    responses={200: WrappedTask, **documented(404, 409)},
)
def retry(path: TaskPath) -> Shown:
    """Run a failed or reset task again."""
    return _woken(services().jobs.retry_task(path.task_id, now=services().clock()), path.task_id)


@blueprint.post(
    "/task/<id:task_id>/forceretry",
    summary="Run a task again, whatever its state",
    description="Its answer is forgotten, and what depends on it runs again too.",
    responses={200: WrappedTask, **documented(404, 409)},
)
def force_retry(path: TaskPath) -> Shown:
    """Run a task again whatever its state."""
    return _woken(services().jobs.force_retry_task(path.task_id, now=services().clock()), path.task_id)


@blueprint.post(
    "/task/<id:task_id>/reset",
    summary="Reset a task",
    description="Takes a task back to registered; it does not run until it is retried.",
    responses={200: WrappedTask, **documented(404, 409)},
)
def reset(path: TaskPath) -> Shown:
    """Take a task back to registered."""
    return _show(services().jobs.reset_task(path.task_id, now=services().clock()), path.task_id)


def _woken(job: JobRecord, task_id: int) -> dict[str, Any]:
    services().wake()
    return _show(job, task_id)


def _show(job: JobRecord, task_id: int) -> dict[str, Any]:
    position = next(task.position for task in job.tasks if task.task_id == task_id)
    look = services().live.now()
    return explained(job, look.routes).task_json(position, look.held)


def _show_attempt(record: AttemptRecord) -> dict[str, Any]:
    return {
        "attempt": record.attempt,
        "outcome": "running" if record.outcome is None else record.outcome.value,
        "state": record.state if record.outcome is Outcome.ENDED else None,
        "worker": record.worker_id,
        "started_at": record.started_at,
        "ended_at": record.ended_at,
        "message": record.message,
    }
