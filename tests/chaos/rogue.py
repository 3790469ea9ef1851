"""Somebody who takes results out of their queue, and puts them back in another order, with copies later."""

from __future__ import annotations

import random
import threading
import time
from typing import Any

import pika
import pika.exceptions

from haste_core.routing import RESULT_QUEUE

_MOST = 40  # taken at a time
_PERSISTENT = pika.BasicProperties(delivery_mode=2)
_COPIES = 2
LATEST_S = 3.0  # long enough to meet the next attempts of a task that failed


class Rogue:
    """Meddles with the results of one broker, however often it goes and comes.

    Attributes
    ----------
    copies : int
        How many results were published once more than their worker did.
    """

    def __init__(self, url: str, *, seed: int) -> None:
        self._parameters = pika.URLParameters(url)
        self._rng = random.Random(seed)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._copies: list[tuple[float, bytes]] = []
        self._known: set[bytes] = set()
        self.copies = 0

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; what was taken is back in the queue then."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                with pika.BlockingConnection(self._parameters) as connection:
                    self._meddle(connection)
            except pika.exceptions.AMQPError:
                self._stopping.wait(0.5)  # the broker is away; unacknowledged results are back in the queue

    def _meddle(self, connection: Any) -> None:
        taken: list[tuple[int, bytes]] = []
        channel = connection.channel()
        channel.confirm_delivery()
        channel.basic_qos(prefetch_count=_MOST)
        # RabbitMQ shares the results out among all consumers: about half of them come here.
        channel.basic_consume(
            RESULT_QUEUE, lambda _, method, __, body: taken.append((method.delivery_tag, body))
        )
        while not self._stopping.is_set():
            connection.sleep(self._rng.uniform(0.02, 0.3))
            here, taken[:] = list(taken), []
            for body in self._in_disorder([body for _, body in here]):
                channel.basic_publish("", RESULT_QUEUE, body, _PERSISTENT, mandatory=True)
            for tag, _ in here:
                channel.basic_ack(tag)

    def _in_disorder(self, bodies: list[bytes]) -> list[bytes]:
        """Shuffle results, and copies that are due."""
        now = time.monotonic()
        for body in set(bodies) - self._known:  # no copies of copies
            self._copies += [(now + self._rng.uniform(0, LATEST_S), body) for _ in range(_COPIES)]
        self._known |= set(bodies)
        due = [body for at, body in self._copies if at <= now]
        self._copies = [copy for copy in self._copies if copy[0] > now]
        self.copies += len(due)
        bodies = bodies + due
        self._rng.shuffle(bodies)
        return bodies
