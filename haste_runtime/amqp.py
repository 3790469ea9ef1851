"""One connection to RabbitMQ that stays: what the project knows of pika is here and in `amqp_connection`.

pika's connection is not thread-safe. So an `AmqpLink` owns a thread that runs pika's loop; what other
threads ask for goes into an outbox, and the loop is woken once for all that gathered there.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import structlog
from pika.adapters.select_connection import IOLoop

from haste_runtime.amqp_connection import (
    Connection,
    address_of,
    connection_parameters,
    declare,
    explain,
    publish,
)
from haste_runtime.backoff import Backoff
from haste_runtime.confirms import ConfirmWindow, Fate, Outgoing
from haste_runtime.topology import Topology

log = structlog.get_logger(__name__)

_WINDOW_MESSAGES = 500
_FIRST_WAIT_S = 0.2
_LONGEST_WAIT_S = 5.0  # well within the grace that leases have after an outage
_STABLE_S = 10.0  # a connection that broke sooner does not shorten the waits again
_FAREWELL_S = 3.0  # how long a broker may take to answer that the connection may be closed


class DeliveryToken(NamedTuple):
    """A delivery tag together with the connection for which it is valid."""

    epoch: int
    tag: int


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message that arrived from one of the consumed queues."""

    queue: str
    body: bytes
    redelivered: bool
    token: DeliveryToken


@dataclass(frozen=True)
class Consumer:
    """A queue to consume from.

    Attributes
    ----------
    prefetch : int
        How many of its messages may be unacknowledged here at a time.
    auto_ack : bool
        The broker forgets each message as it sends it; for messages that may get lost.
    """

    queue: str
    prefetch: int
    auto_ack: bool = False


