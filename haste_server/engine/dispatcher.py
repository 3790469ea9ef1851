"""Hands ready tasks out, as few at a time as keep the workers busy."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from haste_core.ports import Broker, Clock, Selector, TaskStore
from haste_core.routing import Route
from haste_server.engine.attendance import Attendance, Window
from haste_server.metrics.counts import Counts

LOOK_AGAIN_S = 1.0  # another server's web process may have stored tasks without waking this engine
CLAIM_LIMIT = 100
TRIES = 3  # to fill slots for which something was chosen that was cancelled
REFILL_SHARE = (
    0.25  # of a window is claimed at once where tasks are short: a transaction costs more than they
)


class Dispatcher:
    """Claims tasks in rank order and publishes them, never more than a queue's window in flight.

    The claim is committed before anything is published. What is published but never confirmed comes back
    through the collector; what is lost after that comes back when its lease ends.

    Parameters
    ----------
    selectors : mapping of str to Selector
        By task key: who chooses the tasks of such a key, and then only as many as the live workers have free
        slots. Those of all others are chosen by rank as they are claimed, which saves a look.
    """

    def __init__(
        self,
        *,
        store: TaskStore,
        broker: Broker,
        attendance: Attendance,
        selectors: Mapping[str, Selector],
        lease_s: float,
        counts: Counts,
        clock: Clock,
    ) -> None:
        self._selectors = selectors
        self._store = store
        self._broker = broker
        self._attendance = attendance
        self._lease_s = lease_s
        self._counts = counts
        self._clock = clock
        self._awake = threading.Event()

    def wake(self) -> None:
        """Look at once: tasks became ready, or workers free."""
        self._awake.set()

    def step(self) -> None:
        """Wait to be woken, then fill every queue's window."""
        self._awake.wait(LOOK_AGAIN_S)
        self._awake.clear()
        if not self._broker.is_up():
            return
        windows = self._attendance.windows(now=self._clock())
        for route, in_flight in self._store.demand(windows).items():
            window = windows[route]
            room = window.size - in_flight
            selector = self._selectors.get(route.task_key)
            if selector is not None:
                self._fill_slots(route, selector, window.slots - in_flight)
            elif room >= window.size * REFILL_SHARE or window.together == 1:
                self._fill(route, window, room)

    def _fill_slots(self, route: Route, selector: Selector, free_slots: int) -> None:
        for _ in range(TRIES):
            if free_slots <= 0:
                return
            now = self._clock()
            chosen = selector.choose(route, min(free_slots, CLAIM_LIMIT), now=now)
            messages = self._store.claim_chosen(route, chosen, now=now, lease_s=self._lease_s)
            if messages:
                self._counts.hand_out(route, len(messages))
                self._broker.publish(messages)
            if len(messages) == len(chosen):
                return
            free_slots -= len(messages)

    def _fill(self, route: Route, window: Window, room: int) -> None:
        while room > 0:
            limit = min(room, CLAIM_LIMIT)
            messages = self._store.claim(route, limit, now=self._clock(), lease_s=self._lease_s)
            if messages:
                self._counts.hand_out(route, len(messages))
                self._broker.publish(messages, together=window.together)
            if len(messages) < limit:
                return
            room -= len(messages)
