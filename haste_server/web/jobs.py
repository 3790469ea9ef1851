"""The page of jobs: looked for, chosen, and asked to run again, to wait, or to end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any, get_args

from flask import redirect, request, url_for
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from werkzeug.wrappers import Response

from haste_core.errors import HasteError, InvalidError, Problem
from haste_core.fields import Name, StreamName
from haste_core.job_lists import JobSearch
from haste_core.stores import JobAction
from haste_core.tasktree import leaves
from haste_server.api.bodies import MAX_ASKED
from haste_server.api.parameters import NumericCursor, StateFilter
from haste_server.api.problems import refuse_invalid
from haste_server.api.services import services
from haste_server.web.failures import FailureGroup, grouped
from haste_server.web.pages import blueprint, pages, show

JOBS_SHOWN = 100
FAILURES_READ = 1000
GROUPS_SHOWN = 10
REFUSALS_SHOWN = 20

_STATES: Mapping[str, str] = {
    "": "any state",
    "open": "not finished",
    "102": "running",
    "done": "done",
    "failed": "failed",
    "410": "cancelled",
    "502": "bad image",
    "503": "trouble elsewhere",
    "500": "other failures",
}
_DONE: Mapping[str, str] = {"retry": "run again", "cancel": "cancelled", "reset": "reset"}


class _Search(BaseModel):
    """What the page's form asks for."""

    model_config = ConfigDict(extra="ignore")

    state: StateFilter | None = None
    key: Name | None = None
    stream: StreamName | None = None
    text: Annotated[str, Field(max_length=200)] | None = None
    cursor: NumericCursor | None = None

    @property
    def wanted(self) -> JobSearch:
        return JobSearch(self.state, self.key, self.stream, self.text)

    @property
    def fields(self) -> dict[str, Any]:
        """The search as it stands in an address, without the place in the list."""
        given = self.model_dump(exclude={"cursor"}, exclude_none=True)
        return {name: str(value) for name, value in given.items()}


@dataclass(frozen=True)
class _Outcome:
    """What became of an action: how many jobs it was done to, and why not to the others."""

    changed: int
    refused: list[tuple[int, str]]


@blueprint.get("/jobs")
def jobs() -> Response:
    """Show the jobs that are looked for, and what failed of them."""
    search = _search_in(request.args)
    page = pages().figures.find_jobs(search.wanted, cursor=search.cursor, limit=JOBS_SHOWN)
    failures = _failures(search.wanted)
    return show(
        "jobs.html",
        search=search,
        page=page,
        is_first=search.cursor is None,
        states=_states_with(search),
        keys=_known_keys(),
        failures=failures[:GROUPS_SHOWN],
        causes=len(failures),
        failures_read=FAILURES_READ,
        most=MAX_ASKED,
        did=_told(),
    )


@blueprint.post("/jobs/act")
def act_on_jobs() -> Response:
    """Ask something of the jobs that were chosen."""
    search = _search_in(request.form)
    action = request.form.get("action", "")
    if action not in _DONE:
        raise InvalidError([Problem("action", f"{action[:40]!r} is none of {', '.join(_DONE)}")])
    outcome = _act(action, _chosen(search), search.key)
    services().wake()
    if not outcome.refused:
        address = url_for("pages.jobs", **search.fields, did=action, number=outcome.changed)
        return redirect(address, HTTPStatus.SEE_OTHER)
    return show(
        "jobs_done.html",
        done=_DONE[action],
        outcome=outcome,
        shown=REFUSALS_SHOWN,
        back=url_for("pages.jobs", **search.fields),
    )


def _search_in(given: Mapping[str, str]) -> _Search:
    try:
        return _Search.model_validate({name: value.strip() for name, value in given.items() if value.strip()})
    except ValidationError as error:
        refuse_invalid(error)


def _states_with(search: _Search) -> Mapping[str, str]:
    """List the states to choose from, with the one that is asked for now."""
    now = search.fields.get("state", "")
    return _STATES if now in _STATES else {**_STATES, now: now}


def _known_keys() -> list[str]:
    of_pipelines = {task.task_key for one in services().pipelines.values() for task in leaves(one.tasks)}
    return sorted(of_pipelines | {route.task_key for route in services().live.now().routes})


def _failures(wanted: JobSearch) -> list[FailureGroup]:
    if wanted.state not in (None, "failed"):
        return []
    if "did" in request.args:  # who has changed something wants to see it
        return grouped(pages().figures.latest_failures(wanted, limit=FAILURES_READ))
    return pages().kept.get(
        ("failures", wanted),
        lambda: grouped(pages().figures.latest_failures(wanted, limit=FAILURES_READ)),
    )


def _told() -> str:
    """Say what was done before this page was asked for."""
    done, number = _DONE.get(request.args.get("did", "")), request.args.get("number", "")
    if done is None or not number.isdecimal() or len(number) > len(str(MAX_ASKED)):
        return ""
    return f"{int(number)} job{'' if int(number) == 1 else 's'} {done}."


def _chosen(search: _Search) -> list[int]:
    """List the jobs that are meant: those with a tick, those of a failure, or all that are found."""
    if request.form.get("scope") == "all":
        return _all_found(search.wanted)
    given = [*request.form.getlist("job"), *request.form.get("jobs", "").split(",")]
    texts = [text for text in given if text]
    if not texts:
        raise InvalidError([Problem("", "no job was chosen: put a tick to those that are meant")])
    if len(texts) > MAX_ASKED:
        raise InvalidError([Problem("", f"at most {MAX_ASKED} jobs can be chosen at a time")])
    if not all(text.isascii() and text.isdecimal() and len(text) <= 18 for text in texts):
        raise InvalidError([Problem("job", "should be the number of a job")])
    return sorted({int(text) for text in texts})


def _all_found(wanted: JobSearch) -> list[int]:
    found: list[int] = []
    cursor = None
    while len(found) < MAX_ASKED:
        page = pages().figures.find_jobs(wanted, cursor=cursor, limit=MAX_ASKED - len(found))
        found += [line.job_id for line in page.lines]
        cursor = page.next
        if cursor is None:
            break
    return found


def _act(action: str, job_ids: Sequence[int], task_key: str | None) -> _Outcome:
    if action == "reset":
        return _reset(job_ids, task_key)
    assert action in get_args(JobAction)
    refusals = services().jobs.act_on_jobs(action, job_ids, now=services().clock())  # type: ignore[arg-type]
    return _outcome(dict(zip(job_ids, refusals, strict=True)))


def _reset(job_ids: Sequence[int], task_key: str | None) -> _Outcome:
    """Hold what failed or waits of jobs, until somebody has it retried."""
    to_hold = pages().figures.tasks_to_hold(job_ids, task_key=task_key)
    owners = {task_id: job_id for job_id, task_ids in to_hold.items() for task_id in task_ids}
    refusals = services().jobs.act_on_tasks("reset", list(owners), now=services().clock())
    nothing = InvalidError([Problem("", "no task of it has failed or waits")])
    told: dict[int, HasteError | None] = {job_id: nothing for job_id in job_ids if job_id not in to_hold}
    for job_id, refusal in zip(owners.values(), refusals, strict=True):
        told[job_id] = told.get(job_id) or refusal
    return _outcome(told)


def _outcome(told: Mapping[int, HasteError | None]) -> _Outcome:
    refused = [(job_id, str(refusal)) for job_id, refusal in told.items() if refusal is not None]
    return _Outcome(len(told) - len(refused), refused)
