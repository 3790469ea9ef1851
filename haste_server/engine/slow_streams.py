"""Streams whose functions may be slow, and whose turn it is."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue

from haste_core.undecided import Undecided


@dataclass(frozen=True)
class Turn:
    """What is to be done for a stream next."""

    stream_id: str
    items: Sequence[Undecided]
    redeciding: bool


class SlowStreams:
    """Streams that wait for a lane, and those that have one; all methods are thread-safe."""

    def __init__(self) -> None:
        self._turns: SimpleQueue[Turn | None] = SimpleQueue()
        self._until: dict[str, float] = {}
        self._lock = threading.Lock()

    def taken(self) -> frozenset[str]:
        """Name the streams that wait, have a lane, or rest."""
        with self._lock:
            now = time.monotonic()
            self._until = {name: until for name, until in self._until.items() if until > now}
            return frozenset(self._until)

    def put(self, turn: Turn) -> None:
        """Give a stream its next turn."""
        with self._lock:
            self._until[turn.stream_id] = math.inf
        self._turns.put(turn)

    def take(self, *, timeout_s: float) -> Turn | None:
        """Wait for the turn that is next; None if there is none in this time."""
        try:
            return self._turns.get(timeout=timeout_s)
        except Empty:
            return None

    def end_waiting(self) -> None:
        """Let one `take` return at once."""
        self._turns.put(None)

    def give_back(self, stream_id: str, *, rest_s: float) -> None:
        """End a stream's turn; its next one is after a pause."""
        with self._lock:
            self._until[stream_id] = time.monotonic() + rest_s
