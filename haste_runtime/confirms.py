"""Which messages are on their way to the broker, and what became of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to be published.

    Attributes
    ----------
    ref : hashable
        The sender's own name for the message, by which it recognises the message's fate.
    expendable : bool
        It may get lost: it is not written to the broker's disk and not returned if nobody takes it.
    ttl_s : float, optional
        The broker forgets it if it has waited in a queue for that long.
    headers : mapping, optional
    """

    exchange: str
    routing_key: str
    body: bytes
    ref: Hashable = None
    expendable: bool = False
    ttl_s: float | None = None
    headers: Mapping[str, Any] | None = None


class Fate(StrEnum):
    """What became of a published message."""

    CONFIRMED = "confirmed by the broker"
    RETURNED = "returned: no queue takes it"
    REFUSED = "refused by the broker"
    LOST = "the connection to the broker is down, or broke before the broker confirmed"


class ConfirmWindow:
    """The messages of one connection: at most `size` unconfirmed at the broker, the others wait in order.

    Waiting for each confirm costs a round trip a message; sending without limit would make the broker
    throttle the whole connection, acknowledgements included.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._waiting: deque[Outgoing] = deque()
        self._unconfirmed: dict[int, Outgoing] = {}
        self._returned: set[int] = set()
        self._last_tag = 0

    def __len__(self) -> int:
        return len(self._waiting) + len(self._unconfirmed)

    def push(self, messages: Sequence[Outgoing]) -> None:
        """Queue messages to be sent."""
        self._waiting.extend(messages)

    def pull(self) -> Iterator[tuple[int, Outgoing]]:
        """Take the messages that may be sent now, each with its publish sequence number."""
        while self._waiting and len(self._unconfirmed) < self._size:
            self._last_tag += 1
            message = self._waiting.popleft()
            self._unconfirmed[self._last_tag] = message
            yield self._last_tag, message

    def mark_returned(self, tag: int) -> None:
        """Note that no queue took a message; its confirm follows all the same."""
        self._returned.add(tag)

    def settle(self, tag: int, *, multiple: bool, confirmed: bool) -> list[tuple[Outgoing, Fate]]:
        """Apply a confirm (or a refusal) to one message, or to all up to `tag`."""
        return [
            (self._unconfirmed.pop(settled), self._fate(settled, confirmed=confirmed))
            for settled in self._covered(tag, multiple=multiple)
        ]

    def abandon(self) -> list[Outgoing]:
        """Give up all messages, since their connection broke; return them in the order of sending."""
        lost = [*self._unconfirmed.values(), *self._waiting]
        self._unconfirmed.clear()
        self._waiting.clear()
        self._returned.clear()
        self._last_tag = 0
        return lost

    def _covered(self, tag: int, *, multiple: bool) -> list[int]:
        if not multiple:
            return [tag] if tag in self._unconfirmed else []
        covered = []
        for unconfirmed in self._unconfirmed:  # in the order of sending, so ascending
            if unconfirmed > tag:
                break
            covered.append(unconfirmed)
        return covered

    def _fate(self, tag: int, *, confirmed: bool) -> Fate:
        if not confirmed:
            return Fate.REFUSED
        if tag in self._returned:
            self._returned.remove(tag)
            return Fate.RETURNED
        return Fate.CONFIRMED
