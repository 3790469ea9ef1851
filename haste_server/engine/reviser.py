"""Revises where the objects of streams belong whose policies rank them."""

from __future__ import annotations

import threading

import structlog

from haste_core.ports import Clock, RankedSo, TaskStore

log = structlog.get_logger(__name__)

LOOK_EVERY_S = 5.0  # earlier decisions are not revised with each new one


class Reviser:
    """Lets objects change places as better ones come, where it may follow from something new."""

    def __init__(self, *, store: TaskStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._revised: dict[str, RankedSo] = {}
        self._stopping = threading.Event()

    def step(self) -> None:
        """Wait a little, then revise what is to be revised."""
        if self._stopping.wait(LOOK_EVERY_S):
            return
        latest = self._store.ranked_streams()
        for stream_id, so in latest.items():
            if self._revised.get(stream_id) != so:
                self._revise(stream_id)
        self._revised = latest

    def stop(self) -> None:
        """End the wait."""
        self._stopping.set()

    def _revise(self, stream_id: str) -> None:
        moved = 0
        while not self._stopping.is_set():
            changed = self._store.revise(stream_id, now=self._clock())
            if not changed:
                break
            moved += changed
        if moved:
            log.info("stream revised", action="stream_revised", stream_id=stream_id, objects=moved)
