"""Why tasks wait: the queues that no live worker takes tasks from."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from haste_core.jobs import JobRecord, TaskRecord
from haste_core.ports import Clock, WorkerStore, WorkerView
from haste_core.routing import Route
from haste_core.states import Phase

KEPT_S = 1.0  # pages and clients poll many jobs a second; workers come and go slowly


@dataclass(frozen=True)
class _Look:
    routes: frozenset[Route]
    at: float


class LiveRoutes:
    """The queues that live workers take tasks from, looked up at most once a second.

    Parameters
    ----------
    workers : WorkerStore
    clock : callable
    silence_s : float
        A worker that was not heard of for so long is taken for gone.
    """

    def __init__(self, workers: WorkerStore, *, clock: Clock, silence_s: float) -> None:
        self._workers = workers
        self._clock = clock
        self._silence_s = silence_s
        self._looking = threading.Lock()
        self._known: _Look | None = None

    def now(self) -> frozenset[Route]:
        """Return the queues: at most a second old, or as they were before the look that is under way."""
        known = self._known
        if known is None:
            return self._look()
        if 0 <= self._clock() - known.at < KEPT_S or not self._looking.acquire(blocking=False):
            return known.routes  # nobody waits for another's query, however slow the database is
        try:
            return self._look()
        finally:
            self._looking.release()

    def _look(self) -> frozenset[Route]:
        now = self._clock()
        views = self._workers.workers(seen_since=now - self._silence_s)
        routes = frozenset(route for view in views for route in routes_of(view))
        self._known = _Look(routes, now)
        return routes


def routes_of(view: WorkerView) -> Iterable[Route]:
    """List the queues of one worker."""
    return (Route(key, view.presence.site) for key in view.presence.keys)


def no_worker(route: Route) -> str:
    """Say that nobody takes tasks from a queue."""
    return f"no worker for key {route.task_key!r} at site {route.site!r}"


def explained(job: JobRecord, live: Collection[Route]) -> JobRecord:
    """Give the ready tasks that nobody takes a message that says so."""

    def explain(task: TaskRecord) -> TaskRecord:
        route = Route(task.task_key, task.site)
        if task.phase is not Phase.READY or route in live:
            return task
        return replace(task, message=f"waiting: {no_worker(route)}")

    return replace(job, tasks=tuple(map(explain, job.tasks)))
