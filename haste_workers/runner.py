"""The worker's engine: takes tasks from a transport, has children run them, reports what became of them.

One thread owns all state. The transport's threads and signal handlers only leave something and wake it.
"""

from __future__ import annotations

import os
import platform
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from functools import partial
from importlib.metadata import version
from multiprocessing import Pipe
from multiprocessing.connection import wait
from pathlib import Path

import structlog

from haste_core.errors import PermanentError
from haste_core.messages import AttemptKey, Outcome, Presence, TaskMessage, TaskResult
from haste_core.ports import TaskDelivery, WorkerTransport
from haste_core.routing import Route
from haste_core.task_changes import DECIDED_KEY
from haste_runtime.garbage import collect_seldom
from haste_workers.attempts import Attempt, AttemptBook, key_of, time_limit_s
from haste_workers.children import ChildPlan
from haste_workers.pace import Pace
from haste_workers.pool import ChildPool
from haste_workers.settings import WorkerSettings
from haste_workers.template import Template
from haste_workers.tiers.by_name import open_tier
from haste_workers.tiers.trials import TierTrials

_log = structlog.get_logger(__name__)

_NEWS_S = 0.2  # what was taken or started is told soon, but not each of a thousand a second
_PROGRESS_S = 1.0  # between two heartbeats that tell progress only
_REPORT_WAIT_S = 10.0


