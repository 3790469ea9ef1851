"""Events, as they happen: a stream changed, an alert was raised."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial

from flask import Response, request
from flask_openapi3.models.tag import Tag
from flask_openapi3.types import ResponseDict
from pydantic import BaseModel
from pydantic_core import to_json

from haste_core.alert_stores import AlertRecord
from haste_core.errors import TransientError
from haste_core.events import JobCounts, StreamMark
from haste_server.api.answers import AlertAnswer, StreamEvent
from haste_server.api.blueprints import Blueprint
from haste_server.api.credentials import ANYONE
from haste_server.api.parameters import EventHeaders, EventsQuery
from haste_server.api.problems import documented
from haste_server.api.requests import hang_up_watcher
from haste_server.api.services import present_caller, services
from haste_server.api.watching import Follower, Following

CONTENT_TYPE = "text/event-stream"
SILENCE_S = 15.0  # so that proxies keep the connection, and a client whose computer is gone is noticed
LONGEST_S = 900.0  # then the client comes again, and shows its token again
RECONNECT_MS = 3000

_EXAMPLE = """retry: 3000
id: 17

event: stream
data: {"stream_id":"plate7","open":3,"running":2,"done":93,"failed":0,"open_alerts":1,"last_job_id":96,\
"last_decision_id":93,"last_end_at":1790000000.0,"mode":"observe","completed_at":null}

event: alert
id: 18
data: {"alert_id":18,"event_id":"5c0f","stream_id":"plate7","rule":"finished","raised_at":1790000001.0,\
"message":"All 96 images have ended","details":{},"acknowledged_at":null,"deliveries":[]}

"""
_STREAM: ResponseDict = {
    200: {
        "description": "Events, until the connection is closed.",
        "content": {CONTENT_TYPE: {"schema": {"type": "string"}, "example": _EXAMPLE}},
    }
}

blueprint = Blueprint(
    "events",
    __name__,
    url_prefix="/HASTE",
    abp_tags=[Tag(name="events", description="What happens, as it happens")],
    abp_responses=documented(400, 401, 403, 404, 429, 503),
)


@blueprint.get(
    "/events",
    summary="Follow what happens",
    description=(
        "Server-sent events. `stream`, with the fields of StreamEvent: something of a stream has changed, "
        "at most once a second for each. `alert`, with the fields of AlertAnswer: one was raised. Who comes "
        "again with the last `id` in `Last-Event-ID` is told the alerts of the meantime. The connection "
        "ends after a quarter of an hour at the latest. 503: all places are taken; ask every few seconds."
    ),
    responses=_STREAM,
)
def follow(header: EventHeaders, query: EventsQuery) -> Response:
    """Tell events as they happen."""
    if query.stream_id is not None:
        services().streams.stream(query.stream_id)
    following = services().following
    known = None if header.last_event_id is None else int(header.last_event_id)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    if request.method == "HEAD":  # its answer is never closed, so that a place would be held for good
        return Response(mimetype=CONTENT_TYPE, headers=headers)
    following.take_place()
    try:
        owned = services().owned
        may_follow = None if owned is None else owned.has_stream
        follower = following.follower(
            query.stream_id, alert_id=known, present=query.present, may_follow=may_follow
        )
        may_go_on = partial(services().credentials.is_good, present_caller() or ANYONE)
        told = _tell(following, follower, may_go_on, hang_up_watcher())
        answer = Response(told, mimetype=CONTENT_TYPE, headers=headers)
    except BaseException:
        following.leave_place()
        raise
    answer.call_on_close(following.leave_place)
    return answer


def _tell(
    following: Following, follower: Follower, may_go_on: Callable[[], bool], has_hung_up: Callable[[], bool]
) -> Iterator[bytes]:
    began = spoken = time.monotonic()
    yield f"retry: {RECONNECT_MS}\nid: {follower.alert_id}\n\n".encode()
    while time.monotonic() - began < LONGEST_S:
        try:
            if not may_go_on():
                return  # who comes again is told that the token is good no more
            text = b"".join(_events(following, follower))
        except TransientError:
            return  # who comes again is told what is the matter
        if text or time.monotonic() - spoken >= SILENCE_S:
            spoken = time.monotonic()
            yield text or b":\n\n"
        if following.pause() or has_hung_up():  # who goes from page to page must not hold a place for each
            return


def _events(following: Following, follower: Follower) -> Iterator[bytes]:
    for alert in following.alerts(follower):
        yield _event("alert", _alert(alert), event_id=alert.alert_id)
    for mark, counts in following.changes(follower):
        yield _event("stream", _change(mark, counts))


def _event(name: str, data: BaseModel, *, event_id: int | None = None) -> bytes:
    identity = "" if event_id is None else f"id: {event_id}\n"
    return f"event: {name}\n{identity}data: {to_json(data).decode()}\n\n".encode()


def _alert(alert: AlertRecord) -> AlertAnswer:
    return AlertAnswer.model_validate(asdict(alert))


def _change(mark: StreamMark, counts: JobCounts) -> StreamEvent:
    return StreamEvent(
        stream_id=mark.stream_id,
        open=counts.open,
        running=mark.running,
        done=counts.done,
        failed=counts.failed,
        open_alerts=mark.open_alerts,
        last_job_id=mark.last_job_id or None,
        last_decision_id=mark.last_decision_id or None,
        last_end_at=mark.last_end_at,
        mode=mark.mode,
        completed_at=mark.completed_at,
    )
