"""Whether the server answers, and whether it can work."""

from __future__ import annotations

from importlib.metadata import version

from flask_openapi3.models.tag import Tag

from haste_server.api.answers import HealthAnswer, ReadinessAnswer, Shown
from haste_server.api.blueprints import Blueprint
from haste_server.api.problems import documented
from haste_server.api.services import services

blueprint = Blueprint(
    "health",
    __name__,
    abp_tags=[Tag(name="health", description="For monitoring; no token is asked for")],
    abp_responses=documented(400, 403),
)


@blueprint.get("/healthz", summary="Does the server answer?", responses={200: HealthAnswer})
def health() -> Shown:
    """Answer."""
    return {"status": "ok", "version": version("haste-server")}


@blueprint.get(
    "/readyz", summary="Can the server work?", responses={200: ReadinessAnswer, 503: ReadinessAnswer}
)
def ready() -> Shown:
    """Look at database, broker and engine."""
    parts = dict(services().readiness())
    return parts, 200 if set(parts.values()) == {"ok"} else 503
