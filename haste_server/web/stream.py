"""The page of a stream: its progress, tiers, scores, failures and images."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from flask import redirect, request, url_for
from werkzeug.wrappers import Response

from haste_core.figures import ImageRow, RowFilter
from haste_core.objects import ObjectOrder
from haste_core.stores import Page
from haste_core.tasktree import leaves
from haste_server.api.services import services
from haste_server.web.edge import edge_overview
from haste_server.web.failures import grouped
from haste_server.web.pages import blueprint, pages, show
from haste_server.web.pictures import picture_of
from haste_server.web.spread import score_figure
from haste_server.web.streams import stream_overview, unattended
from haste_server.web.tiers import swatch
from haste_server.web.what_if import policy_form

IMAGES_SHOWN = 50
ALERTS_SHOWN = 10
FAILURES_READ = 1000
GROUPS_SHOWN = 20

_LISTS: dict[str, tuple[str, RowFilter, ObjectOrder]] = {
    "all": ("as submitted", RowFilter(), "job"),
    "open": ("not finished", RowFilter(state="open"), "job"),
    "failed": ("failed", RowFilter(state="failed"), "job"),
    "best": ("highest scores first", RowFilter(), "-score"),
    "lowest": ("lowest scores first", RowFilter(), "score"),
}


@blueprint.get("/stream/<stream_id>")
def stream(stream_id: str) -> Response:
    """Show a stream."""
    now = stream_overview(services().streams.stream(stream_id))
    pipeline = now.stream.pipeline
    alerts = services().alerts.alerts(stream_id, only_open=True, cursor=None, limit=ALERTS_SHOWN)
    failures = pages().figures.failures(stream_id, limit=FAILURES_READ) if now.progress.failed else []
    causes = grouped(failures)
    listed, page = _images(stream_id)
    return show(
        "stream.html",
        overview=now,
        alerts=alerts.items,
        unattended=unattended() if now.progress.open else [],  # nothing of it waits
        figure=score_figure(stream_id, now.tiers, pipeline),
        form=policy_form(pipeline) if now.tiers else None,
        failures=causes[:GROUPS_SHOWN],
        causes=len(causes),
        failures_read=FAILURES_READ,
        keys=[task.task_key for task in leaves(pipeline.tasks)],
        lists={name: title for name, (title, _, _) in _LISTS.items()},
        edge=edge_overview(stream_id, pipeline),
        listed=listed,
        images=page.items,
        following=page.next,
        swatch=swatch,
        picture_of=picture_of,
    )


@blueprint.post("/stream/<stream_id>/alerts/<id:alert_id>/acknowledge")
def acknowledge(stream_id: str, alert_id: int) -> Response:
    """Take an alert off the list of open ones."""
    services().alerts.acknowledge(stream_id, alert_id, now=services().clock())
    return redirect(url_for("pages.stream", stream_id=stream_id), HTTPStatus.SEE_OTHER)


def _images(stream_id: str) -> tuple[dict[str, Any], Page[ImageRow]]:
    """List the images that the address asks for, and tell what that is."""
    tier, name = request.args.get("tier"), request.args.get("show", "all")
    name = name if name in _LISTS else "all"
    _, wanted, order = _LISTS[name]
    if tier is not None:
        wanted, order = RowFilter(tier=tier), "-score"
    cursor = request.args.get("cursor")
    page = pages().figures.image_rows(stream_id, wanted, order=order, cursor=cursor, limit=IMAGES_SHOWN)
    return {"show": name, "tier": tier, "is_first": cursor is None}, page
