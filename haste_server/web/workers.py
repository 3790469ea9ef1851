"""The page of workers: who works on what, what waits for whom, and which tiers can be written to."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from werkzeug.wrappers import Response

from haste_core.job_lists import JobLine
from haste_core.messages import HeldAttempt, Presence
from haste_core.ports import QueueView
from haste_core.routing import Route
from haste_core.stores import WorkerView
from haste_server.api.services import services
from haste_server.api.waiting import no_worker, routes_of
from haste_server.web.pages import blueprint, pages, show

TASKS_SHOWN = 8  # of one worker
WORKERS_SHOWN = 8  # of those that cannot write to a tier for one reason
TIER_KEY = "tier"


@dataclass(frozen=True)
class RunningTask:
    """A task that a worker runs, with its job unless that is gone."""

    held: HeldAttempt
    job: JobLine | None
    since_s: float


@dataclass(frozen=True)
class WorkerLine:
    """A live worker.

    Attributes
    ----------
    running : list of RunningTask
        What it runs, the first few; `busy` counts all.
    in_store : int
        Tasks that it has and has not begun.
    """

    view: WorkerView
    running: list[RunningTask]
    busy: int
    in_store: int
    seen_s_ago: float

    @property
    def per_s(self) -> float:
        """Tasks of all its keys that came to an end, over the last minute."""
        return sum(self.view.presence.tasks_per_s.values())


@dataclass(frozen=True)
class QueueLine:
    """The tasks of one key at one site, whether any are on their way or a worker only would take them."""

    route: Route
    queue: QueueView
    workers: int
    per_s: float
    oldest_s: float | None

    @property
    def trouble(self) -> str:
        """Say that nobody takes what waits; empty where somebody does."""
        return "" if self.workers else no_worker(self.route)


@dataclass(frozen=True)
class TriedTier:
    """A tier, and what the live workers that put objects to tiers found when they tried it.

    Attributes
    ----------
    able : int
        How many of them can write to it.
    troubles : mapping of str to list of Presence
        Who cannot, by what is in the way.
    """

    tier: str
    is_trash: bool
    able: int
    troubles: Mapping[str, list[Presence]]

    @property
    def unable(self) -> int:
        """How many cannot."""
        return sum(map(len, self.troubles.values()))


@blueprint.get("/workers")
def workers() -> Response:
    """Show workers and queues."""
    now = services().clock()
    views = services().workers.workers(seen_since=now - services().worker_silence_s)
    return show(
        "workers.html",
        workers=_worker_lines(views, now),
        queues=_queue_lines(views, now),
        troubles=_troubles_of_parts(),
        tiers=list(_tried_tiers(views)),
        takes_tiers=any(TIER_KEY in view.presence.keys for view in views),
        tier_key=TIER_KEY,
        workers_shown=WORKERS_SHOWN,
        dead_letters=services().dead_letters(),
        tasks_shown=TASKS_SHOWN,
    )


def _troubles_of_parts() -> dict[str, str]:
    return {part: said for part, said in services().readiness().items() if said != "ok"}


def _tried_tiers(views: Sequence[WorkerView]) -> Iterator[TriedTier]:
    for tier in sorted(services().tiers):
        able, troubles = 0, defaultdict(list)
        for presence in (view.presence for view in views if tier in view.presence.tiers):
            if trouble := presence.tiers[tier]:
                troubles[trouble].append(presence)
            else:
                able += 1
        yield TriedTier(tier, tier in services().trashes, able, dict(troubles))


def _worker_lines(views: Sequence[WorkerView], now: float) -> list[WorkerLine]:
    running = {
        view.presence.worker_id: [held for held in view.presence.held if held.started_at is not None]
        for view in views
    }
    shown = [held.task_id for some in running.values() for held in some[:TASKS_SHOWN]]
    jobs = pages().figures.jobs_of_tasks(shown)
    return [_worker_line(view, running[view.presence.worker_id], jobs, now) for view in views]


def _worker_line(
    view: WorkerView, running: Sequence[HeldAttempt], jobs: Mapping[int, JobLine], now: float
) -> WorkerLine:
    return WorkerLine(
        view=view,
        running=[
            RunningTask(held, jobs.get(held.task_id), max(0.0, now - (held.started_at or now)))
            for held in running[:TASKS_SHOWN]
        ],
        busy=len(running),
        in_store=len(view.presence.held) - len(running),
        seen_s_ago=max(0.0, now - view.seen_at),
    )


def _queue_lines(views: Sequence[WorkerView], now: float) -> list[QueueLine]:
    live = Counter(route for view in views for route in routes_of(view))
    rates: defaultdict[Route, float] = defaultdict(float)
    for view in views:
        for key, per_s in view.presence.tasks_per_s.items():
            rates[Route(key, view.presence.site)] += per_s
    counted = {queue.route: queue for queue in pages().kept.get("queues", services().workers.queues)}
    return [
        _queue_line(counted.get(route) or QueueView(route), live[route], rates[route], now)
        for route in sorted(counted.keys() | live.keys())
    ]


def _queue_line(queue: QueueView, live: int, per_s: float, now: float) -> QueueLine:
    oldest_s = None if queue.oldest_ready_at is None else max(0.0, now - queue.oldest_ready_at)
    return QueueLine(queue.route, queue, live, per_s, oldest_s)
