"""How much of the landing area what somebody uploads may hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from haste_core.errors import HasteError
from haste_core.stores import Page


class UploadQuotaError(HasteError):
    """What was uploaded with this token holds as much as it may; there may be room again later."""


@dataclass(frozen=True)
class UploadQuota:
    """What a token's uploads may hold.

    Attributes
    ----------
    token_id : int
    token_name : str
    limit_bytes : int
    """

    token_id: int
    token_name: str
    limit_bytes: int


@dataclass(frozen=True)
class HeldUpload:
    """Something that counts.

    Attributes
    ----------
    key : str
        The upload's; of what has landed, another.
    url : str, optional
        Of the landed file; None before it is whole.
    held_at : float
        Seconds since 1970, of the last time when somebody asked for it.
    """

    key: str
    url: str | None
    held_at: float


class HeldUploadStore(Protocol):
    """Counts what the uploads of tokens with a quota hold; each byte counts for one token."""

    def hold(self, quota: UploadQuota, upload_id: str, size_bytes: int, *, now: float) -> None:
        """Count an upload before it comes, by its declared length; asked again, it counts with its new one.

        Raises
        ------
        UploadQuotaError
            If it is more than the quota leaves, whoever else asks at the same time. Nothing has changed then.
        """

    def land(self, upload_id: str, url: str, *, now: float) -> None:
        """Count an upload as the file that it has become; a file that counts already counts once.

        Of an upload that does not count, nothing is said.
        """

    def release(self, key: str, *, unless_after: float | None = None) -> None:
        """Count something no more; not if somebody has asked for it after a moment (seconds since 1970)."""

    def held(self, *, cursor: str | None, limit: int) -> Page[HeldUpload]:
        """List all that counts, by key."""
