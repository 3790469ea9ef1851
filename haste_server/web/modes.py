"""Observing or enforcing: what would move is told before anybody says yes."""

from __future__ import annotations

from http import HTTPStatus

from flask import redirect, request, url_for
from werkzeug.wrappers import Response

from haste_core.errors import InvalidError, Problem
from haste_server.api.services import services
from haste_server.web.pages import blueprint, show


@blueprint.get("/stream/<stream_id>/mode")
def mode(stream_id: str) -> Response:
    """Ask whether a stream is to enforce, or to observe only."""
    stream = services().streams.stream(stream_id)
    count, size_bytes = services().objects.unmoved(stream_id)
    return show("mode.html", stream=stream, count=count, size_bytes=size_bytes)


@blueprint.post("/stream/<stream_id>/mode")
def set_mode(stream_id: str) -> Response:
    """Let a stream observe or enforce."""
    wanted = request.form.get("mode")
    if wanted not in ("observe", "enforce"):
        raise InvalidError([Problem("mode", "is observe or enforce")])
    services().streams.set_mode(stream_id, "enforce" if wanted == "enforce" else "observe")
    services().wake()
    return redirect(url_for("pages.stream", stream_id=stream_id), HTTPStatus.SEE_OTHER)
