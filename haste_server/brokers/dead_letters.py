"""Looking at RabbitMQ's queue of dead letters, and leaving everything there."""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import structlog
from pika import BlockingConnection
from pika.exceptions import AMQPError

from haste_core.dead_letters import SHOWN_LETTERS, DeadLetter, DeadLetters, describe
from haste_core.routing import DEAD_LETTER_QUEUE
from haste_runtime.amqp_connection import connection_parameters

log = structlog.get_logger(__name__)

LOOK_EVERY_S = 5.0
_MOST_MESSAGES = 1000  # the newest stand last, and there is no way to them but past all the others
_MOST_BYTES = 64 * 2**20
_TRIES = 5
_GOODBYE_S = 5.0  # for a broker that hangs


class DeadLetterWatch:
    """Counts what lies in the queue of dead letters, and reads it when that changed.

    It has a connection of its own, since reading means to take messages and to put them back where they
    were: while that lasts, some milliseconds, others count fewer.

    Parameters
    ----------
    url : str
        Of the broker.
    name : str
        How the connection shows in RabbitMQ's management pages.
    broker_is_up : callable
        False: no attempt is made to connect.

    Attributes
    ----------
    seen : DeadLetters, optional
        What the last look showed; None while the broker is away.
    """

    def __init__(self, url: str, *, name: str, broker_is_up: Callable[[], bool]) -> None:
        self._parameters = connection_parameters(url, name=name)
        self._broker_is_up = broker_is_up
        self._stopping = threading.Event()
        self._connection: Any = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._read_all = False
        self.seen: DeadLetters | None = None

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """End, and disconnect."""
        self._stopping.set()
        connection = self._connection
        if connection is not None:
            with suppress(AMQPError):  # it is closed already
                connection.add_callback_threadsafe(lambda: None)  # ends its rest
        self._thread.join(_GOODBYE_S)

    def _run(self) -> None:
        pause_s = 0.0
        while not self._stopping.wait(pause_s):
            pause_s = 0.2
            if not self._broker_is_up():
                continue
            try:
                self._watch()
            except Exception as error:
                # When a connection breaks, pika also lets assertions and index errors of its own through.
                log.info("dead letters cannot be read for now", action="dead_letters_away", why=repr(error))
                pause_s = LOOK_EVERY_S
            self._connection = self.seen = None

    def _watch(self) -> None:
        with BlockingConnection(self._parameters) as connection:
            self._connection = connection
            channel = connection.channel()
            while not self._stopping.is_set():
                self._look(channel)
                self._rest(connection, LOOK_EVERY_S)

    def _look(self, channel: Any) -> None:
        for _ in range(_TRIES):
            count = _count(channel)
            if self._read_all and self.seen is not None and self.seen.count == count:
                return
            latest, read_all = _read_latest(channel, count)
            if read_all and (self.seen is None or self.seen.count <= count):
                break
            # Fewer than there were: another server may be reading just now. Then not in step with it.
            self._rest(channel.connection, random.uniform(0.1, 0.5))  # noqa: S311
        self.seen, self._read_all = DeadLetters(count, latest), read_all

    def _rest(self, connection: Any, duration_s: float) -> None:
        """Answer heartbeats for a while."""
        rested_at = time.monotonic() + duration_s
        while not self._stopping.is_set() and (left_s := rested_at - time.monotonic()) > 0:
            connection.process_data_events(time_limit=left_s)


def _count(channel: Any) -> int:
    return int(channel.queue_declare(DEAD_LETTER_QUEUE, passive=True).method.message_count)


def _read_latest(channel: Any, count: int) -> tuple[tuple[DeadLetter, ...], bool]:
    """Read the last few of so many messages; False if another reader has some of them in hand."""
    latest: deque[tuple[Any, bytes]] = deque(maxlen=SHOWN_LETTERS)
    number = read_bytes = tag = 0
    while number < _MOST_MESSAGES and read_bytes < _MOST_BYTES:
        method, properties, body = channel.basic_get(DEAD_LETTER_QUEUE)
        if method is None:
            break
        latest.append((properties, body))
        number, read_bytes, tag = number + 1, read_bytes + len(body), method.delivery_tag
    if tag:
        channel.basic_nack(tag, multiple=True, requeue=True)
    read_all = number >= min(count, _MOST_MESSAGES) or read_bytes >= _MOST_BYTES
    return tuple(_describe(properties, body) for properties, body in latest), read_all


def _describe(properties: Any, body: bytes) -> DeadLetter:
    """Read RabbitMQ's note of a message's death; who put it here by hand left none."""
    death = ((properties.headers or {}).get("x-death") or [{}])[0]
    moment = death.get("time")
    # AMQP's time stamps are UTC, and pika does not say so.
    died_at = moment.replace(tzinfo=UTC).timestamp() if isinstance(moment, datetime) else None
    return describe(body, queue=str(death.get("queue", "")), died_at=died_at)
