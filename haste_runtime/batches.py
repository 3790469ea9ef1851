"""Several short messages that travel as one: one a line, settled when each of them is.

JSON as `haste_core.messages` writes it holds no line breaks.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Hashable, Iterator, Sequence

BATCH_BYTES = 256 * 1024
"""A batch is not made larger than this; a single message may be."""


def runs(sizes: Sequence[int], *, most: int, most_in_sum: int) -> Iterator[range]:
    """Divide a list into runs, as ranges of positions, whose sizes do not sum up to more than a limit.

    Parameters
    ----------
    sizes : sequence of int
        Of the items; one that is beyond the limit makes a run of its own.
    most : int
        How many items a run may have.
    most_in_sum : int
    """
    start = in_sum = 0
    for position, size in enumerate(sizes):
        in_sum += size
        if position > start and (position - start >= most or in_sum > most_in_sum):
            yield range(start, position)
            start, in_sum = position, size
    if sizes:
        yield range(start, len(sizes))


def batches(bodies: Sequence[bytes], most: int) -> Iterator[range]:
    """Divide messages into batches of so many at most, in their order, each as the range of its positions."""
    return runs([len(body) for body in bodies], most=most, most_in_sum=BATCH_BYTES)


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
