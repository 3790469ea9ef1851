"""The order in which tasks are handed out."""

from __future__ import annotations

from collections.abc import Sequence

from flask_openapi3.models.tag import Tag
from pydantic import ValidationError

from haste_core.errors import NotFoundError
from haste_server.api.answers import PrioritiesChanged, Shown
from haste_server.api.blueprints import Blueprint
from haste_server.api.bodies import NewPriorities, PrioritiesByIndex, PrioritiesByJob, PrioritiesOfTasks
from haste_server.api.problems import documented, refuse_invalid
from haste_server.api.services import services

blueprint = Blueprint(
    "priorities",
    __name__,
    url_prefix="/HASTE",
    abp_tags=[Tag(name="priorities", description="What goes first")],
    abp_responses=documented(400, 401, 403, 429, 503),
)

_SHOWN_UNKNOWN = 10


@blueprint.patch(
    "/priority",
    summary="Change priorities",
    description="They count from the next hand-out of the waiting tasks on. What is not there is listed in "
    "`unknown`, the others are changed; 404 if none is there.",
    responses={200: PrioritiesChanged, **documented(404, 408, 413, 415)},
)
def change_priorities(body: NewPriorities) -> Shown:
    """Change the priorities of up to ten thousand jobs or tasks."""
    try:
        count, unknown = _change(body)
    except ValidationError as error:
        refuse_invalid(error)
    if count and len(unknown) == count:
        raise NotFoundError(f"none of them is there: {_shortened(unknown)}")
    services().wake()
    return {"changed": count - len(unknown), "unknown": unknown}


def _change(body: NewPriorities) -> tuple[int, list[int]]:
    """Change what a body asks for; tell how many were asked for, and which are unknown."""
    jobs, given = services().jobs, body.root
    if "stream_id" in given:
        by_index = PrioritiesByIndex.model_validate(given)
        services().streams.stream(by_index.stream_id)
        indices = by_index.priorities
        return len(indices), jobs.set_priorities_by_index(by_index.stream_id, indices)
    if "tasks" in given:
        of_tasks = PrioritiesOfTasks.model_validate(given).tasks
        return len(of_tasks), jobs.set_task_priorities(of_tasks)
    by_job = PrioritiesByJob.model_validate(given).root
    return len(by_job), jobs.set_priorities(by_job)


def _shortened(unknown: Sequence[int]) -> str:
    shown = ", ".join(map(str, unknown[:_SHOWN_UNKNOWN]))
    return shown if len(unknown) <= _SHOWN_UNKNOWN else f"{shown} and {len(unknown) - _SHOWN_UNKNOWN} more"
