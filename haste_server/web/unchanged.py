"""Pages in which nothing has changed are not drawn again, for who has them and for others who follow."""

from __future__ import annotations

from hashlib import sha256
from http import HTTPStatus

from flask import g, request
from werkzeug.wrappers import Response

from haste_server.api.services import present_caller, services
from haste_server.api.sessions import session_of
from haste_server.web import admission  # noqa: F401 - it is asked first: who may not look is sent away
from haste_server.web.pages import blueprint, pages, sessions

OLDEST_S = 30  # what marks do not tell, such as rates, is drawn anew after this time

_FOLLOWED = frozenset({"pages.streams", "pages.stream", "pages.jobs", "pages.alerts"})


@blueprint.before_request
def answer_unchanged() -> Response | None:
    """Answer who shows the tag of the page as it still is, or as it was before others had it drawn."""
    if request.method != "GET" or request.endpoint not in _FOLLOWED:
        return None
    g.page_tag = _tag((request.view_args or {}).get("stream_id") or request.args.get("stream"))
    if request.if_none_match.contains(g.page_tag):
        return Response(status=HTTPStatus.NOT_MODIFIED)
    # Who comes by a link, or has just changed something, shows no tag, and has the page drawn as it is now.
    return _drawn_for_others() if request.if_none_match else None


def _drawn_for_others() -> Response | None:
    form_token = _form_token()
    page = pages().drawn.find(g.page_tag, form_token=form_token) if form_token else None
    if page is None:
        return None
    g.is_drawn_for_others = True
    return Response(page, mimetype="text/html", headers={"Cache-Control": "no-store"})


def _form_token() -> str:
    """Return what the forms of the present session hold; empty if it is to begin with this page."""
    session = session_of(request)
    return sessions().form_token(session) if sessions().is_valid(session) else ""


@blueprint.after_request
def tag_page(answer: Response) -> Response:
    """Give a page the tag by which it is asked for again, and keep it for others."""
    if "page_tag" in g and answer.status_code == HTTPStatus.OK:
        answer.set_etag(g.page_tag)
        form_token = _form_token()
        if form_token and "is_drawn_for_others" not in g:
            pages().drawn.keep(g.page_tag, answer.get_data(), form_token=form_token)
    return answer


def _tag(stream_id: str | None) -> str:
    known = services()
    routes = sorted(known.live.now().routes)
    mark = known.following.joint_mark(stream_id)
    caller = present_caller()
    whose = () if caller is None else (caller.name, caller.token_id, caller.projects, sorted(caller.scopes))
    address = request.host_url, request.full_path
    said = (whose, address, int(known.clock() / OLDEST_S), routes, mark)
    return sha256(repr(said).encode()).hexdigest()
