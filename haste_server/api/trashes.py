"""Tiers that are trashes: what lies in them, and emptying them."""

from __future__ import annotations

from flask_openapi3.models.tag import Tag

from haste_core.errors import ConflictError, NotFoundError
from haste_core.trashes import DAY_S
from haste_server.api.answers import Shown
from haste_server.api.blueprints import Blueprint
from haste_server.api.bodies import NewEmptying
from haste_server.api.object_answers import EmptyingAnswer, TrashPage
from haste_server.api.parameters import EmptyingQuery, PageQuery, TierPath
from haste_server.api.problems import documented
from haste_server.api.services import services

blueprint = Blueprint(
    "trashes",
    __name__,
    url_prefix="/HASTE",
    abp_tags=[Tag(name="trashes", description="Tiers whose images may be deleted")],
    abp_responses=documented(400, 401, 403, 404, 409, 429, 503),
)

MAX_MARKED = 5000  # objects in one call, some seconds of work


@blueprint.get(
    "/tier/<tier>/images",
    summary="List what lies in a trash",
    responses={200: TrashPage},
)
def trashed(path: TierPath, query: PageQuery) -> Shown:
    """List what lies in a trash, and until when it stays."""
    grace_days = _grace_days(path.tier)
    page = services().trash_store.trashed(path.tier, cursor=query.cursor, limit=query.limit)
    shown = [
        {
            "job_id": item.job_id,
            "stream_id": item.stream_id,
            "source_id": item.source_id,
            "size_bytes": item.size_bytes,
            "trashed_at": item.trashed_at,
            "expires_at": None if item.trashed_at is None else item.trashed_at + grace_days * DAY_S,
            "pinned": item.pinned,
            "enforced": item.is_enforced,
            "marked": item.is_marked,
        }
        for item in page.items
    ]
    return {"tier": path.tier, "grace_days": grace_days, "images": shown, "next": page.next}


@blueprint.post(
    "/tier/<tier>/empty",
    summary="Empty a trash",
    description=(
        "Has all images deleted that lie there for longer than its time of grace: at most 5000 in a call, "
        "`more` tells whether there are others. Workers delete them, one after the other. What is pinned "
        "stays, and what is decided about otherwise before its deletion begins."
    ),
    responses={200: EmptyingAnswer, **documented(408, 413, 415)},
)
def empty(path: TierPath, query: EmptyingQuery, body: NewEmptying) -> Shown:
    """Have deleted what may be."""
    store, now = services().trash_store, services().clock()
    before = now - _grace_days(path.tier) * DAY_S
    if query.dry_run:
        found = store.removable(path.tier, before=before)
        return {"tier": path.tier, "count": found.count, "size_bytes": found.size_bytes, "more": False}
    marked = store.empty(path.tier, before=before, made_by=body.by, now=now, limit=MAX_MARKED)
    services().wake()
    more = store.removable(path.tier, before=before).count > 0
    return {"tier": path.tier, "count": marked.count, "size_bytes": marked.size_bytes, "more": more}


def _grace_days(tier: str) -> float:
    trashes = services().trashes
    if tier in trashes:
        return trashes[tier]
    known = ", ".join(sorted(trashes)) or "none"
    if tier in services().tiers:
        raise ConflictError(
            f"the tier {tier!r} is no trash, so that nothing is deleted from it; trashes are those with "
            f"`driver: trash` in the server's settings (known: {known})"
        )
    raise NotFoundError(f"there is no tier {tier!r} here (trashes: {known})")
