"""What the page of an image lets people do with its job and tasks."""

from __future__ import annotations

from http import HTTPStatus
from typing import cast, get_args

from flask import redirect, request, url_for
from pydantic import TypeAdapter, ValidationError
from werkzeug.wrappers import Response

from haste_core.errors import ConflictError, InvalidError, NotFoundError, Problem
from haste_core.fields import Priority
from haste_core.stores import TaskAction
from haste_server.api.problems import refuse_invalid
from haste_server.api.services import services
from haste_server.web.pages import blueprint, pages

_PRIORITY: TypeAdapter[float] = TypeAdapter(Priority)
_ON_TASKS = get_args(TaskAction)


@blueprint.post("/job/<id:job_id>/retry")
def retry(job_id: int) -> Response:
    """Run the failed tasks of a job again."""
    services().jobs.retry_job(job_id, now=services().clock())
    services().wake()
    return back(job_id)


@blueprint.post("/job/<id:job_id>/cancel")
def cancel(job_id: int) -> Response:
    """End what is open of a job."""
    services().jobs.cancel_job(job_id, now=services().clock())
    return back(job_id)


@blueprint.post("/job/<id:job_id>/reset")
def reset(job_id: int) -> Response:
    """Hold what failed or waits of a job, until somebody has it retried."""
    services().jobs.job(job_id)
    to_hold = pages().figures.tasks_to_hold([job_id], task_key=None).get(job_id, [])
    if not to_hold:
        raise ConflictError(f"no task of job {job_id} has failed or waits, so that there is nothing to reset")
    for refusal in services().jobs.act_on_tasks("reset", to_hold, now=services().clock()):
        if refusal is not None:
            raise refusal
    return back(job_id)


@blueprint.post("/job/<id:job_id>/priority")
def set_priority(job_id: int) -> Response:
    """Give a job another priority."""
    try:
        priority = _PRIORITY.validate_python(request.form.get("priority", "").strip())
    except ValidationError as error:
        refuse_invalid(error)
    if services().jobs.set_priorities({job_id: priority}):
        raise NotFoundError(f"there is no job {job_id}")
    services().wake()
    return back(job_id)


@blueprint.post("/job/<id:job_id>/task/<id:task_id>/<action>")
def act_on_task(job_id: int, task_id: int, action: str) -> Response:
    """Ask something of one task."""
    if action not in _ON_TASKS:
        raise InvalidError([Problem("action", f"{action[:40]!r} is none of {', '.join(_ON_TASKS)}")])
    if all(task.task_id != task_id for task in services().jobs.job(job_id).tasks):
        raise NotFoundError(f"job {job_id} has no task {task_id}")
    (refusal,) = services().jobs.act_on_tasks(cast(TaskAction, action), [task_id], now=services().clock())
    if refusal is not None:
        raise refusal
    services().wake()
    return back(job_id)


def back(job_id: int) -> Response:
    """Return to the page of the image."""
    return redirect(url_for("pages.job", job_id=job_id), HTTPStatus.SEE_OTHER)
