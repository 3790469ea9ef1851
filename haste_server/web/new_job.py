"""The form for a new job: JSON, checked before it is stored, with each problem beside the text."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from http import HTTPStatus

from flask import redirect, request, url_for
from werkzeug.wrappers import Response

from haste_core.errors import InvalidError, Problem
from haste_core.jobspec import JobSpec, check_size, parse_job_spec
from haste_core.routing import Route
from haste_core.stores import Refused
from haste_server.api.requests import parse_json_object
from haste_server.api.services import services
from haste_server.api.waiting import no_worker
from haste_server.web.json_places import JsonPlace, JsonPlaces, place_of_error
from haste_server.web.pages import blueprint, show

_KEY_CHARACTERS = 40


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with the text, and where."""

    what: str
    where: str
    place: JsonPlace | None


@blueprint.get("/jobs/new")
def new_job() -> Response:
    """Show the form, with a job to begin with."""
    return _form(_example(request.args.get("stream", "")))


@blueprint.post("/jobs/new")
def submit_job() -> Response:
    """Check the text, and store the job if that is what was asked for and nothing is wrong."""
    text = request.form.get("spec", "").replace("\r\n", "\n")
    try:
        spec = _read(text)
    except InvalidError as error:
        return _form(text, findings=_findings(text, error.problems))
    if request.form.get("action") == "check":
        return _form(text, spec=spec)
    (stored,) = services().jobs.submit([spec], now=services().clock(), idempotency_key=_call_of(text))
    if isinstance(stored, Refused):
        return _form(text, findings=_findings(text, stored.problems))
    services().wake()
    return redirect(url_for("pages.job", job_id=stored.job_id), HTTPStatus.SEE_OTHER)


def _read(text: str) -> JobSpec:
    spec = parse_job_spec(parse_json_object(text.encode("utf-8", "surrogatepass")))
    check_size(spec)
    return spec


def _call_of(text: str) -> str:
    """Name this click, so that a second one stores no second job; another text is another call."""
    key = request.form.get("call", "")[:_KEY_CHARACTERS]
    return f"page-{sha256(f'{key} {text}'.encode('utf-8', 'surrogatepass')).hexdigest()}"


def _findings(text: str, problems: Iterable[Problem]) -> list[Finding]:
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        return [Finding(f"this is not JSON: {error.msg}", "", place_of_error(text, error))]
    except (ValueError, RecursionError):
        return [Finding(problem.what, problem.where, None) for problem in problems]
    places = JsonPlaces(text)
    return [Finding(problem.what, problem.where, places.of(problem.where)) for problem in problems]


def _form(text: str, *, findings: Sequence[Finding] = (), spec: JobSpec | None = None) -> Response:
    answer = show(
        "new_job.html",
        text=text,
        lines=text.split("\n"),
        findings=findings,
        spec=spec,
        unattended=[] if spec is None else _unattended(spec),
        call=secrets.token_urlsafe(16),
    )
    if findings:
        answer.status_code = HTTPStatus.BAD_REQUEST
    return answer


def _unattended(spec: JobSpec) -> list[str]:
    """Say which of its tasks nobody would take now."""
    live = services().live.now().routes
    routes = dict.fromkeys(Route(task.task_key, spec.site) for task in spec.plan.tasks)
    return [no_worker(route) for route in routes if route not in live]


def _example(stream_id: str) -> str:
    spec = {
        "source_url": "file:///data/plate7/A01_s1.tif",
        "source_id": "A01_s1.tif",
        "stream_id": stream_id[:100] or "plate7",
        "priority": 1.0,
        "tasks": {"taskSequential": ["focus-score", "tier"]},
    }
    return json.dumps(spec, indent=2)
