"""What the broker brings, until the engine's threads take it."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from haste_core.messages import Presence
from haste_core.ports import ResultDelivery, UndeliveredTask

Item = TypeVar("Item")


class Letterbox(Generic[Item]):
    """A queue that is emptied in batches by one thread, which sleeps while there is nothing."""

    def __init__(self) -> None:
        self._items: deque[Item] = deque()
        self._changed = threading.Condition()
        self._closed = False

    def put(self, item: Item) -> None:
        """Add an item; never blocks for long."""
        with self._changed:
            self._items.append(item)
            self._changed.notify()

    def take(self, limit: int, *, timeout_s: float) -> list[Item]:
        """Wait for items and take at most `limit`; none after the time-out or when closed."""
        with self._changed:
            if not self._items and not self._closed:
                self._changed.wait(timeout_s)
            return [self._items.popleft() for _ in range(min(limit, len(self._items)))]

    def close(self) -> None:
        """Wake whoever waits; later waits return at once."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


@dataclass(frozen=True)
class Inbox:
    """The broker's listener: results go to the collector, heartbeats to the reconciler."""

    results: Letterbox[ResultDelivery | UndeliveredTask] = field(default_factory=Letterbox)
    presences: Letterbox[Presence] = field(default_factory=Letterbox)

    def result_arrived(self, delivery: ResultDelivery) -> None:
        """Take a result; it is delivered again until it is settled."""
        self.results.put(delivery)

    def presence_arrived(self, presence: Presence) -> None:
        """Take a worker's heartbeat."""
        self.presences.put(presence)

    def hand_out_failed(self, undelivered: UndeliveredTask) -> None:
        """Take back a task whose message reached no worker."""
        self.results.put(undelivered)
