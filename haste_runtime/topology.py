"""The exchanges and queues on RabbitMQ, in one place, so that all programs declare the same.

=================  ========================================================================
``haste.tasks``    exchange; tasks by the routing key ``<task-key>.<site>``
``haste.KEY.SITE`` queue of one task key at one site, bound with exactly its routing key
``haste.results``  queue of the workers' results, read by every engine
``haste.dead``     queue of messages that nobody can read
``haste.control``  exchange; heartbeats, of which each engine gets a copy in a queue of its own, and
                   revocations, of which each worker does
=================  ========================================================================

RabbitMQ refuses a declaration that differs from what is there, so an argument that is changed here
needs the queue to be deleted first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from haste_core.routing import (
    CONTROL_EXCHANGE,
    DEAD_LETTER_QUEUE,
    RESULT_QUEUE,
    TASK_EXCHANGE,
    Route,
)

PRESENCE_KEY = "presence"
"""Routing key of heartbeats on the control exchange."""

REVOCATION_KEY = "revocation"
"""Routing key of revoked attempts on the control exchange."""

_MAX_DEAD_LETTERS = 10_000  # a program that sends nothing but rubbish must not fill the disk
_NEWS_MAX_AGE_MS = 30_000  # an older heartbeat says nothing about now
_NEWS_QUEUE_UNUSED_MS = 60_000  # longer than a reconnect, short enough to leave no litter

# Named outright: a virtual host may have another default, and the dispatcher counts on classic queues.
_CLASSIC: Mapping[str, str | int] = {"x-queue-type": "classic"}
_NEWS: Mapping[str, str | int] = {
    **_CLASSIC,
    "x-expires": _NEWS_QUEUE_UNUSED_MS,
    "x-message-ttl": _NEWS_MAX_AGE_MS,
}
_DEAD_LETTERING: Mapping[str, str | int] = {
    "x-dead-letter-exchange": "",
    "x-dead-letter-routing-key": DEAD_LETTER_QUEUE,
}


@dataclass(frozen=True)
class Queue:
    """A durable queue with its declaration's arguments."""

    name: str
    arguments: Mapping[str, str | int] = field(default_factory=dict)


@dataclass(frozen=True)
class Binding:
    """Messages of `exchange` with exactly this routing key go to `queue`."""

    queue: str
    exchange: str
    routing_key: str


@dataclass(frozen=True)
class Topology:
    """What a program declares each time it connects; all exchanges are durable topic exchanges."""

    exchanges: tuple[str, ...]
    queues: tuple[Queue, ...]
    bindings: tuple[Binding, ...]


def worker_topology(routes: Sequence[Route], worker_id: str) -> Topology:
    """List what a worker needs that takes tasks of these routes.

    The queues of tasks have no dead letters: tasks expire there, and RabbitMQ would take those for dead too.
    """
    revocations = Queue(revocation_queue(worker_id), _NEWS)
    return Topology(
        exchanges=(TASK_EXCHANGE, CONTROL_EXCHANGE),
        queues=(*_SHARED_QUEUES, revocations, *(Queue(route.queue, _CLASSIC) for route in routes)),
        bindings=(
            Binding(revocations.name, CONTROL_EXCHANGE, REVOCATION_KEY),
            *(Binding(route.queue, TASK_EXCHANGE, route.routing_key) for route in routes),
        ),
    )


def engine_topology(engine_id: str) -> Topology:
    """List what an engine needs; the queues of tasks are declared by the workers that take them.

    A task for which no worker ever came is therefore returned to the engine, not kept.
    """
    presence = Queue(presence_queue(engine_id), _NEWS)
    return Topology(
        exchanges=(TASK_EXCHANGE, CONTROL_EXCHANGE),
        queues=(*_SHARED_QUEUES, presence),
        bindings=(Binding(presence.name, CONTROL_EXCHANGE, PRESENCE_KEY),),
    )


def presence_queue(engine_id: str) -> str:
    """Name the queue in which one engine gets its copy of all heartbeats."""
    return f"haste.presence.{engine_id}"


def revocation_queue(worker_id: str) -> str:
    """Name the queue in which one worker gets its copy of all revocations."""
    return f"haste.revocations.{worker_id}"


_SHARED_QUEUES = (
    Queue(DEAD_LETTER_QUEUE, {**_CLASSIC, "x-max-length": _MAX_DEAD_LETTERS}),
    Queue(RESULT_QUEUE, {**_CLASSIC, **_DEAD_LETTERING}),
)
