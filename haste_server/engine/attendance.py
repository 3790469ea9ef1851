"""Which workers are there, and how fast their queues move."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass

from haste_core.messages import Presence
from haste_core.routing import Route
from haste_core.scheduling import window_size

RATE_MEMORY_S = 5.0  # the measured rate is an average over about this long


@dataclass(frozen=True)
class _Seen:
    presence: Presence
    at: float


class Attendance:
    """The live workers, from their heartbeats.

    Parameters
    ----------
    forget_after_s : float
        A worker that is silent for longer gets no new tasks.
    """

    def __init__(self, *, forget_after_s: float) -> None:
        self._forget_after_s = forget_after_s
        self._seen: dict[str, _Seen] = {}
        self._rates: dict[Route, _Rate] = {}
        self._lock = threading.Lock()

    def note(self, presence: Presence, *, now: float) -> None:
        """Take a heartbeat."""
        with self._lock:
            if presence.leaving:
                self._seen.pop(presence.worker_id, None)
            else:
                self._seen[presence.worker_id] = _Seen(presence, now)

    def count_results(self, routes: Counter[Route], *, now: float) -> None:
        """Take note of results that came from queues."""
        with self._lock:
            for route, number in routes.items():
                self._rates.setdefault(route, _Rate(now)).count(number, now)

    def windows(self, *, now: float) -> dict[Route, int]:
        """Tell how many tasks of each queue may be in flight; queues without a live worker are left out."""
        with self._lock:
            slots: Counter[Route] = Counter()
            workers: Counter[Route] = Counter()
            for seen in self._seen.values():
                if now - seen.at <= self._forget_after_s:
                    for key in seen.presence.keys:
                        route = Route(key, seen.presence.site)
                        slots[route] += seen.presence.slots
                        workers[route] += 1
            rates = {route: rate.per_s(now) for route, rate in self._rates.items()}
        return {
            route: window_size(slots=slots[route], workers=workers[route], rate_per_s=rates.get(route, 0.0))
            for route in sorted(slots)
        }


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
