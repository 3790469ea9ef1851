"""Which workers are there, and how long the tasks of their queues take."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass

import structlog

from haste_core.messages import AttemptKey, Presence
from haste_core.routing import Route
from haste_core.scheduling import MeanDurations, count_together, window_size

log = structlog.get_logger(__name__)

CLOCK_TOLERANCE_S = 30.0  # more than a heartbeat may take to arrive


@dataclass(frozen=True)
class _Seen:
    presence: Presence
    at: float
    clock_told: bool


@dataclass(frozen=True)
class Window:
    """How many tasks of a queue may be in flight, and how many of them are best sent together.

    Attributes
    ----------
    slots : int
        How many the live workers of the queue can run at once.
    """

    size: int
    together: int
    slots: int


class Attendance:
    """The live workers, from their heartbeats.

    Parameters
    ----------
    forget_after_s : float
        A worker that is silent for longer is forgotten, and gets no new tasks.
    """

    def __init__(self, *, forget_after_s: float) -> None:
        self._forget_after_s = forget_after_s
        self._seen: dict[str, _Seen] = {}
        self._durations: MeanDurations[Route] = MeanDurations()
        self._lock = threading.Lock()

    def note(self, presence: Presence, *, now: float) -> None:
        """Take a heartbeat; a clock that is far off is told once of each worker."""
        off = abs(presence.sent_at - now) > CLOCK_TOLERANCE_S
        with self._lock:
            before = self._seen.pop(presence.worker_id, None)
            told = before is not None and before.clock_told
            if not presence.leaving:
                self._seen[presence.worker_id] = _Seen(presence, now, told or off)
        if off and not told:
            _tell_clock(presence, now)

    def note_duration(self, route: Route, duration_s: float) -> None:
        """Take note of how long a task of a queue ran."""
        with self._lock:
            self._durations.note(route, duration_s)

    def windows(self, *, now: float) -> dict[Route, Window]:
        """Tell how much of each queue may be in flight; queues without a live worker are left out."""
        with self._lock:
            self._forget(now)
            slots: Counter[Route] = Counter()
            workers: Counter[Route] = Counter()
            for seen in self._seen.values():
                for key in seen.presence.keys:
                    route = Route(key, seen.presence.site)
                    slots[route] += seen.presence.slots
                    workers[route] += 1
            self._durations.keep(slots)
            expected_s = {route: self._durations.expected_s(route) for route in sorted(slots)}
        return {
            route: Window(
                window_size(slots=slots[route], workers=workers[route], duration_s=duration_s),
                count_together(duration_s),
                slots[route],
            )
            for route, duration_s in expected_s.items()
        }

    def held(self, *, now: float) -> list[AttemptKey]:
        """List the attempts that live workers told to have."""
        with self._lock:
            self._forget(now)
            presences = [seen.presence for seen in self._seen.values()]
        return [(held.task_id, held.attempt) for presence in presences for held in presence.held]

    def _forget(self, now: float) -> None:
        for worker_id in [name for name, seen in self._seen.items() if now - seen.at > self._forget_after_s]:
            del self._seen[worker_id]


def _tell_clock(presence: Presence, now: float) -> None:
    difference_s = round(presence.sent_at - now, 1)
    log.warning(
        f"the clock of the worker on {presence.host} is {abs(difference_s)} s "
        f"{'ahead of' if difference_s > 0 else 'behind'} the server's: set them alike, "
        "since the times of its tasks are shown as it tells them",
        action="worker_clock_off",
        worker_id=presence.worker_id,
        host=presence.host,
        difference_s=difference_s,
    )
