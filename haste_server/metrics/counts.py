"""What a process counts of what it does, since only it sees it."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Histogram

from haste_core.messages import Outcome, TaskResult
from haste_core.ports import StateChange
from haste_core.routing import Route
from haste_core.states import TaskState

MOST_NAMED = 50
"""Queues that are counted by name; clients name keys and sites, and each name is some series for ever."""

OTHERS = Route("(others)", "(others)")
"""Stands for all further queues; no key or site can be called so."""

SECONDS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000, 3000)

_OF_QUEUE = ("key", "site")


class Counts:
    """Counters of one process, from its start on.

    Attributes
    ----------
    registry : CollectorRegistry
        Where they are read.
    changed : threading.Event
        Set when something was counted.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.changed = threading.Event()
        self._lock = threading.Lock()
        self._named: set[Route] = set()
        self._hand_outs = self._counter("hand_outs", "Attempts that were handed out to workers", *_OF_QUEUE)
        self._results = self._counter(
            "results", "Attempts that came back and counted, by what became of them", *_OF_QUEUE, "state"
        )
        self._retries = self._counter(
            "retries", "Tasks that wait for another attempt, by what became of the last", *_OF_QUEUE, "state"
        )
        self._upload_bytes = self._counter("upload_bytes", "Bytes of uploads that came")
        self._seconds = Histogram(
            "haste_task_seconds",
            "How long attempts ran, by what became of them",
            ("key", "state"),
            buckets=SECONDS,
            registry=self.registry,
        )

    def hand_out(self, route: Route, number: int) -> None:
        """Count attempts that were handed out."""
        self._hand_outs.labels(*self._labels(route)).inc(number)
        self.changed.set()

    def take_back(self, results: Sequence[TaskResult], changes: Sequence[StateChange]) -> None:
        """Count attempts that came back, but for those that changed nothing.

        Parameters
        ----------
        results : sequence of TaskResult
        changes : sequence of StateChange
            What they changed, and perhaps more.
        """
        changed = {(change.task_id, change.attempt): change for change in changes}
        for result in results:
            change = changed.pop((result.task_id, result.attempt), None)  # a second copy counts for nothing
            if change is not None:
                self._take_back(result, change)
        self.changed.set()

    def receive(self, size_bytes: int) -> None:
        """Count bytes of an upload."""
        self._upload_bytes.inc(size_bytes)
        self.changed.set()

    def _take_back(self, result: TaskResult, change: StateChange) -> None:
        key, site = self._labels(Route(change.task_key, change.site))
        state = _state(result)
        self._results.labels(key, site, state).inc()
        if change.state is TaskState.REGISTERED and state != "done":  # else it has another step to do
            self._retries.labels(key, site, state).inc()
        if result.duration_s is not None:
            self._seconds.labels(key, state).observe(max(0.0, result.duration_s))

    def _labels(self, route: Route) -> tuple[str, str]:
        with self._lock:
            if route not in self._named:
                if len(self._named) >= MOST_NAMED:
                    route = OTHERS
                else:
                    self._named.add(route)
        return route.task_key, route.site

    def _counter(self, name: str, what: str, *labels: str) -> Counter:
        return Counter(f"haste_{name}", what, labels, registry=self.registry)


def _state(result: TaskResult) -> str:
    return (result.state.name if result.outcome is Outcome.ENDED else result.outcome.value).lower()
