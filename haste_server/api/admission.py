"""Who may ask for what: each request is admitted here, before a view sees it."""

from __future__ import annotations

import json
import math
from typing import cast

from flask import request
from werkzeug.datastructures import WWWAuthenticate

from haste_core.tokens import Caller
from haste_server.api import agent
from haste_server.api.credentials import ANYONE, TokenRefusedError, TooManyFailuresError
from haste_server.api.origins import READING, check_host, check_origin
from haste_server.api.problem_codes import ProblemCode, RefusedError
from haste_server.api.proxies import user_of
from haste_server.api.requests import StrictRequest, bound_silence
from haste_server.api.scopes import OF_ALL_PROJECTS, OPEN, WHILE_AWAY, Wanted, is_logged, wanted_by
from haste_server.api.services import narrow_services, remember_caller, services
from haste_server.api.sessions import FORM_FIELD, FORM_HEADER, NOBODY, Sessions, session_of
from haste_server.authorship import Change, begin_change

PAGES = "pages"
"""The blueprint of the pages, which send people to a form."""

_LONGEST_ADDRESS, _LONGEST_TARGET, _LONGEST_DETAILS = 60, 300, 4000  # characters in the log of changes
_BEARER = WWWAuthenticate("bearer", {"realm": "HASTE"})
_BASIC = WWWAuthenticate("basic", {"realm": "HASTE Cloud"})
_ASK = "this server asks for a token: send 'Authorization: Bearer TOKEN', or set HASTE_TOKEN"
_ASK_AGENT = "this server asks for its token: give it as the password, with any user name"


def admit() -> None:
    """Check who asks and what for, and bound how long the body may take."""
    begin_change(None)  # what this thread handled before is none of this request's
    if services().token is None:
        check_host(request)
    if _is_for_programs():
        admit_caller(_who_asks(), wanted_by(request.endpoint) if request.endpoint else OPEN)
    check_origin(request)
    bound_silence(services().limits.silence_s)


def admit_caller(caller: Caller, wanted: Wanted) -> None:
    """Let somebody do the present request.

    Raises
    ------
    RefusedError
        If the token is not good for it.
    """
    if wanted and not caller.may(wanted):
        scopes, has = " or ".join(sorted(wanted)), " and ".join(sorted(caller.scopes))
        raise RefusedError(
            ProblemCode.SCOPE_MISSING,
            f"{_named(caller)} may not do this: it needs the scope {scopes}, and has {has}",
        )
    if caller.projects is not None and request.endpoint in OF_ALL_PROJECTS:
        raise RefusedError(
            ProblemCode.PROJECT_LIMITED,
            f"{_named(caller)} may not do this: it needs to be one of all projects",
        )
    remember_caller(caller)
    narrow_services(caller)
    if request.method not in READING and is_logged(request.endpoint):
        begin_change(_change_by(caller))


def _named(caller: Caller) -> str:
    return f"the {'user' if caller.by_proxy else 'token'} {caller.name!r}"


def caller_in_session() -> Caller | None:
    """Tell who has logged in with the browser that asks; None if nobody has, or the token is good no more."""
    session = session_of(request)
    if not _sessions().is_valid(session):
        return None
    token_id = _sessions().token_of(session)
    return None if token_id == NOBODY else services().credentials.caller_by_id(token_id)


def caller_by_proxy() -> Caller | None:
    """Tell whom a trusted proxy says to ask; None if there is none, or a token is shown, which counts more.

    Raises
    ------
    RefusedError
        If they have no rights here.
    """
    proxy = services().trusted_proxy
    return None if proxy is None or _shows_token() else user_of(request, proxy)


def _is_for_programs() -> bool:
    if request.endpoint is None:  # what is not there is told to those only who may ask
        return request.path.startswith("/HASTE")
    return request.blueprint != PAGES and wanted_by(request.endpoint) is not OPEN


def _who_asks() -> Caller:
    if services().token is None:
        return ANYONE
    named = caller_by_proxy()
    if named is not None:
        return named
    if request.endpoint in agent.ENDPOINTS:
        shown = request.authorization
        secret = None if shown is None else shown.token if shown.type == "bearer" else shown.password
        return _recognised((secret or "").strip(), ask=_ASK_AGENT, challenge=_BASIC)
    if "Authorization" not in request.headers:
        caller = caller_in_session()
        if caller is not None:  # one of our own pages asks
            if request.method not in READING:
                form = request.headers.get(FORM_HEADER, "")
                _sessions().check_form(session_of(request), form)
            return caller
    scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
    return _recognised(secret.strip() if scheme.lower() == "bearer" else "", ask=_ASK, challenge=_BEARER)


def _shows_token() -> bool:
    return request.headers.get("Authorization", "").partition(" ")[0].lower() == "bearer"


def _recognised(secret: str, *, ask: str, challenge: WWWAuthenticate) -> Caller:
    asking = {"WWW-Authenticate": challenge.to_header()}
    if not secret:
        raise RefusedError(ProblemCode.TOKEN_MISSING, ask, asking)
    try:
        return services().credentials.caller_of(
            secret, address=request.remote_addr or "", while_away=request.endpoint in WHILE_AWAY
        )
    except TokenRefusedError as error:
        told = f"{error}. {ask[0].upper()}{ask[1:]}"
        raise RefusedError(ProblemCode.TOKEN_REFUSED, told, asking) from error
    except TooManyFailuresError as error:
        later = {"Retry-After": str(math.ceil(error.wait_s))}
        raise RefusedError(ProblemCode.TOO_MANY_WRONG_TOKENS, str(error), later) from error


def _change_by(caller: Caller) -> Change:
    return Change(
        made_at=services().clock(),
        who=caller.name,
        address=(request.remote_addr or "")[:_LONGEST_ADDRESS],
        action=str(request.endpoint),
        target=request.path[:_LONGEST_TARGET],
        details=_details,
    )


def _details() -> str:
    """Tell what the present request asks for, as far as it was read: nothing may wait for its sender now."""
    if request.blueprint == PAGES:
        told = json.dumps({name: text for name, text in request.form.items() if name != FORM_FIELD})
    else:
        told = cast(StrictRequest, request).json_body.decode("utf-8", "replace")
    return told if len(told) <= _LONGEST_DETAILS else f"{told[:_LONGEST_DETAILS]}…"


def _sessions() -> Sessions:
    return Sessions(services().token, clock=services().clock)
