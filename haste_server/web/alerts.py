"""The page of the alerts of all streams that nobody has acknowledged."""

from __future__ import annotations

from http import HTTPStatus

from flask import redirect, request, url_for
from werkzeug.wrappers import Response

from haste_server.api.services import services
from haste_server.web.pages import blueprint, show

ALERTS_SHOWN = 50


@blueprint.get("/alerts")
def alerts() -> Response:
    """Show open alerts, the newest first."""
    cursor = request.args.get("cursor")
    page = services().alerts.newest_open(cursor=cursor, limit=ALERTS_SHOWN)
    return show("alerts.html", alerts=page.items, following=page.next, is_first=cursor is None)


@blueprint.post("/alerts/<stream_id>/<id:alert_id>/acknowledge")
def acknowledge_here(stream_id: str, alert_id: int) -> Response:
    """Take an alert off the list of open ones, and stay on this page."""
    services().alerts.acknowledge(stream_id, alert_id, now=services().clock())
    return redirect(url_for("pages.alerts"), HTTPStatus.SEE_OTHER)
