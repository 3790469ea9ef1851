"""Tasks: look up, run again; and the order in which they are handed out."""

from __future__ import annotations

from typing import Any

from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import ValidationError

from haste_core.jobs import JobRecord
from haste_server.api.answers import PrioritiesChanged, Shown, WrappedTask
from haste_server.api.bodies import NewPriorities, PrioritiesByIndex, PrioritiesByJob
from haste_server.api.parameters import TaskPath
from haste_server.api.problems import documented, refuse_invalid
from haste_server.api.services import services
from haste_server.api.waiting import explained

blueprint = APIBlueprint(
    "tasks",
    __name__,
    url_prefix="/HASTE",
    abp_tags=[Tag(name="tasks", description="The steps of a job")],
    abp_responses=documented(400, 401, 503),
)


@blueprint.get("/task/<id:task_id>", summary="Show a task", responses={200: WrappedTask, **documented(404)})
def show(path: TaskPath) -> Shown:
    """Show a task with its live state."""
    job, _ = services().jobs.job_of_task(path.task_id)
    return _show(job, path.task_id)


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


@blueprint.patch(
    "/priority",
    summary="Change priorities",
    description="They count from the next hand-out of the jobs' waiting tasks on.",
    responses={200: PrioritiesChanged, **documented(404, 408, 415)},
)
def change_priorities(body: NewPriorities) -> Shown:
    """Change the priorities of up to ten thousand jobs."""
    jobs = services().jobs
    try:
        if "stream_id" in body.root:
            by_index = PrioritiesByIndex.model_validate(body.root)
            services().streams.stream(by_index.stream_id)
            priorities = by_index.priorities
            unknown = jobs.set_priorities_by_index(by_index.stream_id, priorities)
        else:
            priorities = PrioritiesByJob.model_validate(body.root).root
            unknown = jobs.set_priorities(priorities)
    except ValidationError as error:
        refuse_invalid(error)
    return {"changed": len(priorities) - len(unknown), "unknown": unknown}


def _woken(job: JobRecord, task_id: int) -> dict[str, Any]:
    services().wake()
    return _show(job, task_id)


def _show(job: JobRecord, task_id: int) -> dict[str, Any]:
    position = next(task.position for task in job.tasks if task.task_id == task_id)
    return explained(job, services().live_routes.now()).task_json(position)
