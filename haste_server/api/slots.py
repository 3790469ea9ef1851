"""The few threads that may be busy with uploads, and who has to leave them to others."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Protocol

from haste_core.errors import TransientError
from haste_core.ports import Clock

PATIENCE_S = 60.0
LEAST_BYTES_PER_S = 1000.0
"""Slower ones, over about `PATIENCE_S`, keep their places only as long as nobody else needs one."""


class Body(Protocol):
    """What is read from a connection."""

    def read(self, size: int = ..., /) -> bytes:
        """Return so many bytes; fewer, or none, at the end."""


class _SlotBody:
    """The body of an upload that holds a slot; it knows whether it comes fast enough to keep it."""

    def __init__(
        self, body: Body, hang_up: Callable[[], None], received: Callable[[int], None], clock: Clock
    ) -> None:
        self._body = body
        self._hang_up = hang_up
        self._received = received
        self._clock = clock
        self._slow_from = clock() + PATIENCE_S
        self._given_up = False

    def read(self, size: int = -1, /) -> bytes:
        """Return so many bytes, as `Body.read`.

        Raises
        ------
        TransientError
            If the slot was given up. What was read before counts.
        """
        data = b"" if self._given_up else self._body_read(size)
        if self._given_up and not data:
            raise self._too_slow()
        self._received(len(data))
        self._slow_from = min(self._clock() + PATIENCE_S, self._slow_from + len(data) / LEAST_BYTES_PER_S)
        return data

    def give_up_if_slow(self) -> None:
        """End the reading soon, if less came of late than has to."""
        if not self._given_up and self._clock() > self._slow_from:
            self._given_up = True
            self._hang_up()

    def _body_read(self, size: int) -> bytes:
        try:
            return self._body.read(size)
        except Exception as error:
            if self._given_up:
                raise self._too_slow() from error
            raise

    def _too_slow(self) -> TransientError:
        return TransientError(
            f"less than {LEAST_BYTES_PER_S:,.0f} bytes a second came of this upload, and others waited for "
            "its place; go on with it later"
        )


class UploadSlots:
    """Places for uploads that are received at a time, in this process.

    A connection may be slow as long as there are places. When there are none, who asks for one is put off,
    and those that are too slow lose theirs.

    Parameters
    ----------
    count : int
    received : callable
        Told how many bytes came, each time that some did.
    clock : callable
        In seconds, never going back.
    """

    def __init__(
        self, count: int, *, received: Callable[[int], None] = lambda _: None, clock: Clock = time.monotonic
    ) -> None:
        self._count = count
        self._received = received
        self._clock = clock
        self._lock = threading.Lock()
        self._held: set[_SlotBody] = set()

    @contextmanager
    def hold(self, body: Body, *, hang_up: Callable[[], None]) -> Iterator[IO[bytes]]:
        """Hold a place, and read the body from what is returned.

        Parameters
        ----------
        body : binary file
        hang_up : callable
            Lets a read of the body that waits find its end.

        Raises
        ------
        TransientError
            If all places are taken.
        """
        held = self._take(_SlotBody(body, hang_up, self._received, self._clock))
        try:
            yield held  # type: ignore[misc] # of a file, only `read` is asked for
        finally:
            with self._lock:
                self._held.remove(held)

    def _take(self, asking: _SlotBody) -> _SlotBody:
        with self._lock:
            if len(self._held) < self._count:
                self._held.add(asking)
                return asking
            for held in self._held:
                held.give_up_if_slow()
        raise TransientError(f"{self._count} uploads are under way, more are not taken at a time")
