"""The transport of a worker that takes its tasks from RabbitMQ."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, cast

import structlog

from haste_core.errors import InvalidError
from haste_core.messages import AttemptKey, Presence, Revocation, TaskMessage, TaskResult
from haste_core.ports import TaskDelivery
from haste_core.routing import CONTROL_EXCHANGE, DEAD_LETTER_QUEUE, RESULT_QUEUE, Route
from haste_runtime import batches
from haste_runtime.amqp import AmqpLink, Consumer, Delivery, DeliveryToken
from haste_runtime.confirms import Fate, Outgoing
from haste_runtime.topology import PRESENCE_KEY, revocation_queue, worker_topology

log = structlog.get_logger(__name__)

_FAREWELL_S = 1.0
_MOST_TOGETHER = 100  # results in one message


@dataclass(slots=True)
class _Report:
    """Results, or a dead letter, until the broker has confirmed them."""

    message: Outgoing
    tasks: list[DeliveryToken]
    under_way: bool = True


class AmqpTransport:
    """A `haste_core.ports.WorkerTransport` over RabbitMQ.

    RabbitMQ limits what is unacknowledged for each queue, not for a worker (the limit for a whole channel is
    refused by RabbitMQ 4.3), and counts tasks that were sent together as one. So `prefetch` is divided among
    the routes, at least one each: a worker whose slots shall all be busy whichever key has work needs a
    prefetch of routes times slots.

    Parameters
    ----------
    url : str
        ``amqp://user:password@host:5672/vhost``, or ``amqps://`` for TLS.
    worker_id : str
        Shows in RabbitMQ's management pages.
    """

    def __init__(self, url: str, worker_id: str) -> None:
        self._url = url
        self._worker_id = worker_id
        self._link: AmqpLink | None = None
        self._reports: dict[int, _Report] = {}
        self._report_numbers = itertools.count()
        self._unsent: list[tuple[bytes, DeliveryToken]] = []
        self._open = batches.OpenDeliveries()
        self._last_word: Outgoing | None = None
        self._changed = threading.Condition()

    def start(
        self,
        routes: Sequence[Route],
        *,
        prefetch: int,
        on_task: Callable[[TaskDelivery], None],
        on_revoked: Callable[[Sequence[AttemptKey]], None],
    ) -> None:
        """Connect, declare the queues of these routes, and consume from them.

        Raises
        ------
        ValueError
            If the URL is no AMQP URL.
        """
        share = max(1, prefetch // len(routes))
        revocations = Consumer(revocation_queue(self._worker_id), prefetch=0, auto_ack=True)
        self._link = AmqpLink(
            self._url,
            name=f"haste-worker {self._worker_id}",
            topology=worker_topology(routes, self._worker_id),
            consumers=[revocations, *(Consumer(route.queue, prefetch=share) for route in routes)],
            on_delivery=partial(self._take, on_task, on_revoked),
            on_sent=self._note_fate,
            on_up=self._begin_anew,
        )
        self._link.start()

    def report(self, result: TaskResult, delivery: TaskDelivery) -> None:
        """Send a result, persistent and confirmed, and acknowledge its task after that.

        Results that come while others are under way wait for their confirm, and travel together: a message
        costs more than what is in it.
        """
        with self._changed:
            self._unsent.append((result.encode(), cast(DeliveryToken, delivery.token)))
            waits_already = len(self._unsent) > 1 or self._reports
        if not waits_already:
            self._started().call(self._send_results)

    def announce(self, presence: Presence) -> None:
        """Send a heartbeat to all engines; without a connection the last one is sent after the reconnect."""
        self._last_word = Outgoing(CONTROL_EXCHANGE, PRESENCE_KEY, presence.encode(), expendable=True)
        self._started().publish([self._last_word])

    def trouble(self) -> str:
        """Say why nothing can be sent now; empty if it can."""
        return self._link.trouble() if self._link is not None else "not started"

    def stop(self, *, timeout_s: float) -> None:
        """Stop consuming, wait for unconfirmed results, at most `timeout_s`, and disconnect."""
        if self._link is None:
            return
        self._link.stop_consuming()
        with self._changed:
            self._changed.wait_for(lambda: not (self._unsent or self._reports), timeout_s)
            unsent = len(self._unsent) + sum(len(report.tasks) for report in self._reports.values())
        if unsent:
            # Their tasks were not acknowledged either, so they will run again.
            log.warning("results could not be sent", action="results_lost", count=unsent)
        self._link.close(timeout_s=_FAREWELL_S)

    def _started(self) -> AmqpLink:
        if self._link is None:
            raise RuntimeError("the transport was not started")
        return self._link

    # The following run in the link's thread.

    def _take(
        self,
        on_task: Callable[[TaskDelivery], None],
        on_revoked: Callable[[Sequence[AttemptKey]], None],
        delivery: Delivery,
    ) -> None:
        if delivery.queue == revocation_queue(self._worker_id):
            _take_revocation(on_revoked, delivery.body)
        else:
            self._take_tasks(on_task, delivery)

    def _take_tasks(self, on_task: Callable[[TaskDelivery], None], delivery: Delivery) -> None:
        bodies = batches.split(delivery.body)
        self._open.open(delivery.token, len(bodies))
        for body in bodies:
            try:
                message = TaskMessage.decode(body)
            except InvalidError as error:
                log.warning("a task cannot be read", action="dead_letter", why=str(error))
                self._send(DEAD_LETTER_QUEUE, body, [delivery.token], headers=_death(delivery.queue))
            else:
                on_task(TaskDelivery(message, delivery.redelivered, delivery.token))

    def _send_results(self) -> None:
        with self._changed:
            unsent, self._unsent = self._unsent, []
        bodies = [body for body, _ in unsent]
        for numbers in batches.batches(bodies, _MOST_TOGETHER):
            body = batches.join([bodies[number] for number in numbers])
            self._send(RESULT_QUEUE, body, [unsent[number][1] for number in numbers])

    def _send(
        self,
        queue: str,
        body: bytes,
        tasks: list[DeliveryToken],
        *,
        headers: Mapping[str, Any] | None = None,
    ) -> None:
        number = next(self._report_numbers)
        message = Outgoing("", queue, body, ref=number, headers=headers)
        with self._changed:
            self._reports[number] = _Report(message, tasks)
        self._started().publish([message])

    def _note_fate(self, message: Outgoing, fate: Fate) -> None:
        if message.expendable:
            return
        number = cast(int, message.ref)
        with self._changed:
            report = self._reports[number]
            if fate is Fate.CONFIRMED:
                del self._reports[number]
                self._changed.notify_all()
            else:
                report.under_way = False
        if fate is Fate.CONFIRMED:
            self._started().ack([task for task in report.tasks if self._open.settle(task)])
            self._send_results()
        elif fate is not Fate.LOST:
            # The queue of results is gone or out of order. A new connection declares it again, and
            # brings the results along.
            self._started().reconnect(f"results were not taken ({fate})")

    def _begin_anew(self) -> None:
        self._open.forget()
        self._send_again()

    def _send_again(self) -> None:
        with self._changed:
            waiting = [report for report in self._reports.values() if not report.under_way]
            for report in waiting:
                report.under_way = True
        last_word = [] if self._last_word is None else [self._last_word]
        self._started().publish([*last_word, *(report.message for report in waiting)])


def _take_revocation(on_revoked: Callable[[Sequence[AttemptKey]], None], body: bytes) -> None:
    try:
        revocation = Revocation.decode(body)
    except InvalidError as error:
        log.warning("a revocation cannot be read", action="revocation_unreadable", why=str(error))
    else:
        on_revoked(revocation.attempts)


def _death(queue: str) -> dict[str, Any]:
    """Write down where a dead letter came from, in the form that RabbitMQ itself uses."""
    return {"x-death": [{"queue": queue, "reason": "rejected", "time": datetime.now(UTC)}]}
