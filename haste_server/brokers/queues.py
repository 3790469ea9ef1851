"""The queues of the embedded broker: one for each key and site, shared by the workers that take from it."""

from __future__ import annotations

import itertools
import math
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from haste_core.routing import Route


@dataclass(frozen=True, slots=True)
class QueuedBatch:
    """Tasks that go to one worker together, encoded, and where they have to go.

    Attributes
    ----------
    attempts : tuple of (task_id, attempt)
    redelivered : bool
        A worker had it that is gone.
    expires_at : float
        By the queues' clock; it is dropped if no worker has had it by then.
    """

    route: Route
    attempts: tuple[tuple[int, int], ...]
    body: bytes
    redelivered: bool = False
    expires_at: float = math.inf


@dataclass(slots=True)
class Held:
    """A batch that a worker has, and how many of its tasks it has not reported."""

    batch: QueuedBatch
    left: int


@dataclass(eq=False)
class Taker:
    """A worker as the queues see it: what it takes, and what it holds by delivery tag."""

    routes: Sequence[Route]
    prefetch: int
    held: dict[int, Held] = field(default_factory=dict)

    @property
    def has_credit(self) -> bool:
        """True if it may be given another batch."""
        return len(self.held) < self.prefetch


@dataclass(frozen=True, slots=True)
class Assignment:
    """A batch that a taker is given; it holds it by this tag until all its tasks are released."""

    taker: Taker
    tag: int
    batch: QueuedBatch


class TaskQueues:
    """Queues by route, dealt out in turn to the takers that have credit. Not thread-safe.

    Batches that no taker takes are not kept: they are stranded, and returned to whoever put them.

    Parameters
    ----------
    clock : callable
        Seconds, never set back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._queues: defaultdict[Route, deque[QueuedBatch]] = defaultdict(deque)
        self._takers: defaultdict[Route, deque[Taker]] = defaultdict(deque)
        self._tags = itertools.count(1)

    def join(self, taker: Taker) -> list[Assignment]:
        """Let a worker take; return what it gets at once."""
        for route in taker.routes:
            self._takers[route].append(taker)
        return list(self._deal(taker.routes))

    def leave(self, taker: Taker) -> tuple[list[Assignment], list[QueuedBatch]]:
        """Let a worker go; what it held goes to others, marked as redelivered.

        Returns
        -------
        list of Assignment
            What others got of it.
        list of QueuedBatch
            What is stranded, since no other worker takes it.
        """
        for held in reversed(taker.held.values()):
            self._queues[held.batch.route].appendleft(replace(held.batch, redelivered=True))
        taker.held.clear()
        for route in taker.routes:
            self._takers[route].remove(taker)
        return list(self._deal(taker.routes)), self._drain_stranded(taker.routes)

    def put(self, batches: Iterable[QueuedBatch]) -> tuple[list[Assignment], list[QueuedBatch]]:
        """Queue batches; return what could be assigned at once, and what is stranded."""
        routes: dict[Route, None] = {}
        for batch in batches:
            self._queues[batch.route].append(batch)
            routes[batch.route] = None
        return list(self._deal(routes)), self._drain_stranded(routes)

    def release(self, taker: Taker, tags: Iterable[int]) -> list[Assignment]:
        """Take back tasks, by the tags of their batches; return what is assigned to the freed places."""
        for tag in tags:
            held = taker.held.get(tag)
            if held is not None:
                held.left -= 1
                if not held.left:
                    del taker.held[tag]
        # In turn, or a busy first route would starve the others.
        taker.routes = [*taker.routes[1:], *taker.routes[:1]]
        return list(self._deal(taker.routes))

    def _deal(self, routes: Iterable[Route]) -> Iterator[Assignment]:
        for route in routes:
            queue, takers = self._queues[route], self._takers[route]
            passed = 0
            while queue and passed < len(takers):
                if self._has_expired(queue[0]):
                    queue.popleft()
                    continue
                taker = takers[0]
                takers.rotate(-1)
                if not taker.has_credit:
                    passed += 1
                    continue
                passed = 0
                tag, batch = next(self._tags), queue.popleft()
                taker.held[tag] = Held(batch, len(batch.attempts))
                yield Assignment(taker, tag, batch)

    def _has_expired(self, batch: QueuedBatch) -> bool:
        return not batch.redelivered and batch.expires_at <= self._clock()

    def _drain_stranded(self, routes: Iterable[Route]) -> list[QueuedBatch]:
        stranded: list[QueuedBatch] = []
        for route in routes:
            if not self._takers[route]:
                stranded += self._queues.pop(route, ())
        return stranded
