"""How to connect to RabbitMQ, declare and publish there, and what to check if it does not answer."""

from __future__ import annotations

from typing import Any

from pika import BasicProperties, SelectConnection, URLParameters
from pika.exceptions import (
    AMQPHeartbeatTimeout,
    AuthenticationError,
    ChannelClosed,
    ConnectionBlockedTimeout,
    ConnectionClosed,
    ProbableAccessDeniedError,
    ProbableAuthenticationError,
    StreamLostError,
)

from haste_runtime.confirms import Outgoing
from haste_runtime.topology import Topology

# RabbitMQ notices a machine that vanished after one to two of these. That has to be before the leases end,
# else it sends to that machine again what that machine held.
_HEARTBEAT_S = 10
_BLOCKED_TIMEOUT_S = 60.0
_SOCKET_TIMEOUT_S = 10.0
_TRANSIENT, _PERSISTENT = 1, 2


class Connection(SelectConnection):  # type: ignore[misc]  # pika has no types
    """pika's connection, except that it writes what gathers in one turn of its loop with one system call.

    pika by itself writes each of a message's three frames, and each ack, with a call of its own; that took a
    third more CPU time for a task's whole way, twice as much for publishing alone (ADR 0010). pika's own
    adapters override the same method.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._gathered: list[bytes] = []
        super().__init__(*arguments, **options)

    def _adapter_emit_data(self, data: bytes) -> None:
        if not self._gathered:
            self.ioloop.add_callback(self._emit_gathered)
        self._gathered.append(data)

    def _emit_gathered(self) -> None:
        data, self._gathered = b"".join(self._gathered), []
        if self._transport is not None:  # else the connection broke meanwhile
            super()._adapter_emit_data(data)

    def sever(self) -> None:
        """Close the socket without the broker's consent; the callback of a lost connection follows."""
        if self._transport is not None:
            self._terminate_stream(StreamLostError("the broker does not answer"))

    def _on_connection_workflow_done(self, outcome: Any) -> None:
        # Where a connection is closed during its handshake, pika 1.3 and 1.4 hand over this error's class
        # in place of an instance, and fail an assertion of their own.
        super()._on_connection_workflow_done(outcome() if isinstance(outcome, type) else outcome)


def connection_parameters(url: str, *, name: str) -> Any:
    """Read an AMQP URL; what its query part does not say gets our defaults.

    Raises
    ------
    ValueError
        If it is no AMQP URL. The message does not contain it, since it may contain a password.
    """
    try:
        parameters = URLParameters(url)
    except (ValueError, TypeError):
        raise _not_a_url() from None  # pika quotes the part that it cannot read: the password, perhaps
    if not url.lower().startswith(("amqp://", "amqps://")):
        raise _not_a_url()
    if parameters.heartbeat is None:
        parameters.heartbeat = _HEARTBEAT_S
    if parameters.blocked_connection_timeout is None:
        parameters.blocked_connection_timeout = _BLOCKED_TIMEOUT_S
    parameters.socket_timeout = _SOCKET_TIMEOUT_S
    parameters.client_properties = {"connection_name": name}
    return parameters


def declare(channel: Any, topology: Topology) -> None:
    """Declare exchanges, queues and bindings; the broker closes the channel if it does not agree."""
    for exchange in topology.exchanges:
        channel.exchange_declare(exchange, "topic", durable=True)
    for queue in topology.queues:
        channel.queue_declare(queue.name, durable=True, arguments=dict(queue.arguments))
    for binding in topology.bindings:
        channel.queue_bind(binding.queue, binding.exchange, binding.routing_key)


def publish(channel: Any, message: Outgoing, *, message_id: str) -> None:
    """Send a message: persistent, and returned if no queue takes it, unless it is expendable."""
    properties = BasicProperties(
        content_type="application/json",
        delivery_mode=_TRANSIENT if message.expendable else _PERSISTENT,
        message_id=message_id,
        expiration=None if message.ttl_s is None else str(round(1000 * message.ttl_s)),
        headers=message.headers,
    )
    channel.basic_publish(
        message.exchange,
        message.routing_key,
        message.body,
        properties,
        mandatory=not message.expendable,
    )


def address_of(parameters: Any) -> str:
    """Write where the broker is, without user and password."""
    return f"{parameters.host}:{parameters.port}/{parameters.virtual_host}"


def explain(error: BaseException, parameters: Any) -> str:
    """Say why there is no connection, in a sentence that tells what to check."""
    where, user = address_of(parameters), parameters.credentials.username
    match error:
        case AuthenticationError() | ProbableAuthenticationError():
            return f"RabbitMQ at {where} refused user {user!r}: check user and password in the broker URL"
        case ProbableAccessDeniedError():
            return f"RabbitMQ at {where} has no such virtual host, or user {user!r} may not use it"
        case ConnectionClosed() | ChannelClosed():
            return f"RabbitMQ at {where} closed the connection: {error.reply_code} {error.reply_text}"
        case AMQPHeartbeatTimeout() | StreamLostError():
            return f"the connection to RabbitMQ at {where} broke"
        case ConnectionBlockedTimeout():
            return f"RabbitMQ at {where} took no messages for too long: free its memory or disk"
        case _:
            return f"no RabbitMQ answers at {where}: check that it runs, and the broker URL"


def _not_a_url() -> ValueError:
    return ValueError(
        "the broker URL is not of the form amqp://user:password@host:5672/vhost (or amqps:// for TLS)"
    )
