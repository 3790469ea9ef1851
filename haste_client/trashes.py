"""Tiers whose objects may be deleted."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict

from haste_client.connection import Connection

_PAGE = 1000


class TrashedAnswer(BaseModel):
    """An object that lies in a trash.

    Attributes
    ----------
    trashed_at, expires_at : float, optional
        When it was put there, and until when it stays at least, in seconds since 1970; None while a task
        has it.
    pinned : bool
        Then it is not deleted.
    enforced : bool
        False: its stream only observes, so that it is not deleted.
    marked : bool
        Its deletion is under way.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    job_id: int
    stream_id: str
    source_id: str
    size_bytes: int
    trashed_at: float | None = None
    expires_at: float | None = None
    pinned: bool = False
    enforced: bool = True
    marked: bool = False


class EmptyingAnswer(BaseModel):
    """How many objects are deleted, or would be, and their bytes."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    tier: str
    count: int
    size_bytes: int


class TrashCalls:
    """The calls of `HasteClient` that are about trashes."""

    _connection: Connection

    def trash(self, tier: str) -> Iterator[TrashedAnswer]:
        """Go through what lies in a trash.

        Parameters
        ----------
        tier : str

        Yields
        ------
        TrashedAnswer

        Raises
        ------
        NotFoundError
            If there is no such tier.
        ConflictError
            If it is no trash.
        """
        path = f"/HASTE/tier/{quote(tier, safe='')}/images"
        for image in self._connection.pages(path, "images", limit=_PAGE):
            yield TrashedAnswer.model_validate(image)

    def empty_trash(self, tier: str, *, dry_run: bool = False, by: str | None = None) -> EmptyingAnswer:
        """Have all objects deleted that lie in a trash for longer than its time of grace.

        It answers when all are marked; workers delete them, one after the other.

        Parameters
        ----------
        tier : str
        dry_run : bool
            Count them only.
        by : str, optional
            Who asks for it; recorded with each of them.

        Returns
        -------
        EmptyingAnswer

        Raises
        ------
        NotFoundError, ConflictError
            As of `trash`.
        """
        path = f"/HASTE/tier/{quote(tier, safe='')}/empty{'?dry_run=true' if dry_run else ''}"
        body = {} if by is None else {"by": by}
        count = size_bytes = 0
        while True:
            answer = self._connection.post(path, body)
            count, size_bytes = count + answer["count"], size_bytes + answer["size_bytes"]
            if not answer["more"] or not answer["count"]:
                return EmptyingAnswer(tier=tier, count=count, size_bytes=size_bytes)
