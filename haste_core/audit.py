"""The log of changes: who asked for what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from haste_core.stores import Page


@dataclass(frozen=True)
class AuditEntry:
    """A change that somebody asked for, and that was made.

    Attributes
    ----------
    made_at : float
        Seconds since 1970.
    who : str
        The name of the token; in brackets what is no token of the store, after ``proxy:`` a proxy's user.
    address : str
        From where.
    action : str
        The operation, ``jobs.cancel``; of a page, ``pages.cancel``.
    target : str
        The address that was asked.
    details : str
        What was asked for, as JSON; what is long is cut short.
    """

    entry_id: int
    made_at: float
    who: str
    address: str
    action: str
    target: str
    details: str


class AuditStore(Protocol):
    """Reads the log of changes; entries are written with the changes themselves."""

    def audit(self, *, who: str | None, cursor: str | None, limit: int) -> Page[AuditEntry]:
        """List entries, the latest first."""
