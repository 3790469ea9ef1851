"""Why tasks wait: the queues that no live worker takes tasks from."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable
from dataclasses import replace

from haste_core.jobs import JobRecord, TaskRecord
from haste_core.ports import Clock, WorkerStore, WorkerView
from haste_core.routing import Route
from haste_core.states import Phase

KEPT_S = 1.0  # pages and clients poll many jobs a second; workers come and go slowly


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
        self._lock = threading.Lock()
        self._routes: frozenset[Route] = frozenset()
        self._looked_at = float("-inf")

    def now(self) -> frozenset[Route]:
        """Return the queues; at most a second old."""
        with self._lock:
            now = self._clock()
            if not 0 <= now - self._looked_at < KEPT_S:
                views = self._workers.workers(seen_since=now - self._silence_s)
                self._routes = frozenset(route for view in views for route in routes_of(view))
                self._looked_at = now
            return self._routes


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
