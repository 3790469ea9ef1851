"""Messages that nobody can read: how many there are, and what the latest look like."""

from __future__ import annotations

from dataclasses import dataclass

from haste_core.errors import InvalidError
from haste_core.messages import TaskMessage, TaskResult
from haste_core.routing import RESULT_QUEUE

SHOWN_LETTERS = 5
HEAD_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One message that was put aside.

    Attributes
    ----------
    queue : str
        Where it came from; empty if that is not known.
    reason : str
        Why it cannot be read.
    head : str
        How it begins.
    died_at : float, optional
        When it was put aside, seconds since 1970.
    """

    queue: str
    reason: str
    head: str
    died_at: float | None = None


@dataclass(frozen=True, slots=True)
class DeadLetters:
    """All messages that were put aside.

    Attributes
    ----------
    count : int
    latest : tuple of DeadLetter
        The last few, the newest last.
    """

    count: int = 0
    latest: tuple[DeadLetter, ...] = ()


def describe(body: bytes, *, queue: str, died_at: float | None) -> DeadLetter:
    """Tell why a message from this queue cannot be read, and how it begins."""
    head = body[: 4 * HEAD_CHARACTERS].decode(errors="replace")[:HEAD_CHARACTERS]
    return DeadLetter(queue, _reason(body, queue), head, died_at)


def _reason(body: bytes, queue: str) -> str:
    if not queue:
        return "it was not put aside by HASTE server"
    kind = TaskResult if queue == RESULT_QUEUE else TaskMessage
    for line in body.split(b"\n"):  # messages that travelled together
        try:
            kind.decode(line)
        except InvalidError as error:
            return str(error)[:HEAD_CHARACTERS]
    return "this server can read it: the program that could not is of another release"
