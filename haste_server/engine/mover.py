"""Lets objects go to the tiers that later decisions gave them."""

from __future__ import annotations

import threading
from collections.abc import Callable

from haste_core.ports import Clock, TaskStore
from haste_server.changes import log_changes

BATCH = 200
LOOK_EVERY_S = 1.0


class Mover:
    """Runs the `tier` tasks of objects again that are not where their latest decision wants them."""

    def __init__(self, *, store: TaskStore, released: Callable[[], None], clock: Clock) -> None:
        self._store = store
        self._released = released
        self._clock = clock
        self._stopping = threading.Event()

    def step(self) -> None:
        """Wait a little, then start all moves that can be started."""
        if self._stopping.wait(LOOK_EVERY_S):
            return
        while not self._stopping.is_set():
            changes = self._store.start_moves(limit=BATCH, now=self._clock())
            log_changes(changes)
            if changes:
                self._released()
            else:
                return

    def stop(self) -> None:
        """End the wait."""
        self._stopping.set()