class AmqpLink:
    """A connection to RabbitMQ that is made again whenever it breaks, until it is closed.

    Parameters
    ----------
    url : str
        ``amqp://user:password@host:5672/vhost``, or ``amqps://`` for TLS.
    name : str
        How the connection shows in RabbitMQ's management pages.
    topology : Topology
        Declared after each connect, so that a broker that lost its data is set up again.
    consumers : sequence of Consumer
    on_delivery : callable
        Called with each message that arrives.
    on_sent : callable
        Called once for each published message, with its fate.
    on_up : callable, optional
        Called when a connection was made, before anything is delivered through it.

    Notes
    -----
    The three are called in the link's own thread and must return at once. If one raises, the connection is
    made anew, so that what was not taken is delivered again.

    Raises
    ------
    ValueError
        If `url` is no AMQP URL.
    """

    def __init__(
        self,
        url: str,
        *,
        name: str,
        topology: Topology,
        consumers: Sequence[Consumer],
        on_delivery: Callable[[Delivery], None],
        on_sent: Callable[[Outgoing, Fate], None],
        on_up: Callable[[], None] = lambda: None,
    ) -> None:
        self._parameters = connection_parameters(url, name=name)
        self._where = {"link": name, "broker": address_of(self._parameters)}
        self._topology = topology
        self._consumers = tuple(consumers)
        self._on_up = on_up
        self._on_delivery = on_delivery
        self._on_sent = on_sent

        # Shared between threads, guarded by the lock.
        self._lock = threading.Lock()
        self._outbox: list[Callable[[], None]] = []
        self._wake_sent = False
        self._loop: IOLoop | None = None

        # Written by the link's thread only.
        self._connection: Any = None
        self._channel: Any = None
        self._epoch = 0
        self._up_since_s: float | None = None
        self._window = ConfirmWindow(_WINDOW_MESSAGES)
        self._backoff = Backoff(first_s=_FIRST_WAIT_S, longest_s=_LONGEST_WAIT_S)
        self._consuming = True
        self._closing = False
        self._blocked = False
        self._trouble = "not connected yet"
        self._drop_reason = ""
        self._thread = threading.Thread(target=self._run, name=f"amqp {name}", daemon=True)

    def start(self) -> None:
        """Begin to connect; returns at once. A link is started once."""
        self._loop = IOLoop()
        self._thread.start()

    def publish(self, messages: Sequence[Outgoing]) -> None:
        """Send messages, persistent and confirmed; each one's fate goes to `on_sent`.

        Thread-safe, returns at once. While there is no connection every message is lost at once. After
        `close` nothing is sent and nothing is heard.
        """
        self._post(partial(self._accept, tuple(messages)))

    def ack(self, tokens: Sequence[DeliveryToken]) -> None:
        """Acknowledge deliveries; thread-safe. Those from before a reconnect are void and left out."""
        self._post(partial(self._ack, tuple(tokens)))

    def reject(self, token: DeliveryToken) -> None:
        """Send a delivery to its queue's dead-letter queue; thread-safe."""
        self._post(partial(self._reject, token))

    def call(self, action: Callable[[], None]) -> None:
        """Have something called in the link's thread, when it is done with what it has; thread-safe."""
        self._post(action)

    def reconnect(self, reason: str) -> None:
        """Give up this connection and make a new one, which declares the topology again; thread-safe."""
        self._post(partial(self._drop, reason))

    def stop_consuming(self) -> None:
        """Take no more deliveries, now and after reconnects; those taken can still be acknowledged."""
        self._post(self._cancel_consumers)

    def is_up(self) -> bool:
        """Tell whether messages can be sent now."""
        return self._channel is not None and not self._blocked

    def trouble(self) -> str:
        """Say why messages cannot be sent now; empty if they can."""
        return self._trouble

    def close(self, *, timeout_s: float) -> None:
        """Wait until all messages are confirmed, at most `timeout_s`, and disconnect.

        Not to be called from the link's own thread, that is, from what it calls.
        """
        self._post(partial(self._begin_close, timeout_s))
        if self._thread.ident is not None:
            self._thread.join()

    # Everything below runs in the link's thread, except `_post`.

    def _post(self, action: Callable[[], None]) -> None:
        with self._lock:
            if self._loop is None:
                return
            self._outbox.append(action)
            if self._wake_sent:
                return
            self._wake_sent = True
            self._loop.add_callback_threadsafe(self._drain)

    def _run(self) -> None:
        loop = self._loop
        assert loop is not None
        self._connect()
        try:
            loop.start()
        finally:
            with self._lock:
                self._loop = None  # from here on nothing is posted any more
            self._connection = self._channel = None
            self._trouble = "closed"
            loop.close()
            self._drain()
            self._lose(self._window.abandon())

    def _drain(self) -> None:
        with self._lock:
            actions, self._outbox = self._outbox, []
            self._wake_sent = False
        for action in actions:
            action()
        self._pump()

    def _connect(self) -> None:
        if self._closing:
            return
        self._epoch += 1
        self._drop_reason = ""
        self._connection = Connection(
            self._parameters,
            on_open_callback=self._on_connected,
            on_open_error_callback=self._on_disconnected,
            on_close_callback=self._on_disconnected,
            custom_ioloop=self._loop,
        )

    def _on_connected(self, connection: Any) -> None:
        connection.add_on_connection_blocked_callback(self._on_blocked)
        connection.add_on_connection_unblocked_callback(self._on_unblocked)
        connection.channel(on_open_callback=self._on_channel)

    def _on_channel(self, channel: Any) -> None:
        channel.add_on_close_callback(self._on_channel_closed)
        channel.add_on_return_callback(self._on_returned)
        channel.add_on_cancel_callback(self._on_consumer_cancelled)
        declare(channel, self._topology)
        # Its answer is the first on this channel, so it tells that all the declarations were accepted.
        channel.confirm_delivery(self._on_confirm, callback=lambda _: self._on_ready(channel))

    def _on_ready(self, channel: Any) -> None:
        self._channel = channel
        self._up_since_s = time.monotonic()
        self._trouble = ""
        log.info("connected to RabbitMQ", action="amqp_up", **self._where)
        self._tell(self._on_up)
        if self._consuming and channel.is_open:
            self._consume(channel)

    def _consume(self, channel: Any) -> None:
        for consumer in self._consumers:
            # RabbitMQ applies it to the consumers that follow, each for itself.
            channel.basic_qos(prefetch_count=consumer.prefetch)
            channel.basic_consume(
                consumer.queue,
                partial(self._on_message, consumer.queue),
                auto_ack=consumer.auto_ack,
                consumer_tag=consumer.queue,
            )

    def _cancel_consumers(self) -> None:
        self._consuming = False
        if self._channel is not None:
            for consumer in self._consumers:
                self._channel.basic_cancel(consumer.queue)

    def _on_message(self, queue: str, _channel: Any, method: Any, _properties: Any, body: bytes) -> None:
        token = DeliveryToken(self._epoch, method.delivery_tag)
        self._tell(self._on_delivery, Delivery(queue, body, method.redelivered, token))

    def _accept(self, messages: Sequence[Outgoing]) -> None:
        if self._channel is None:
            self._lose(messages)
        else:
            self._window.push(messages)

    def _pump(self) -> None:
        channel = self._channel
        if channel is None:
            return
        for tag, message in self._window.pull():
            publish(channel, message, message_id=str(tag))  # a returned message is recognised by it

    def _on_returned(self, _channel: Any, _method: Any, properties: Any, _body: bytes) -> None:
        self._window.mark_returned(int(properties.message_id))

    def _on_confirm(self, frame: Any) -> None:
        confirm = frame.method
        settled = self._window.settle(
            confirm.delivery_tag, multiple=confirm.multiple, confirmed=confirm.NAME == "Basic.Ack"
        )
        for message, fate in settled:
            self._tell(self._on_sent, message, fate)
        self._pump()
        self._close_if_flushed()

    def _ack(self, tokens: Sequence[DeliveryToken]) -> None:
        for token in tokens:
            if self._channel is not None and token.epoch == self._epoch:
                self._channel.basic_ack(token.tag)

    def _reject(self, token: DeliveryToken) -> None:
        if self._channel is not None and token.epoch == self._epoch:
            self._channel.basic_reject(token.tag, requeue=False)

    def _on_blocked(self, _connection: Any, frame: Any) -> None:
        self._blocked = True
        self._trouble = f"RabbitMQ takes no messages for now ({frame.method.reason}): free its memory or disk"
        log.warning("RabbitMQ takes no messages", action="amqp_blocked", why=self._trouble, **self._where)

    def _on_unblocked(self, _connection: Any, _frame: Any) -> None:
        self._blocked = False
        self._trouble = ""
        log.info("RabbitMQ takes messages again", action="amqp_unblocked", **self._where)

    def _on_consumer_cancelled(self, frame: Any) -> None:
        self._drop(f"the queue {frame.method.consumer_tag} was deleted")

    def _on_channel_closed(self, _channel: Any, error: Exception) -> None:
        self._drop(explain(error, self._parameters))

    def _drop(self, reason: str) -> None:
        self._channel = None
        if self._connection is not None and self._connection.is_open:
            self._drop_reason = reason
            self._connection.close()

    def _on_disconnected(self, _connection: Any, error: Exception) -> None:
        self._connection = self._channel = None
        self._blocked = False
        self._lose(self._window.abandon())
        if self._closing:
            self._stop_loop()
            return
        reason = self._drop_reason or explain(error, self._parameters)
        if reason != self._trouble:  # the same again is no news
            self._trouble = reason
            log.warning("no connection to RabbitMQ", action="amqp_down", why=reason, **self._where)
        if self._up_since_s is not None and time.monotonic() - self._up_since_s > _STABLE_S:
            self._backoff.reset()
        self._up_since_s = None
        self._later(self._backoff.next_s(), self._connect)

    def _begin_close(self, timeout_s: float) -> None:
        self._closing = True
        self._later(timeout_s, self._disconnect)
        self._close_if_flushed()

    def _close_if_flushed(self) -> None:
        if self._closing and not self._window:
            self._disconnect()

    def _disconnect(self) -> None:
        if self._connection is None:
            self._stop_loop()
            return
        self._channel = None
        if not self._connection.is_closing:
            self._connection.close()
        self._later(_FAREWELL_S, self._sever)  # a broker that hangs must not hold us

    def _sever(self) -> None:
        if self._connection is not None:
            self._connection.sever()
        self._later(_FAREWELL_S, self._stop_loop)

    def _stop_loop(self) -> None:
        if self._loop is not None:
            self._loop.stop()

    def _later(self, delay_s: float, action: Callable[[], None]) -> None:
        if self._loop is not None:
            self._loop.call_later(delay_s, action)

    def _lose(self, messages: Iterable[Outgoing]) -> None:
        for message in messages:
            self._tell(self._on_sent, message, Fate.LOST)

    def _tell(self, hear: Callable[..., None], *news: object) -> None:
        try:
            hear(*news)
        except Exception:
            # What the owner does is not ours. If it failed to take a delivery, only a new connection
            # brings that delivery again; if this thread ended, nothing would ever come again.
            log.exception("a message could not be taken", action="amqp_callback_failed", **self._where)
            self._drop("this program failed to take a message; its log has the reason")
