"""Tiers that are trashes: what lies in them, and what of it may be deleted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from haste_core.stores import Page

DAY_S = 24 * 3600.0


@dataclass(frozen=True)
class TrashedObject:
    """An object that lies in a trash.

    Attributes
    ----------
    trashed_at : float, optional
        When it was last put there, in seconds since 1970; None while a task has it.
    pinned : bool
        It is not deleted.
    is_enforced : bool
        False: its stream only observes now, so that it is not deleted.
    is_marked : bool
        Somebody asked for its deletion, which is under way.
    """

    job_id: int
    stream_id: str
    source_id: str
    size_bytes: int
    trashed_at: float | None
    pinned: bool
    is_enforced: bool
    is_marked: bool


@dataclass(frozen=True)
class Amount:
    """A number of objects, and their bytes."""

    count: int
    size_bytes: int


class TrashStore(Protocol):
    """What the API does with trashes: with all that lies there, or with what belongs to some projects."""

    def trashed(
        self, tier: str, *, cursor: str | None, limit: int, projects: Sequence[str] | None = None
    ) -> Page[TrashedObject]:
        """List what lies in a trash, by job."""

    def removable(self, tier: str, *, before: float, projects: Sequence[str] | None = None) -> Amount:
        """Count what `empty` would mark."""

    def empty(
        self,
        tier: str,
        *,
        before: float,
        made_by: str | None,
        now: float,
        limit: int,
        projects: Sequence[str] | None = None,
    ) -> Amount:
        """Have objects deleted that were put to a trash before some time; answer how much that is.

        Not pinned ones, nor those of streams that only observe, nor what is decided about or moves at this
        moment. A later decision about an object withdraws that, until a worker has begun.

        Parameters
        ----------
        tier : str
        before : float
            Seconds since 1970.
        made_by : str, optional
            Who asked for it.
        now : float
        limit : int
            Of the number of objects.
        projects : sequence of str, optional
        """

    def deleted(self, stream_id: str) -> Amount:
        """Count the objects of a stream that were deleted."""
