"""Keeps the leases of living workers, and gives what dead ones held to others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from haste_core.messages import Presence
from haste_core.ports import Clock, TaskStore
from haste_server.changes import log_changes
from haste_server.engine.attendance import Attendance
from haste_server.engine.inbox import Letterbox
from haste_server.metrics.counts import Counts

LONGEST_WAIT_S = 1.0
SHORTEST_WAIT_S = 0.01
BATCH = 500


class Reconciler:
    """Renews leases by heartbeats, ends those that ran out, and makes delayed tasks ready when they are due.

    Parameters
    ----------
    can_hear : callable
        Tells whether heartbeats can arrive now.
    grace_s : float
        No lease ends before heartbeats have been heard and stored without a break for this long: after a
        start or an outage, those of workers that live may be still on their way.
    """

    def __init__(
        self,
        *,
        store: TaskStore,
        presences: Letterbox[Presence],
        attendance: Attendance,
        released: Callable[[], None],
        can_hear: Callable[[], bool],
        lease_s: float,
        grace_s: float,
        counts: Counts,
        clock: Clock,
    ) -> None:
        self._store = store
        self._presences = presences
        self._attendance = attendance
        self._released = released
        self._can_hear = can_hear
        self._lease_s = lease_s
        self._grace_s = grace_s
        self._counts = counts
        self._clock = clock
        self._expire_from = clock() + grace_s

    def step(self) -> None:
        """Wait for heartbeats or for something to be due, and see to both."""
        try:
            self._step()
        except Exception:
            self._be_patient()  # the heartbeats of this step are not stored
            raise

    def _step(self) -> None:
        presences = self._presences.take(BATCH, timeout_s=self._until_due())
        now = self._clock()
        if not self._can_hear():
            self._be_patient()
        self._renew(_latest(presences), now)
        due = self._store.release_due(now=now)
        if self._end_leases(now, all_heard=len(presences) < BATCH) or due or presences:
            self._released()

    def _be_patient(self) -> None:
        self._expire_from = self._clock() + self._grace_s

    def _until_due(self) -> float:
        due = self._store.next_due()
        if due is None:
            return LONGEST_WAIT_S
        now = self._clock()
        if due <= now < self._expire_from:
            due = self._expire_from  # a lease that may not end yet
        return min(max(due - now, SHORTEST_WAIT_S), LONGEST_WAIT_S)

    def _renew(self, presences: Sequence[Presence], now: float) -> None:
        for presence in presences:
            self._attendance.note(presence, now=now)
            self._store.renew(presence.worker_id, presence.held, until=now + self._lease_s)
        self._store.save_presence(presences, now=now)

    def _end_leases(self, now: float, *, all_heard: bool) -> bool:
        if now < self._expire_from or not all_heard:
            return False
        lost = self._store.expired(now=now, limit=BATCH)
        changes = self._store.record(lost, now=now)
        log_changes(changes)
        self._counts.take_back(lost, changes)
        return bool(lost)


def _latest(presences: Iterable[Presence]) -> list[Presence]:
    """Leave out heartbeats that a later one of the same worker has overtaken."""
    return list({presence.worker_id: presence for presence in presences}.values())
