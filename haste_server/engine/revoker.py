"""Has workers stop what nobody wants any more."""

from __future__ import annotations

import threading

import structlog

from haste_core.ports import Broker, Clock, TaskStore
from haste_server.engine.attendance import Attendance

log = structlog.get_logger(__name__)

LOOK_EVERY_S = 0.5


class Revoker:
    """Compares what workers tell to have with what is still wanted, and revokes the rest.

    Jobs are cancelled by whoever reaches the database, so there is nobody who could tell all engines. And a
    revocation that got lost is made up for by the next look, since its worker goes on telling the attempt.
    """

    def __init__(self, *, store: TaskStore, broker: Broker, attendance: Attendance, clock: Clock) -> None:
        self._store = store
        self._broker = broker
        self._attendance = attendance
        self._clock = clock
        self._stopping = threading.Event()

    def step(self) -> None:
        """Wait a little, then look once."""
        if self._stopping.wait(LOOK_EVERY_S) or not self._broker.is_up():
            return
        unwanted = self._store.unwanted(self._attendance.held(now=self._clock()))
        if unwanted:
            log.info("revoked", action="revoke", count=len(unwanted), attempts=unwanted[:20])
            self._broker.revoke(unwanted)

    def stop(self) -> None:
        """End the wait."""
        self._stopping.set()
