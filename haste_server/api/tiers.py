"""Tiers: which there are, and whether workers can put objects to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flask_openapi3.models.tag import Tag

from haste_core.stores import WorkerView
from haste_server.api.answers import Shown
from haste_server.api.blueprints import Blueprint
from haste_server.api.object_answers import TiersAnswer
from haste_server.api.problems import documented
from haste_server.api.services import services

blueprint = Blueprint(
    "tiers",
    __name__,
    url_prefix="/HASTE",
    abp_tags=[Tag(name="tiers", description="Named places for data")],
    abp_responses=documented(400, 401, 403, 429, 503),
)


@blueprint.get(
    "/tiers/",
    summary="List the tiers",
    description=(
        "All tiers that a policy may name. Each worker that puts objects to tiers tries every few minutes "
        "whether it can write to those that its settings name, and tells it with its heartbeats."
    ),
    responses={200: TiersAnswer},
)
def list_tiers() -> Shown:
    """List all tiers, with what live workers say of them."""
    now = services().clock()
    views = services().workers.workers(seen_since=now - services().worker_silence_s)
    return {"tiers": [_show(tier, views) for tier in sorted(services().tiers)]}


def _show(tier: str, views: Sequence[WorkerView]) -> dict[str, Any]:
    tried = [
        {
            "worker_id": view.presence.worker_id,
            "host": view.presence.host,
            "site": view.presence.site,
            "is_writable": not view.presence.tiers[tier],
            "trouble": view.presence.tiers[tier],
        }
        for view in views
        if tier in view.presence.tiers
    ]
    return {"tier": tier, "is_trash": tier in services().trashes, "workers": tried}
