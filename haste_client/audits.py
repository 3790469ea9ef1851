"""The log of changes."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import BaseModel, ConfigDict

from haste_client.connection import Connection

_PAGE = 1000


class AuditAnswer(BaseModel):
    """A change that somebody asked for, and that was made.

    Attributes
    ----------
    made_at : float
        Seconds since 1970.
    who : str
        The name of the token; in brackets: none of the store.
    action, target : str
        The operation, and the address that was asked.
    details : str
        What was asked for, as JSON; cut short if it is long.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    entry_id: int
    made_at: float
    who: str
    address: str
    action: str
    target: str
    details: str


class AuditCalls:
    """The calls of `HasteClient` that are about the log of changes; they need a token of scope ``admin``."""

    _connection: Connection

    def audit(self, *, who: str | None = None, page: int = _PAGE) -> Iterator[AuditAnswer]:
        """Go through the changes, the latest first.

        Parameters
        ----------
        who : str, optional
            Only those of the token of this name.
        page : int
            How many are asked for at a time.

        Yields
        ------
        AuditAnswer
        """
        for entry in self._connection.pages("/HASTE/audit/", "entries", limit=page, params={"who": who}):
            yield AuditAnswer.model_validate(entry)
