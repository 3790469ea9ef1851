"""Streams: create, list, follow, complete; and the pipelines that they may name."""

from __future__ import annotations

from typing import Any

from flask import url_for
from flask_openapi3.models.tag import Tag

from haste_core.errors import InvalidError, Problem
from haste_core.pipelines import Pipeline
from haste_core.stores import StreamRecord
from haste_core.tasktree import leaves
from haste_server.api.answers import PipelinesAnswer, Shown, SourcesPage, StreamAnswer, StreamsPage
from haste_server.api.blueprints import Blueprint
from haste_server.api.bodies import NewMode, NewStream
from haste_server.api.object_answers import ModeAnswer
from haste_server.api.parameters import SourcesQuery, StreamPath, StreamsQuery
from haste_server.api.problems import documented
from haste_server.api.services import services

blueprint = Blueprint(
    "streams",
    __name__,
    url_prefix="/HASTE",
    abp_tags=[Tag(name="streams", description="Acquisitions")],
    abp_responses=documented(400, 401, 403, 429, 503),
)


@blueprint.post(
    "/stream/",
    summary="Create a stream",
    description="One that is there already, alike, is answered with 200.",
    responses={200: StreamAnswer, 201: StreamAnswer, **documented(408, 409, 413, 415)},
)
def create(body: NewStream) -> Shown:
    """Create a stream, or join it."""
    pipeline = _pipeline(body.pipeline)
    stream, is_new = services().streams.create_stream(
        body.stream_id, pipeline, body.mode, now=services().clock(), project=body.project
    )
    location = url_for("streams.show", stream_id=stream.stream_id)
    return _show(stream), 201 if is_new else 200, {"Location": location}


@blueprint.get("/stream/", summary="List streams", responses={200: StreamsPage})
def list_streams(query: StreamsQuery) -> Shown:
    """List streams by name."""
    page = services().streams.streams(cursor=query.cursor, limit=query.limit)
    return {"streams": [_show(stream) for stream in page.items], "next": page.next}


@blueprint.get(
    "/stream/<stream_id>", summary="Show a stream", responses={200: StreamAnswer, **documented(404)}
)
def show(path: StreamPath) -> Shown:
    """Show a stream with its pipeline and progress."""
    return _show(services().streams.stream(path.stream_id))


@blueprint.get(
    "/stream/<stream_id>/mode",
    summary="Tell whether a stream enforces",
    description="And how many images are not where the decisions about them want them.",
    responses={200: ModeAnswer, **documented(404)},
)
def mode(path: StreamPath) -> Shown:
    """Tell the mode, and what it leaves undone."""
    stream = services().streams.stream(path.stream_id)
    count, size_bytes = services().objects.unmoved(path.stream_id)
    return {"mode": stream.mode, "unmoved": {"count": count, "size_bytes": size_bytes}}


@blueprint.post(
    "/stream/<stream_id>/mode",
    summary="Observe or enforce",
    description="Whether decisions are recorded only, or move their objects: also those made before.",
    responses={200: StreamAnswer, **documented(404, 408, 413, 415)},
)
def set_mode(path: StreamPath, body: NewMode) -> Shown:
    """Let a stream observe or enforce."""
    return _show(services().streams.set_mode(path.stream_id, body.mode))


@blueprint.post(
    "/stream/<stream_id>/complete",
    summary="Say that no more images come",
    description="Image sets then no longer wait for what is missing, and silence is no alert. Repeated, it "
    "changes nothing. An image that is submitted later is taken, and opens the stream again.",
    responses={200: StreamAnswer, **documented(404)},
)
def complete(path: StreamPath) -> Shown:
    """Complete a stream."""
    stream = services().streams.complete_stream(path.stream_id, now=services().clock())
    services().wake()
    return _show(stream)


@blueprint.get(
    "/stream/<stream_id>/sources",
    summary="List the sources of a stream",
    description="What was submitted before; a client skips what has not changed.",
    responses={200: SourcesPage, **documented(404)},
)
def sources(path: StreamPath, query: SourcesQuery) -> Shown:
    """List what was submitted to a stream."""
    page = services().streams.sources(path.stream_id, cursor=query.cursor, limit=query.limit)
    shown = [
        {"source_id": item.source_id, "source_version": item.source_version, "job_id": item.job_id}
        for item in page.items
    ]
    return {"sources": shown, "next": page.next}


@blueprint.get("/pipelines/", summary="List the pipelines", responses={200: PipelinesAnswer})
def pipelines() -> Shown:
    """List the pipelines that streams may name."""
    tags = services().agent_tags
    return {
        "pipelines": [
            {
                "name": item.name,
                "description": item.description,
                "keys": sorted({task.task_key for task in leaves(item.tasks)}),
                "tags": sorted(tag for tag, name in tags.items() if name == item.name),
            }
            for item in services().pipelines.values()
        ]
    }


def _pipeline(name: str) -> Pipeline:
    offered = services().pipelines
    if name not in offered:
        known = ", ".join(sorted(offered))
        raise InvalidError([Problem("pipeline", f"there is no pipeline {name!r} here (known: {known})")])
    return offered[name]


def _show(stream: StreamRecord) -> dict[str, Any]:
    progress = services().streams.progress(stream.stream_id)
    deleted = services().trash_store.deleted(stream.stream_id)
    tiers = {
        name: {"count": tier.count, "size_bytes": tier.size_bytes, "mean_score": tier.mean_score}
        for name, tier in progress.tiers.items()
    }
    return {
        "stream_id": stream.stream_id,
        "pipeline": stream.pipeline.to_json(),
        "mode": stream.mode,
        "project": stream.project,
        "created_at": stream.created_at,
        "completed_at": stream.completed_at,
        "progress": {
            "jobs": progress.open + progress.done + progress.failed,
            "open": progress.open,
            "done": progress.done,
            "failed": progress.failed,
            "to_redecide": progress.to_redecide,
            "to_move": progress.to_move,
        },
        "tiers": tiers,
        "deleted": {"count": deleted.count, "size_bytes": deleted.size_bytes},
        "open_alerts": services().alerts.open_alerts(stream.stream_id),
    }
