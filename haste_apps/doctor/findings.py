"""What an examination finds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """How what was looked at is."""

    OK = "ok"
    WARNING = "warning"  # it works, but not as well as it could, or not for long
    WRONG = "wrong"
    UNKNOWN = "unknown"  # something else has to be put right before it can be looked at


@dataclass(frozen=True)
class Finding:
    """What one look has found.

    Attributes
    ----------
    check : str
        What was looked at, in a word.
    outcome : Outcome
    said : str
        What was found, in a sentence.
    remedy : str
        What to do about it; empty if nothing is to be done.
    """

    check: str
    outcome: Outcome
    said: str
    remedy: str = ""


def ok(check: str, said: str) -> Finding:
    """Tell that something is as it should be."""
    return Finding(check, Outcome.OK, said)


def warning(check: str, said: str, remedy: str) -> Finding:
    """Tell that something works, but should be looked after."""
    return Finding(check, Outcome.WARNING, said, remedy)


def wrong(check: str, said: str, remedy: str) -> Finding:
    """Tell that something does not work."""
    return Finding(check, Outcome.WRONG, said, remedy)


def unknown(check: str, said: str) -> Finding:
    """Tell that something could not be looked at."""
    return Finding(check, Outcome.UNKNOWN, said)
