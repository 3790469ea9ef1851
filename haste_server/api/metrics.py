"""Figures for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator

from flask import Response
from flask_openapi3.models.tag import Tag
from flask_openapi3.types import ResponseDict
from prometheus_client import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from haste_server.api.blueprints import Blueprint
from haste_server.api.problems import documented
from haste_server.api.services import Services, services

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_EXAMPLE = """# HELP haste_queue_tasks Tasks on their way, counted up to 100,000 for each phase
# TYPE haste_queue_tasks gauge
haste_queue_tasks{key="focus-score",phase="ready",site="default"} 12.0
"""
_TEXT: ResponseDict = {
    200: {
        "description": "Metrics in Prometheus' text format.",
        "content": {"text/plain": {"schema": {"type": "string"}, "example": _EXAMPLE}},
    }
}

blueprint = Blueprint(
    "metrics",
    __name__,
    abp_tags=[Tag(name="metrics", description="For monitoring")],
    abp_responses=documented(400, 401, 403, 429, 503),
)


class _Everything(Collector):
    def __init__(self, of: Services) -> None:
        self._services = of

    def collect(self) -> Iterator[Metric]:
        yield from self._services.measuring.families()
        yield from self._services.counts.families()


@blueprint.get(
    "/metrics",
    summary="Measure the server",
    description="Queues, workers, tiers, parts and counts, over all projects. Needs a token of all projects.",
    responses=_TEXT,
)
def show() -> Response:
    """Write all figures as Prometheus reads them."""
    return Response(generate_latest(_Everything(services())), content_type=CONTENT_TYPE)
