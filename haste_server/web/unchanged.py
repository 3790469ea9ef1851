"""Pages in which nothing has changed are not drawn again for who has them."""

from __future__ import annotations

from hashlib import sha256
from http import HTTPStatus

from flask import g, request
from werkzeug.wrappers import Response

from haste_server.api.services import present_caller, services
from haste_server.web import admission  # noqa: F401 - it is asked first: who may not look is sent away
from haste_server.web.pages import blueprint

OLDEST_S = 30  # what marks do not tell, such as rates, is drawn anew after this time

_FOLLOWED = frozenset({"pages.streams", "pages.stream", "pages.jobs", "pages.alerts"})


@blueprint.before_request
def answer_unchanged() -> Response | None:
    """Answer who shows the tag of the page as it still is."""
    if request.method != "GET" or request.endpoint not in _FOLLOWED:
        return None
    g.page_tag = _tag((request.view_args or {}).get("stream_id") or request.args.get("stream"))
    if request.if_none_match.contains(g.page_tag):
        return Response(status=HTTPStatus.NOT_MODIFIED)
    return None


@blueprint.after_request
def tag_page(answer: Response) -> Response:
    """Give a page the tag by which it is asked for again."""
    if "page_tag" in g and answer.status_code == HTTPStatus.OK:
        answer.set_etag(g.page_tag)
    return answer


def _tag(stream_id: str | None) -> str:
    known = services()
    routes = sorted(known.live.now().routes)
    standing = known.following.standing(stream_id)
    caller = present_caller()
    whose = () if caller is None else (caller.name, caller.token_id, caller.projects)
    said = (whose, request.full_path, int(known.clock() / OLDEST_S), routes, standing)
    return sha256(repr(said).encode()).hexdigest()
