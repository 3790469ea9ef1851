"""Which workers are there, and how fast their queues move."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass

import structlog

from haste_core.messages import Presence
from haste_core.routing import Route
from haste_core.scheduling import window_size

log = structlog.get_logger(__name__)

RATE_MEMORY_S = 5.0  # the measured rate is an average over about this long
CLOCK_TOLERANCE_S = 30.0  # more than a heartbeat may take to arrive


@dataclass(frozen=True)
class _Seen:
    presence: Presence
    at: float
    clock_told: bool


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
        self._rates: dict[Route, _Rate] = {}
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

    def count_results(self, routes: Counter[Route], *, now: float) -> None:
        """Take note of results that came from queues."""
        with self._lock:
            for route, number in routes.items():
                self._rates.setdefault(route, _Rate(now)).count(number, now)

    def windows(self, *, now: float) -> dict[Route, int]:
        """Tell how many tasks of each queue may be in flight; queues without a live worker are left out."""
        with self._lock:
            self._forget(now)
            slots: Counter[Route] = Counter()
            workers: Counter[Route] = Counter()
            for seen in self._seen.values():
                for key in seen.presence.keys:
                    route = Route(key, seen.presence.site)
                    slots[route] += seen.presence.slots
                    workers[route] += 1
            rates = {route: rate.per_s(now) for route, rate in self._rates.items()}
        return {
            route: window_size(slots=slots[route], workers=workers[route], rate_per_s=rates.get(route, 0.0))
            for route in sorted(slots)
        }

    def _forget(self, now: float) -> None:
        for worker_id in [name for name, seen in self._seen.items() if now - seen.at > self._forget_after_s]:
            del self._seen[worker_id]
        for route in [route for route, rate in self._rates.items() if not rate.per_s(now)]:
            del self._rates[route]


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


class _Rate:
    """Events per second, with an exponential memory."""

    def __init__(self, now: float) -> None:
        self._value = 0.0
        self._at = now

    def count(self, number: int, now: float) -> None:
        self._value = self.per_s(now) + number / RATE_MEMORY_S
        self._at = now

    def per_s(self, now: float) -> float:
        elapsed = max(0.0, now - self._at)
        return self._value * max(0.0, 1 - elapsed / RATE_MEMORY_S)
