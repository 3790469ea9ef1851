"""What the rules of a stream's pipeline told."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from pydantic import Field

from haste_client.answers import Answer
from haste_client.connection import Connection

_PAGE = 1000


class DeliveryAnswer(Answer):
    """How far an alert came on one channel; see `AlertAnswer`.

    Attributes
    ----------
    due_at : float, optional
        When it is tried next; None if it was delivered or given up.
    trouble : str
        Why it failed last.
    """

    channel: str
    delivered_at: float | None = None
    due_at: float | None = None
    failures: int = 0
    trouble: str = ""


class AlertAnswer(Answer):
    """Something that a rule of a stream's pipeline told.

    Attributes
    ----------
    raised_at, acknowledged_at : float
        Seconds since 1970; `acknowledged_at` is None while it is open.
    message : str
        In sentences, with what to do.
    details : mapping
        The same in numbers.
    """

    alert_id: int
    event_id: str
    stream_id: str
    rule: str
    raised_at: float
    message: str
    details: dict[str, Any] = Field(default_factory=dict)
    acknowledged_at: float | None = None
    deliveries: tuple[DeliveryAnswer, ...] = ()


class AlertCalls:
    """The calls of `HasteClient` that are about alerts."""

    _connection: Connection

    def alerts(self, stream_id: str, *, only_open: bool = False) -> Iterator[AlertAnswer]:
        """Go through the alerts of a stream, the oldest first.

        Parameters
        ----------
        stream_id : str
        only_open : bool
            Only those that were not acknowledged yet.

        Yields
        ------
        AlertAnswer
        """
        path = f"/HASTE/stream/{quote(stream_id)}/alerts"
        wanted = {"open": str(only_open).lower()}
        for alert in self._connection.pages(path, "alerts", params=wanted, limit=_PAGE):
            yield AlertAnswer.model_validate(alert)

    def acknowledge(self, stream_id: str, alert_id: int) -> AlertAnswer:
        """Take an alert off the open ones; one that was acknowledged before keeps its time.

        Parameters
        ----------
        stream_id : str
        alert_id : int

        Returns
        -------
        AlertAnswer

        Raises
        ------
        NotFoundError
            If the stream has no such alert.
        """
        path = f"/HASTE/stream/{quote(stream_id)}/alerts/{alert_id}/acknowledge"
        return AlertAnswer.model_validate(self._connection.post(path))
