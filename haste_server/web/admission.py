"""Who may see the pages: those who show a token once."""

from __future__ import annotations

import math
from http import HTTPStatus
from urllib.parse import quote, urlencode, urlsplit

from flask import redirect, request, url_for
from werkzeug.wrappers import Response

from haste_core.tokens import Caller
from haste_server.api.admission import admit_caller, caller_by_proxy, caller_in_session
from haste_server.api.credentials import ANYONE, OWN_WORKERS, TokenRefusedError, TooManyFailuresError
from haste_server.api.origins import READING
from haste_server.api.scopes import wanted_by
from haste_server.api.services import services
from haste_server.api.sessions import FORM_FIELD, session_of
from haste_server.web.pages import blueprint, keep, sessions, show

_TOKEN = "token"  # noqa: S105 - the name of a parameter


@blueprint.before_request
def admit() -> Response | None:
    """Send who has not logged in to the form for that, and refuse changes that no page asked for."""
    asked_for = wanted_by(request.endpoint)
    if not asked_for:
        return None
    if _TOKEN in request.args:
        return _admitted(request.args[_TOKEN], then=_address_without_token())
    caller = ANYONE if services().token is None else caller_by_proxy() or caller_in_session()
    if caller is None:
        wanted = _address_without_token() if request.method in READING else "/"
        return redirect(url_for("pages.login", next=wanted), HTTPStatus.SEE_OTHER)
    if request.method not in READING:
        sessions().check_form(session_of(request), request.form.get(FORM_FIELD, ""))
    admit_caller(caller, asked_for)
    return None


@blueprint.get("/login")
def login() -> Response:
    """Show the form that asks for the token."""
    then = _own_address(request.args.get("next", ""))
    if services().token is None or (caller_by_proxy() or caller_in_session()) is not None:
        return redirect(then, HTTPStatus.SEE_OTHER)
    return show("login.html", then=then, problem="")


@blueprint.post("/login")
def log_in() -> Response:
    """Take the token from the form."""
    return _admitted(request.form.get(_TOKEN, ""), then=_own_address(request.form.get("next", "")))


@blueprint.post("/logout")
def log_out() -> Response:
    """Have the browser forget its session."""
    answer = redirect(url_for("pages.login"), HTTPStatus.SEE_OTHER)
    keep(answer, "")
    return answer


def _admitted(shown: str, *, then: str) -> Response:
    """Begin a session for who shows the token, and go to the wanted page."""
    if services().token is None:
        return redirect(then, HTTPStatus.SEE_OTHER)
    try:
        caller = _recognised(shown.strip(), address=request.remote_addr or "")
    except TooManyFailuresError as error:
        wait_s = math.ceil(error.wait_s)
        answer = _asked_again(f"There were too many wrong tokens. Try again in {wait_s} s.", then)
        answer.status_code = HTTPStatus.TOO_MANY_REQUESTS
        answer.headers["Retry-After"] = str(wait_s)
        return answer
    except TokenRefusedError as error:
        answer = _asked_again(f"{str(error)[0].upper()}{str(error)[1:]}.", then)
        answer.status_code = HTTPStatus.FORBIDDEN
        return answer
    answer = redirect(then, HTTPStatus.SEE_OTHER)
    answer.headers["Cache-Control"] = "no-store"
    keep(answer, sessions().begin(caller.token_id))
    return answer


def _recognised(secret: str, *, address: str) -> Caller:
    services().credentials.check_patience(address)
    caller = services().credentials.caller_of(secret, address=address)
    if caller is OWN_WORKERS:  # programs have no business with pages
        raise TokenRefusedError("the token of the server's own workers opens no pages")
    return caller


def _asked_again(problem: str, then: str) -> Response:
    return show("login.html", then=then, problem=problem)


def _address_without_token() -> str:
    others = [(name, value) for name, value in request.args.items(multi=True) if name != _TOKEN]
    return quote(request.path) + (f"?{urlencode(others)}" if others else "")


def _own_address(address: str) -> str:
    """Return an address of this server, the first page for any other."""
    parts = urlsplit(address.replace("\\", "/"))
    is_own = address.isprintable() and address.startswith("/") and not parts.scheme and not parts.netloc
    return address if is_own and not address.startswith("//") else url_for("pages.streams")
