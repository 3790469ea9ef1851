"""RabbitMQ, as an engine sees it."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from functools import partial
from typing import cast

import structlog

from haste_core.dead_letters import DeadLetters
from haste_core.errors import InvalidError
from haste_core.messages import AttemptKey, Presence, Revocation, TaskMessage
from haste_core.ports import BrokerListener, ResultDelivery, UndeliveredTask
from haste_core.routing import CONTROL_EXCHANGE, RESULT_QUEUE, TASK_EXCHANGE
from haste_runtime import batches
from haste_runtime.amqp import AmqpLink, Consumer, Delivery, DeliveryToken
from haste_runtime.confirms import Fate, Outgoing
from haste_runtime.topology import REVOCATION_KEY, engine_topology, presence_queue
from haste_server.brokers.dead_letters import DeadLetterWatch
from haste_server.brokers.messages import EncodedBatch, batches_by_route, encode_tasks, read_result

log = structlog.get_logger(__name__)

_RESULT_PREFETCH = 1000  # several of the collector's batches, and little enough to share with other engines
_FLUSH_S = 5.0
_NOT_FROM_BROKER = None  # the token of a result that this program made, so that nobody need be told


class RabbitBroker:
    """A `haste_core.ports.Broker` over RabbitMQ.

    Parameters
    ----------
    url : str
        ``amqp://user:password@host:5672/vhost``, or ``amqps://`` for TLS.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._engine_id = secrets.token_hex(6)
        self._link: AmqpLink | None = None
        self._listener: BrokerListener | None = None
        self._dead_letters: DeadLetterWatch | None = None
        self._open = batches.OpenDeliveries()
        self._unreadable: set[DeliveryToken] = set()

    def start(self, listener: BrokerListener) -> None:
        """Connect, and stay connected until stopped.

        Raises
        ------
        ValueError
            If the URL is no AMQP URL.
        """
        self._link = AmqpLink(
            self._url,
            name=f"haste-server {self._engine_id}",
            topology=engine_topology(self._engine_id),
            consumers=(
                Consumer(RESULT_QUEUE, prefetch=_RESULT_PREFETCH),
                Consumer(presence_queue(self._engine_id), prefetch=0, auto_ack=True),
            ),
            on_delivery=partial(self._take, listener),
            on_sent=partial(_tell_fate, listener),
            on_up=self._forget_deliveries,
        )
        self._listener = listener
        self._link.start()
        self._dead_letters = DeadLetterWatch(
            self._url, name=f"haste-server {self._engine_id} dead letters", broker_is_up=self._link.is_up
        )
        self._dead_letters.start()

    def publish(self, messages: Sequence[TaskMessage], *, together: int = 1) -> None:
        """Send tasks to the queues of their keys and sites; what reaches none comes back to the listener.

        One that is too large to be sent comes back as its end.
        """
        sendable, ended = encode_tasks(messages)
        self._started().publish([_outgoing(batch) for batch in batches_by_route(sendable, together)])
        assert self._listener is not None
        for result in ended:
            self._listener.result_arrived(ResultDelivery(result, _NOT_FROM_BROKER))

    def revoke(self, attempts: Sequence[AttemptKey]) -> None:
        """Tell all workers to stop these attempts; it may get lost."""
        body = Revocation(attempts=tuple(attempts)).encode()
        self._started().publish([Outgoing(CONTROL_EXCHANGE, REVOCATION_KEY, body, expendable=True)])

    def settle(self, deliveries: Sequence[ResultDelivery]) -> None:
        """Acknowledge results; those from before a reconnect are void, and will be delivered again."""
        tokens = [cast(DeliveryToken, item.token) for item in deliveries]
        self._finish([token for token in tokens if self._open.settle(token)])

    def _finish(self, tokens: Sequence[DeliveryToken]) -> None:
        self._started().ack([token for token in tokens if token not in self._unreadable])
        for token in self._unreadable.intersection(tokens):
            self._unreadable.discard(token)
            self._started().reject(token)

    def dead_letters(self) -> DeadLetters | None:
        """Tell which messages lie in the queue of dead letters; None while that is not known."""
        return None if self._dead_letters is None else self._dead_letters.seen

    def is_up(self) -> bool:
        """Tell whether messages can be sent now."""
        return self._link is not None and self._link.is_up()

    def trouble(self) -> str:
        """Say why messages cannot be sent now; empty if they can."""
        return self._link.trouble() if self._link is not None else "not started"

    def stop(self) -> None:
        """Wait shortly for what is not confirmed yet, and disconnect."""
        if self._dead_letters is not None:
            self._dead_letters.stop()
        if self._link is not None:
            self._link.close(timeout_s=_FLUSH_S)

    def _started(self) -> AmqpLink:
        if self._link is None:
            raise RuntimeError("the broker was not started")
        return self._link

    def _take(self, listener: BrokerListener, delivery: Delivery) -> None:
        if delivery.queue == RESULT_QUEUE:
            self._take_results(listener, delivery)
        else:
            _take_presence(listener, delivery)

    def _take_results(self, listener: BrokerListener, delivery: Delivery) -> None:
        results, unreadable = [], 0
        for body in batches.split(delivery.body):
            try:
                results.append(read_result(body))
            except InvalidError as error:
                log.warning("a result cannot be read", action="dead_letter", why=str(error))
                unreadable += 1
        if unreadable:
            self._unreadable.add(delivery.token)  # it becomes a dead letter when the others are settled
        if results:
            self._open.open(delivery.token, len(results))
        else:
            self._finish([delivery.token])
        for result in results:
            listener.result_arrived(ResultDelivery(result, delivery.token))

    def _forget_deliveries(self) -> None:
        self._open.forget()
        self._unreadable.clear()


def _take_presence(listener: BrokerListener, delivery: Delivery) -> None:
    try:
        presence = Presence.decode(delivery.body)
    except InvalidError as error:
        log.warning("a heartbeat cannot be read", action="presence_unreadable", why=str(error))
        return
    listener.presence_arrived(presence)


def _tell_fate(listener: BrokerListener, message: Outgoing, fate: Fate) -> None:
    if fate is Fate.CONFIRMED or message.expendable:
        return
    # A queue of tasks is declared by the first worker that takes from it.
    no_queue = f"no worker for {message.routing_key} has connected yet"
    reason = no_queue if fate is Fate.RETURNED else str(fate)
    for task_id, attempt in cast(tuple[tuple[int, int], ...], message.ref):
        listener.hand_out_failed(UndeliveredTask(task_id, attempt, reason))


def _outgoing(batch: EncodedBatch) -> Outgoing:
    return Outgoing(TASK_EXCHANGE, batch.route.routing_key, batch.body, ref=batch.attempts, ttl_s=batch.ttl_s)
