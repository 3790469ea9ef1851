"""The page of an image: its job's tasks, what was measured, and why it is in its tier."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from flask import request
from pydantic import BaseModel, ValidationError
from werkzeug.wrappers import Response

from haste_core.errors import ConflictError, InvalidError, NotFoundError, Problem
from haste_core.explanations import ExplainedImage, belongs, reasons, story, whereabouts
from haste_core.jobs import JobRecord, TaskRecord, was_deleted
from haste_core.messages import HeldAttempt
from haste_core.objects import DecidedObject, DecisionRecord
from haste_core.states import Event, TaskState, allows
from haste_core.stores import AttemptRecord
from haste_server.api.bodies import NewPin, NoPin
from haste_server.api.problems import refuse_invalid
from haste_server.api.services import services
from haste_server.api.waiting import explained
from haste_server.web import texts
from haste_server.web.job_actions import back
from haste_server.web.pages import blueprint, show

_LONGEST_VALUE = 300  # characters of an answer's value

Body = TypeVar("Body", bound=BaseModel)


@dataclass(frozen=True)
class TaskLine:
    """A task with its attempts, and how far it is if it runs."""

    task: TaskRecord
    attempts: list[AttemptRecord]
    held: HeldAttempt | None

    @property
    def can_retry(self) -> bool:
        """True if it can be asked to run once more, without losing an answer."""
        return allows(Event.RETRY, self.task.state)

    @property
    def can_reset(self) -> bool:
        """True if it can be held."""
        return allows(Event.RESET, self.task.state) and self.task.state is not TaskState.RESET

    @property
    def can_run_again(self) -> bool:
        """True if it was begun, and would not run by itself or by a retry."""
        return self.task.state is TaskState.RUNNING or self.task.state.succeeded

    @property
    def took_s(self) -> float | None:
        """How long its last attempt ran."""
        began, ended = self.task.started_at, self.task.ended_at
        return None if began is None or ended is None else max(0.0, ended - began)


@blueprint.get("/job/<id:job_id>")
def job(job_id: int) -> Response:
    """Show an image and its job."""
    look = services().live.now()
    record = explained(services().jobs.job(job_id), look.routes)
    decisions, item = _decided(job_id)
    return show(
        "job.html",
        job=record,
        state=TaskState.RUNNING if _runs(record) else record.state,
        can_retry=any(allows(Event.RETRY, task.state) for task in record.tasks),
        tasks=[
            TaskLine(
                task,
                services().jobs.attempts(task.task_id) if task.attempt else [],
                look.held.get((task.task_id, task.attempt)),
            )
            for task in record.tasks
        ],
        answers={key: list(_values(answer)) for key, answer in record.responses.items()},
        told=_explanation(record, decisions),
        pinned=item is not None and item.pinned,
        can_pin=item is not None and item.deleted_at is None,
        tiers=sorted(services().tiers),
        tier=decisions[-1].tier if decisions else "",
    )


@blueprint.post("/job/<id:job_id>/pin")
def pin(job_id: int) -> Response:
    """Keep an image in a tier."""
    wanted = _asked(NewPin, tier=request.form.get("tier", ""))
    if wanted.tier not in services().tiers:
        raise InvalidError([Problem("tier", f"there is no tier {wanted.tier!r} here")])
    _check_there(job_id)
    services().objects.pin(
        job_id, wanted.tier, reason=wanted.reason, made_by=wanted.by, now=services().clock()
    )
    services().wake()
    return back(job_id)


@blueprint.post("/job/<id:job_id>/unpin")
def unpin(job_id: int) -> Response:
    """Let the policy decide about an image again."""
    wanted = _asked(NoPin)
    _check_there(job_id)
    if not services().objects.decision_of(job_id).pinned:
        raise ConflictError(f"the image of job {job_id} is not pinned")
    services().objects.unpin(job_id, reason=wanted.reason, made_by=wanted.by, now=services().clock())
    services().wake()
    return back(job_id)


def _asked(kind: type[Body], **fields: str) -> Body:
    """Read what a form asks for, by the rules of the API."""
    by = request.form.get("by", "").strip() or None
    try:
        return kind(reason=request.form.get("reason", ""), by=by, **fields)
    except ValidationError as error:
        refuse_invalid(error)


def _runs(record: JobRecord) -> bool:
    return any(task.state is TaskState.RUNNING for task in record.tasks)


def _check_there(job_id: int) -> None:
    if services().objects.decision_of(job_id).deleted_at is not None:
        raise ConflictError(was_deleted(job_id))


def _decided(job_id: int) -> tuple[list[DecisionRecord], DecidedObject | None]:
    """Load what was decided about an image, and the object that came of it, if any."""
    try:
        return services().objects.decisions_about(job_id), services().objects.decision_of(job_id)
    except NotFoundError:
        return [], None


def _explanation(record: JobRecord, decisions: list[DecisionRecord]) -> dict[str, Any] | None:
    if not decisions:
        return None
    tiering = record.responses.get("tier")
    image = ExplainedImage(
        job_id=record.job_id,
        source_id=record.spec.source_id,
        stream_id=record.spec.stream_id,
        url=record.place.url if record.place else record.spec.source_url,
        source_url=record.spec.source_url,
        tiering=tiering if isinstance(tiering, Mapping) else {},
        deleted_at=record.deleted_at,
    )
    last = decisions[-1]
    return {
        "belongs": belongs(image, last, texts.moment),
        "reasons": list(reasons(decisions, texts.moment)),
        "whereabouts": whereabouts(image, last),
        "stories": [story(decision, texts.moment) for decision in decisions],
    }


def _values(answer: Any) -> Iterator[tuple[str, str]]:
    """List what a task answered, by name; an answer of another form is one nameless value."""
    for name, value in answer.items() if isinstance(answer, Mapping) else [("", answer)]:
        shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        yield str(name), shown if len(shown) <= _LONGEST_VALUE else f"{shown[:_LONGEST_VALUE]}…"
