"""Why tasks wait, and how far those are that run: what live workers take, and what they have."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from haste_core.jobs import HeldAttempts, JobRecord, TaskRecord
from haste_core.ports import Clock
from haste_core.routing import Route
from haste_core.states import Phase
from haste_core.stores import WorkerStore, WorkerView

KEPT_S = 1.0  # pages and clients poll many jobs a second; workers come and go slowly


@dataclass(frozen=True)
class Look:
    """What the heartbeats of live workers tell.

    Attributes
    ----------
    routes : frozenset of Route
        The queues that some of them take tasks from.
    held : mapping of AttemptKey to HeldAttempt
        What they have.
    at : float
    """

    routes: frozenset[Route]
    held: HeldAttempts
    at: float


class LiveWorkers:
    """The live workers, looked up at most once a second.

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
        self._known: Look | None = None

    def now(self) -> Look:
        """Return what is known: at most a second old, or from before the look that is under way."""
        known = self._known
        if known is None:
            return self._look()
        if 0 <= self._clock() - known.at < KEPT_S or not self._looking.acquire(blocking=False):
            return known  # nobody waits for another's query, however slow the database is
        try:
            return self._look()
        finally:
            self._looking.release()

    def _look(self) -> Look:
        now = self._clock()
        views = self._workers.workers(seen_since=now - self._silence_s)
        routes = frozenset(route for view in views for route in routes_of(view))
        held = {(held.task_id, held.attempt): held for view in views for held in view.presence.held}
        self._known = Look(routes, held, now)
        return self._known


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
        return task.but(message=f"waiting: {no_worker(route)}")

    return job.but(tasks=tuple(map(explain, job.tasks)))
