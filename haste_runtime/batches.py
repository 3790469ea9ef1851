"""Several short messages that travel as one: one a line, settled when each of them is.

JSON as `haste_core.messages` writes it holds no line breaks.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Hashable, Iterator, Sequence

BATCH_BYTES = 256 * 1024
"""A batch is not made larger than this; a single message may be."""


def batches(bodies: Sequence[bytes], most: int) -> Iterator[range]:
    """Divide messages into batches, in their order, each as the range of its numbers.

    Parameters
    ----------
    most : int
        How many messages a batch may hold.
    """
    start = size_bytes = 0
    for number, body in enumerate(bodies):
        size_bytes += len(body)
        if number > start and (number - start >= most or size_bytes > BATCH_BYTES):
            yield range(start, number)
            start, size_bytes = number, len(body)
    if bodies:
        yield range(start, len(bodies))


def join(bodies: Sequence[bytes]) -> bytes:
    """Write the body of a batch."""
    return b"\n".join(bodies)


def split(body: bytes) -> list[bytes]:
    """Read the messages of a batch; a single message is a batch too."""
    return body.split(b"\n")


class OpenDeliveries:
    """How many messages of each delivered batch are not settled yet. Thread-safe."""

    def __init__(self) -> None:
        self._left: Counter[Hashable] = Counter()
        self._lock = threading.Lock()

    def open(self, delivery: Hashable, number: int) -> None:
        """Note that so many messages came with a delivery."""
        with self._lock:
            self._left[delivery] = number

    def settle(self, delivery: Hashable) -> bool:
        """Settle one message of a delivery; True if it was the last. Unknown deliveries are void."""
        with self._lock:
            if delivery not in self._left:
                return False
            self._left[delivery] -= 1
            if self._left[delivery]:
                return False
            del self._left[delivery]
            return True

    def forget(self) -> None:
        """Make all deliveries void: the connection that brought them is gone."""
        with self._lock:
            self._left.clear()
