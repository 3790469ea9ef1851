"""Who may see the pages: those who show the server's token once."""

from __future__ import annotations

import math
from http import HTTPStatus
from urllib.parse import urlencode, urlsplit

from flask import redirect, request, url_for
from werkzeug.wrappers import Response

from haste_server.api.admission import admit_caller
from haste_server.api.credentials import ANYONE, OF_SETTINGS, TokenRefusedError, TooManyFailuresError
from haste_server.api.origins import READING
from haste_server.api.scopes import wanted_by
from haste_server.api.services import services
from haste_server.api.sessions import FORM_FIELD, session_of
from haste_server.web.pages import blueprint, keep, sessions, show

_TOKEN = "token"  # noqa: S105 - the name of a parameter
_OPEN_TO_ALL = frozenset({"pages.login", "pages.log_in", "pages.static"})


@blueprint.before_request
def admit() -> Response | None:
    """Send who has not logged in to the form for that, and refuse changes that no page asked for."""
    if request.endpoint in _OPEN_TO_ALL:
        return None
    if _TOKEN in request.args:
        return _admitted(request.args[_TOKEN], then=_address_without_token())
    if services().token is not None and not sessions().is_valid(session_of(request)):
        wanted = _address_without_token() if request.method in READING else "/"
        return redirect(url_for("pages.login", next=wanted), HTTPStatus.SEE_OTHER)
    if request.method not in READING:
        sessions().check_form(session_of(request), request.form.get(FORM_FIELD, ""))
    admit_caller(ANYONE if services().token is None else OF_SETTINGS, wanted_by(request.endpoint))
    return None


@blueprint.get("/login")
def login() -> Response:
    """Show the form that asks for the token."""
    then = _own_address(request.args.get("next", ""))
    if services().token is None or sessions().is_valid(session_of(request)):
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
        _check_token(shown.strip(), address=request.remote_addr or "")
    except TooManyFailuresError as error:
        wait_s = math.ceil(error.wait_s)
        answer = _asked_again(f"There were too many wrong tokens. Try again in {wait_s} s.", then)
        answer.status_code = HTTPStatus.TOO_MANY_REQUESTS
        answer.headers["Retry-After"] = str(wait_s)
        return answer
    except TokenRefusedError:
        answer = _asked_again("This is not the server's token.", then)
        answer.status_code = HTTPStatus.FORBIDDEN
        return answer
    answer = redirect(then, HTTPStatus.SEE_OTHER)
    answer.headers["Cache-Control"] = "no-store"
    keep(answer, sessions().begin())
    return answer


def _check_token(secret: str, *, address: str) -> None:
    services().credentials.check_patience(address)
    if services().credentials.caller_of(secret, address=address) is not OF_SETTINGS:
        raise TokenRefusedError("pages open to the server's own token only")


def _asked_again(problem: str, then: str) -> Response:
    return show("login.html", then=then, problem=problem)


def _address_without_token() -> str:
    others = [(name, value) for name, value in request.args.items(multi=True) if name != _TOKEN]
    return request.path + (f"?{urlencode(others)}" if others else "")


def _own_address(address: str) -> str:
    """Return an address of this server, the first page for any other."""
    parts = urlsplit(address.replace("\\", "/"))
    is_own = address.startswith("/") and not parts.scheme and not parts.netloc
    return address if is_own and not address.startswith("//") else url_for("pages.streams")