class Runner:
    """Runs tasks until it is stopped.

    Parameters
    ----------
    transport : WorkerTransport
    settings : WorkerSettings
    handlers : mapping
        ``module:function`` by task key; all these keys are taken.
    worker_id : str
        Unique among all workers.
    scratch : Path
        For temporary files; this worker's alone.
    template : Template, optional
        What children are forked from; without it, each is a program of its own.
    """

    def __init__(
        self,
        transport: WorkerTransport,
        *,
        settings: WorkerSettings,
        handlers: Mapping[str, str],
        worker_id: str,
        scratch: Path,
        template: Template | None = None,
    ) -> None:
        self._transport = transport
        self._settings = settings
        self._keys = tuple(sorted(handlers))
        self._worker_id = worker_id
        plan = ChildPlan(settings, handlers, worker_id, scratch, template)
        self._pool = ChildPool(plan, size=settings.concurrency, listener=self)
        self._book = AttemptBook()
        self._pace = Pace()
        self._version = version("haste-server")
        self._tier_trials = _trials(settings, handlers)
        self._inbox: deque[TaskDelivery] = deque()
        self._unwanted: deque[AttemptKey] = deque()
        self._wake_receiver, self._wake_sender = Pipe(duplex=False)
        self._woken = False
        self._stops_asked = 0
        self._abandoned = False
        self._leaving = False
        self._presence_due = 0.0
        self._announced_at = 0.0
        self.up = threading.Event()

    def run(self) -> bool:
        """Work until stopped.

        Returns
        -------
        bool
            False if it was abandoned.

        Raises
        ------
        HandlerUnusableError
            If a handler cannot be loaded in the child processes.
        """
        try:
            self._pool.start()
            routes = [Route(key, self._settings.site) for key in self._keys]
            prefetch = self._settings.prefetch_for(queues=len(routes))
            self._transport.start(routes, prefetch=prefetch, on_task=self.take, on_revoked=self.revoke)
            self.up.set()
            collect_seldom()
            while not self._finished():
                self._turn()
            if not self._abandoned:
                self._say_goodbye()
        finally:
            self._pool.end()
        return not self._abandoned

    # What other threads and signal handlers call.

    def stop(self) -> None:
        """Take no more tasks, finish the running ones, hand back the others, and return from `run`.

        Asked a second time, it stops the running tasks as well.
        """
        self._stops_asked += 1
        self._wake()

    def abandon(self) -> None:
        """Return from `run` at once and kill what runs: the server is gone, nobody waits for results."""
        self._abandoned = True
        self._wake()

    def take(self, delivery: TaskDelivery) -> None:
        """Take a task from the transport."""
        self._inbox.append(delivery)
        self._wake()

    def revoke(self, attempts: Sequence[AttemptKey]) -> None:
        """Stop attempts that are here; nobody wants their results any more."""
        self._unwanted.extend(attempts)
        self._wake()

    def _wake(self) -> None:
        if not self._woken:
            self._woken = True
            self._wake_sender.send_bytes(b"!")

    # What the pool tells.

    def started(self, attempt: Attempt) -> None:
        """Note when a task began; the server hears it soon."""
        attempt.started_at = time.time()
        self._announce_soon()
        if attempt.revoked:
            self._pool.revoke(attempt)

    def progressed(self) -> None:
        """Let the server hear how far tasks are."""
        self._presence_due = min(self._presence_due, self._announced_at + _PROGRESS_S)

    def finished(self, result: TaskResult) -> None:
        """Report what a handler answered."""
        self._report(result)

    def crashed(self, attempt: Attempt, why: str) -> None:
        """Report a task whose process died, or was killed."""
        outcome = Outcome.REVOKED if attempt.revoked else Outcome.CRASHED
        result = self._unrun(attempt.message, outcome, why)
        self._report(result.model_copy(update={"started_at": attempt.started_at, "ended_at": time.time()}))

    def came_back(self, attempts: Sequence[Attempt]) -> None:
        """Let tasks wait again."""
        self._book.put_back([attempt for attempt in attempts if not attempt.revoked])
        for attempt in attempts:
            if attempt.revoked:
                self._report_revoked(attempt)

    # The loop.

    def _turn(self) -> None:
        rest_s = max(0.0, min(self._presence_due, self._pool.next_moment) - time.monotonic())
        readable = wait([self._wake_receiver, *self._pool.connections], rest_s)
        if self._wake_receiver in readable:
            self._wake_receiver.recv_bytes()
            self._woken = False
        for connection in self._pool.connections:
            if connection in readable:
                self._pool.hear(connection)
        if not self._leaving:
            self._take_inbox()
        self._take_revocations()
        if self._stops_asked and not self._leaving:
            self._begin_to_leave()
        self._pool.watch()
        self._hand_back_waiting()
        self._pool.feed(self._book.waiting)
        if time.monotonic() >= self._presence_due:
            self._announce()

    def _finished(self) -> bool:
        return self._abandoned or (self._leaving and (not self._book.held or self._stops_asked > 1))

    def _begin_to_leave(self) -> None:
        self._leaving = True
        self._pool.recall_all()
        self._presence_due = 0.0  # so that nothing more is handed out to this worker
        _log.info("stopping", action="worker-stopping", held=len(self._book.held))

    def _say_goodbye(self) -> None:
        for attempt in list(self._book.held.values()):
            self._report(self._unrun(attempt.message, Outcome.LOST, "the worker was stopped while it ran"))
        # These came while the last tasks finished. Handed back at once, they would have come here again.
        while self._inbox:
            delivery = self._inbox.popleft()
            if not self._answered_unheld(delivery):
                result = self._unrun(delivery.message, Outcome.HANDED_BACK, "the worker is stopping")
                self._transport.report(result, delivery)
        self._announce()
        self._transport.stop(timeout_s=_REPORT_WAIT_S)

    # Tasks.

    def _take_inbox(self) -> None:
        while self._inbox:
            self._arrived(self._inbox.popleft())

    def _arrived(self, delivery: TaskDelivery) -> None:
        held = self._book.held.get(key_of(delivery.message))
        if held is not None:
            held.delivery = delivery  # after a reconnect; what was delivered before cannot be acknowledged
        elif not self._answered_unheld(delivery):
            self._hold(delivery)

    def _answered_unheld(self, delivery: TaskDelivery) -> bool:
        """Answer a delivery that is not to be run here: it ended here, or another worker had it."""
        answer = self._book.reported(delivery.message)
        if answer is None and delivery.redelivered:
            why = "another worker had it and was cut off; it may run there"
            answer = self._unrun(delivery.message, Outcome.LOST, why)
        if answer is None:
            return False
        self._transport.report(answer, delivery)
        return True

    def _hold(self, delivery: TaskDelivery) -> None:
        message = delivery.message
        try:
            timeout_s = time_limit_s(message, default_s=self._settings.task_timeout_s)
        except PermanentError as error:
            self._transport.report(self._unrun(message, Outcome.ENDED, str(error)), delivery)
        else:
            expires_at = time.monotonic() + message.ttl_s
            self._book.add(Attempt(delivery, message.encode(), timeout_s, expires_at))
            self._announce_soon()  # it may have waited for most of its lease

    def _take_revocations(self) -> None:
        while self._unwanted:
            attempt = self._book.held.get(self._unwanted.popleft())
            if attempt is None:
                continue
            attempt.revoked = True
            if attempt in self._book.waiting:
                self._book.waiting.remove(attempt)
                self._report_revoked(attempt)
            else:
                self._pool.revoke(attempt)

    def _report_revoked(self, attempt: Attempt) -> None:
        self._report(
            self._unrun(attempt.message, Outcome.REVOKED, "not begun, since nobody wants it any more")
        )

    def _hand_back_waiting(self) -> None:
        now = time.monotonic()
        why = "the worker is stopping" if self._leaving else "expired before a child was free"
        for attempt in [a for a in self._book.waiting if self._leaving or a.expires_at <= now]:
            self._book.waiting.remove(attempt)
            self._report(self._unrun(attempt.message, Outcome.HANDED_BACK, why))

    def _unrun(self, message: TaskMessage, outcome: Outcome, why: str) -> TaskResult:
        return TaskResult(
            task_id=message.task_id,
            attempt=message.attempt,
            worker_id=self._worker_id,
            outcome=outcome,
            message=why,
        )

    def _report(self, result: TaskResult) -> None:
        attempt = self._book.close(result)
        if attempt is None:
            return
        self._transport.report(result, attempt.delivery)
        if result.outcome is Outcome.ENDED:
            self._pace.note(attempt.message.task_key)
        _log.info(
            result.message or "done",
            action=f"task-{result.outcome.replace('_', '-')}",
            task_id=result.task_id,
            job_id=attempt.message.job_id,
            attempt=result.attempt,
            task_key=attempt.message.task_key,
            state=int(result.state) if result.outcome is Outcome.ENDED else None,
            duration_s=round((result.ended_at or 0.0) - (result.started_at or 0.0), 4),
        )

    def _announce_soon(self) -> None:
        self._presence_due = min(self._presence_due, time.monotonic() + _NEWS_S)

    def _announce(self) -> None:
        self._announced_at = time.monotonic()
        self._presence_due = self._announced_at + self._settings.heartbeat_s
        self._transport.announce(
            Presence(
                worker_id=self._worker_id,
                host=platform.node(),
                pid=os.getpid(),
                keys=self._keys,
                site=self._settings.site,
                slots=self._settings.concurrency,
                held=tuple(attempt.held() for attempt in self._book.held.values()),
                leaving=self._leaving,
                tasks_per_s=self._pace.per_s(),
                version=self._version,
                tiers=self._tier_trials.troubles(),
                sent_at=time.time(),
            )
        )


def _trials(settings: WorkerSettings, handlers: Mapping[str, str]) -> TierTrials:
    """Try the tiers of a worker that puts objects to them."""
    tiers = settings.tiers if DECIDED_KEY in handlers else {}
    return TierTrials({name: partial(open_tier, name, tiers, work_dir=settings.work_dir) for name in tiers})
