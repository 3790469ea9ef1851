"""Keeps the leases of living workers, and gives what dead ones held to others."""

from __future__ import annotations

from collections.abc import Callable

from haste_core.messages import Presence
from haste_core.ports import Clock, TaskStore
from haste_server.engine.attendance import Attendance
from haste_server.engine.collector import log_changes
from haste_server.engine.inbox import Letterbox

LONGEST_WAIT_S = 1.0
SHORTEST_WAIT_S = 0.01
BATCH = 500


class Reconciler:
    """Renews leases by heartbeats, ends those that ran out, and makes delayed tasks ready when they are due.

    Parameters
    ----------
    grace_s : float
        After its own start an engine waits this long before it ends a lease: the heartbeats of workers that
        live may not have reached it yet.
    """

    def __init__(
        self,
        *,
        store: TaskStore,
        presences: Letterbox[Presence],
        attendance: Attendance,
        released: Callable[[], None],
        lease_s: float,
        grace_s: float,
        clock: Clock,
    ) -> None:
        self._store = store
        self._presences = presences
        self._attendance = attendance
        self._released = released
        self._lease_s = lease_s
        self._clock = clock
        self._expire_from = clock() + grace_s

    def step(self) -> None:
        """Wait for heartbeats or for something to be due, and see to both."""
        presences = self._presences.take(BATCH, timeout_s=self._until_due())
        now = self._clock()
        self._renew(presences, now)
        due = self._store.release_due(now=now)
        if self._end_leases(now) or due or presences:
            self._released()

    def _until_due(self) -> float:
        due = self._store.next_due()
        if due is None:
            return LONGEST_WAIT_S
        return min(max(due - self._clock(), SHORTEST_WAIT_S), LONGEST_WAIT_S)

    def _renew(self, presences: list[Presence], now: float) -> None:
        for presence in presences:
            self._attendance.note(presence, now=now)
            self._store.renew(presence.worker_id, presence.held, until=now + self._lease_s)
        self._store.save_presence(presences, now=now)

    def _end_leases(self, now: float) -> bool:
        if now < self._expire_from:
            return False
        lost = self._store.expired(now=now, limit=BATCH)
        log_changes(self._store.record(lost, now=now))
        return bool(lost)
