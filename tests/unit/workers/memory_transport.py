"""A worker transport without a broker: tests put tasks in and look at what comes out."""

import threading
from collections.abc import Callable, Sequence

from haste_core.messages import AttemptKey, Presence, TaskMessage, TaskResult
from haste_core.ports import TaskDelivery
from haste_core.routing import Route


class MemoryTransport:
    """Implements `haste_core.ports.WorkerTransport` in memory."""

    def __init__(self) -> None:
        self.routes: tuple[Route, ...] = ()
        self.prefetch = 0
        self.results: list[tuple[TaskResult, TaskDelivery]] = []
        self.presences: list[Presence] = []
        self.stopped = False
        self._on_task: Callable[[TaskDelivery], None] | None = None
        self._changed = threading.Condition()
        self._tokens = 0

    def start(
        self,
        routes: Sequence[Route],
        *,
        prefetch: int,
        on_task: Callable[[TaskDelivery], None],
        on_revoked: Callable[[Sequence[AttemptKey]], None],
    ) -> None:
        self.routes, self.prefetch, self._on_task = tuple(routes), prefetch, on_task
        self.revoke = on_revoked

    def report(self, result: TaskResult, delivery: TaskDelivery) -> None:
        with self._changed:
            self.results.append((result, delivery))
            self._changed.notify_all()

    def announce(self, presence: Presence) -> None:
        with self._changed:
            self.presences.append(presence)
            self._changed.notify_all()

    def stop(self, *, timeout_s: float) -> None:
        self.stopped = True

    def deliver(self, message: TaskMessage, *, redelivered: bool = False) -> TaskDelivery:
        assert self._on_task is not None, "the runner has not started the transport"
        self._tokens += 1
        delivery = TaskDelivery(message, redelivered, self._tokens)
        self._on_task(delivery)
        return delivery

    def wait_for_results(self, count: int, *, timeout_s: float = 60.0) -> list[TaskResult]:
        self.wait_until(lambda: len(self.results) >= count, timeout_s=timeout_s)
        return [result for result, _ in self.results]

    def wait_until(self, holds: Callable[[], bool], *, timeout_s: float = 60.0) -> None:
        with self._changed:
            assert self._changed.wait_for(holds, timeout_s), (
                f"after {timeout_s} s: {self.results}, {self.presences}"
            )

    def result_of(self, task_id: int) -> TaskResult:
        return next(result for result, _ in self.results if result.task_id == task_id)
