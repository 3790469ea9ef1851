"""Whose change a thread makes, so that it is logged in the transaction that makes it."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass
class Change:
    """A change that somebody has asked for, and that is not logged yet.

    Attributes
    ----------
    details : callable
        Tells what was asked for, when it is written.
    is_logged : bool
        Its first transaction was committed.
    is_void : bool
        The present transaction changes nothing.
    """

    made_at: float
    who: str
    address: str
    action: str
    target: str
    details: Callable[[], str]
    is_logged: bool = False
    is_void: bool = False


_present: ContextVar[Change | None] = ContextVar("haste_change", default=None)


def begin_change(change: Change | None) -> None:
    """Let the next changing transaction of this thread be logged as somebody's; None: nobody's."""
    _present.set(change)


def unlogged_change() -> Change | None:
    """Return the change that the present transaction makes, if it is to be logged with it."""
    change = _present.get()
    if change is None or change.is_logged:
        return None
    is_void, change.is_void = change.is_void, False
    return None if is_void else change


def note_unchanged() -> None:
    """Say that the present transaction changes nothing, and is not to be logged."""
    change = _present.get()
    if change is not None:
        change.is_void = True
