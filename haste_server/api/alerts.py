"""Alerts of streams: list them, acknowledge them."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from flask_openapi3.models.tag import Tag

from haste_core.alert_stores import AlertRecord
from haste_server.api.answers import AlertAnswer, AlertsPage, Shown
from haste_server.api.blueprints import Blueprint
from haste_server.api.parameters import AlertPath, AlertsQuery, StreamPath
from haste_server.api.problems import documented
from haste_server.api.services import services

blueprint = Blueprint(
    "alerts",
    __name__,
    url_prefix="/HASTE",
    abp_tags=[Tag(name="alerts", description="What somebody wants to know while the plate is on the stage")],
    abp_responses=documented(400, 401, 403, 404, 429, 503),
)


@blueprint.get(
    "/stream/<stream_id>/alerts", summary="List the alerts of a stream", responses={200: AlertsPage}
)
def list_alerts(path: StreamPath, query: AlertsQuery) -> Shown:
    """List alerts, the oldest first."""
    page = services().alerts.alerts(
        path.stream_id, only_open=query.open, cursor=query.cursor, limit=query.limit
    )
    return {"alerts": [_show(alert) for alert in page.items], "next": page.next}


@blueprint.post(
    "/stream/<stream_id>/alerts/<id:alert_id>/acknowledge",
    summary="Acknowledge an alert",
    description="It is not counted as open any more. One that was acknowledged before keeps its time.",
    responses={200: AlertAnswer},
)
def acknowledge(path: AlertPath) -> Shown:
    """Take an alert off the list of open ones."""
    now = services().clock()
    return _show(services().alerts.acknowledge(path.stream_id, path.alert_id, now=now))


def _show(alert: AlertRecord) -> dict[str, Any]:
    return {**asdict(alert), "deliveries": [asdict(delivery) for delivery in alert.deliveries]}
