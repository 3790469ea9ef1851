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
class QueuedTask:
    """One attempt of a task, encoded, and where it has to go.

    Attributes
    ----------
    redelivered : bool
        A worker had it that is gone.
    expires_at : float
        By the queues' clock; it is dropped if no worker has had it by then.
    """

    route: Route
    task_id: int
    attempt: int
    body: bytes
    redelivered: bool = False
    expires_at: float = math.inf


@dataclass(eq=False)
class Taker:
    """A worker as the queues see it: what it takes, and what it holds by delivery tag."""

    routes: Sequence[Route]
    prefetch: int
    held: dict[int, QueuedTask] = field(default_factory=dict)

    @property
    def has_credit(self) -> bool:
        """True if it may be given another task."""
        return len(self.held) < self.prefetch


@dataclass(frozen=True, slots=True)
class Assignment:
    """A task that a taker is given; it holds it by this tag until it is released."""

    taker: Taker
    tag: int
    task: QueuedTask


class TaskQueues:
    """Queues by route, dealt out in turn to the takers that have credit. Not thread-safe.

    Tasks that no taker takes are not kept: they are stranded, and returned to whoever put them.

    Parameters
    ----------
    clock : callable
        Seconds, never set back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._queues: defaultdict[Route, deque[QueuedTask]] = defaultdict(deque)
        self._takers: defaultdict[Route, deque[Taker]] = defaultdict(deque)
        self._tags = itertools.count(1)

    def join(self, taker: Taker) -> list[Assignment]:
        """Let a worker take; return what it gets at once."""
        for route in taker.routes:
            self._takers[route].append(taker)
        return list(self._deal(taker.routes))

    def leave(self, taker: Taker) -> tuple[list[Assignment], list[QueuedTask]]:
        """Let a worker go; what it held goes to others, marked as redelivered.

        Returns
        -------
        list of Assignment
            What others got of it.
        list of QueuedTask
            What is stranded, since no other worker takes it.
        """
        for task in reversed(taker.held.values()):
            self._queues[task.route].appendleft(replace(task, redelivered=True))
        taker.held.clear()
        for route in taker.routes:
            self._takers[route].remove(taker)
        return list(self._deal(taker.routes)), self._drain_stranded(taker.routes)

    def put(self, tasks: Iterable[QueuedTask]) -> tuple[list[Assignment], list[QueuedTask]]:
        """Queue tasks; return what could be assigned at once, and what is stranded."""
        routes: dict[Route, None] = {}
        for task in tasks:
            self._queues[task.route].append(task)
            routes[task.route] = None
        return list(self._deal(routes)), self._drain_stranded(routes)

    def release(self, taker: Taker, tags: Iterable[int]) -> list[Assignment]:
        """Take back the tags that a worker has reported; return what is assigned to the freed places."""
        for tag in tags:
            taker.held.pop(tag, None)
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
                tag, task = next(self._tags), queue.popleft()
                taker.held[tag] = task
                yield Assignment(taker, tag, task)

    def _has_expired(self, task: QueuedTask) -> bool:
        return not task.redelivered and task.expires_at <= self._clock()

    def _drain_stranded(self, routes: Iterable[Route]) -> list[QueuedTask]:
        stranded: list[QueuedTask] = []
        for route in routes:
            if not self._takers[route]:
                stranded += self._queues.pop(route, ())
        return stranded
