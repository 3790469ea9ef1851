"""Workers and queues: who works, and what waits for whom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flask_openapi3.models.tag import Tag

from haste_core.dead_letters import DeadLetters
from haste_core.ports import QueueView
from haste_core.routing import Route
from haste_core.stores import WorkerView
from haste_server.api.answers import Shown, WorkersAnswer
from haste_server.api.blueprints import Blueprint
from haste_server.api.problems import documented
from haste_server.api.services import services
from haste_server.api.waiting import no_worker, routes_of

blueprint = Blueprint(
    "workers",
    __name__,
    url_prefix="/HASTE",
    abp_tags=[Tag(name="workers", description="Who does the tasks")],
    abp_responses=documented(400, 401, 403, 429, 503),
)


@blueprint.get("/workers/", summary="Show workers and queues", responses={200: WorkersAnswer})
def show() -> Shown:
    """List the live workers with their current tasks, the queues with their lengths, and dead letters."""
    store, now = services().workers, services().clock()
    views = store.workers(seen_since=now - services().worker_silence_s)
    counts = _workers_by_route(views)
    return {
        "workers": [_show_worker(view, now) for view in views],
        "queues": [_show_queue(queue, counts.get(queue.route, 0), now) for queue in store.queues()],
        "dead_letters": _show_dead_letters(services().dead_letters(), now),
    }


def _workers_by_route(views: Sequence[WorkerView]) -> Mapping[Route, int]:
    counts: dict[Route, int] = {}
    for view in views:
        for route in routes_of(view):
            counts[route] = counts.get(route, 0) + 1
    return counts


def _show_worker(view: WorkerView, now: float) -> dict[str, Any]:
    presence = view.presence
    current = [
        {
            "task_id": held.task_id,
            "attempt": held.attempt,
            "since_s": max(0.0, now - held.started_at),
            "fraction": held.fraction,
            "note": held.note,
        }
        for held in presence.held
        if held.started_at is not None
    ]
    return {
        "worker_id": presence.worker_id,
        "host": presence.host,
        "pid": presence.pid,
        "keys": presence.keys,
        "site": presence.site,
        "slots": presence.slots,
        "busy": len(current),
        "tasks_per_s": presence.tasks_per_s,
        "seen_s_ago": max(0.0, now - view.seen_at),
        "clock_ahead_s": presence.sent_at - view.seen_at,
        "version": presence.version,
        "current": current,
    }


def _show_queue(queue: QueueView, live_workers: int, now: float) -> dict[str, Any]:
    oldest = None if queue.oldest_ready_at is None else max(0.0, now - queue.oldest_ready_at)
    return {
        "task_key": queue.route.task_key,
        "site": queue.route.site,
        "ready": queue.ready,
        "delayed": queue.delayed,
        "handed_out": queue.handed_out,
        "more": queue.more,
        "oldest_ready_s": oldest,
        "live_workers": live_workers,
        "message": "" if live_workers else no_worker(queue.route),
    }


def _show_dead_letters(letters: DeadLetters | None, now: float) -> dict[str, Any] | None:
    if letters is None:
        return None
    latest = [
        {
            "queue": letter.queue,
            "reason": letter.reason,
            "head": letter.head,
            "died_s_ago": None if letter.died_at is None else max(0.0, now - letter.died_at),
        }
        for letter in letters.latest
    ]
    return {"count": letters.count, "latest": latest}
