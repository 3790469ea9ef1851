"""The pages as a part of the server's application: how they are drawn, and what browsers may do with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from importlib.metadata import version
from typing import Any, cast

from flask import Blueprint, Flask, Response, current_app, make_response, request, url_for
from jinja2 import Environment, StrictUndefined
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as AnyResponse

from haste_core.errors import ConflictError, HasteError, InvalidError, NotFoundError, TransientError
from haste_core.figures import FigureStore
from haste_server.api.guards import Guard, Rule, listed, of_job, of_jobs, of_stream, of_tasks
from haste_server.api.problems import RETRY_AFTER_S
from haste_server.api.scopes import wanted_by
from haste_server.api.services import present_caller, services
from haste_server.api.sessions import FORM_FIELD, NOBODY, Sessions, cookie_name, session_of
from haste_server.web import texts
from haste_server.web.banner import Banner, banner
from haste_server.web.drawn import DrawnPages
from haste_server.web.kept import Kept

# Referrers to ourselves are needed: without any, browsers do not name the origin of a form that they send.
HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""What browsers may do with a page, unless it says otherwise."""

_STATUS = {
    InvalidError: HTTPStatus.BAD_REQUEST,
    NotFoundError: HTTPStatus.NOT_FOUND,
    ConflictError: HTTPStatus.CONFLICT,
    TransientError: HTTPStatus.SERVICE_UNAVAILABLE,
}
_EXTENSION = "haste_pages"
NOTICES_SHOWN = 5  # of one kind: more would hide the page

FIGURES: Mapping[str, Rule] = {
    "thumbnail": of_job,
    "tasks_to_hold": of_jobs,
    "jobs_of_tasks": of_tasks,
    "rows_of": of_jobs,
    **dict.fromkeys(("find_jobs", "latest_failures"), listed),
    **dict.fromkeys(
        (
            *("edge_flow", "sent_bytes", "preprocessed", "sent_as_found"),
            *("image_rows", "score_spread", "sampled", "pace", "failures"),
        ),
        of_stream,
    ),
}
"""How they may be asked by who may know of some projects only."""

blueprint = Blueprint(
    "pages", __name__, template_folder="templates", static_folder="static", static_url_path="/page"
)


@dataclass(frozen=True)
class Pages:
    """What the pages have beside the API's services."""

    figures: FigureStore
    kept: Kept
    drawn: DrawnPages
    environment: Environment


def install(app: Flask, figures: FigureStore) -> None:
    """Make the pages a part of an application that has the API's services."""
    environment = app.jinja_env.overlay(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(texts.FILTERS)
    with app.app_context():
        clock = services().clock
    app.extensions[_EXTENSION] = Pages(figures, Kept(clock=clock), DrawnPages(), environment)
    app.register_blueprint(blueprint)


def pages() -> Pages:
    """Return what the pages of the present application have, for who asks."""
    found, owned = installed_in(current_app), services().owned
    if owned is None:
        return found
    figures = cast(FigureStore, Guard(found.figures, owned, FIGURES))
    return replace(found, figures=figures, kept=found.kept.within(owned.projects))


def installed_in(app: Flask) -> Pages:
    """Return what the pages of an application have."""
    return cast(Pages, app.extensions[_EXTENSION])


def sessions() -> Sessions:
    """Return what makes and recognises sessions here."""
    return Sessions(services().token, clock=services().clock)


def show(template: str, **values: Any) -> Response:
    """Draw a page, with a session whose forms are accepted."""
    session = session_of(request)
    if not sessions().is_valid(session):
        session = sessions().begin(NOBODY) if _needs_no_login() else ""
    drawn = pages().environment.get_template(f"page/{template}")
    answer = make_response(
        drawn.render(
            url_for=url_for,
            now=services().clock(),
            version=version("haste-server"),
            here=request.endpoint,
            banner=Banner([], more=False) if present_caller() is None else banner(),
            notices_shown=NOTICES_SHOWN,
            form_field=FORM_FIELD,
            form_token=sessions().form_token(session) if session else "",
            may=_may,
            can_log_out=bool(session) and services().token is not None and not _needs_no_login(),
            **values,
        )
    )
    answer.headers["Cache-Control"] = "no-store"
    if session != session_of(request):
        keep(answer, session)
    return answer


def _needs_no_login() -> bool:
    caller = present_caller()
    return services().token is None or (caller is not None and caller.by_proxy)


def _may(endpoint: str) -> bool:
    """Tell whether who looks may do an operation, so that only what works is offered."""
    caller = present_caller()
    return caller is not None and caller.may(wanted_by(endpoint))


def is_secure() -> bool:
    """Tell whether the browser asks by HTTPS, as a proxy in front of the server may say."""
    return request.is_secure or request.headers.get("X-Forwarded-Proto") == "https"


def keep(answer: AnyResponse, session: str) -> None:
    """Have the browser keep a session, or forget the one that it has."""
    secure = is_secure()
    name = cookie_name(request)
    if session:
        answer.set_cookie(name, session, httponly=True, samesite="Strict", secure=secure, path="/")
    else:
        answer.delete_cookie(name, httponly=True, samesite="Strict", secure=secure, path="/")


@blueprint.after_request
def _protect(answer: Response) -> Response:
    for name, value in HEADERS.items():
        answer.headers.setdefault(name, value)
    return answer


@blueprint.errorhandler(HasteError)
def _explain(error: HasteError) -> tuple[Response, int] | Response:
    status = next((status for kind, status in _STATUS.items() if isinstance(error, kind)), None)
    if status is None:
        raise error
    is_outage = status is HTTPStatus.SERVICE_UNAVAILABLE
    answer = show("problem.html", title=status.phrase, problem=str(error), is_outage=is_outage)
    answer.status_code = status
    if is_outage:
        answer.headers["Retry-After"] = str(RETRY_AFTER_S)
    return answer


@blueprint.errorhandler(HTTPException)
def _refuse(error: HTTPException) -> Response | HTTPException:
    if error.code is None or error.code < HTTPStatus.BAD_REQUEST:
        return error
    answer = show("problem.html", title=error.name, problem=error.description or "", is_outage=False)
    answer.status_code = error.code
    return answer
