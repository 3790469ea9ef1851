"""What watches streams and tells alerts needs from a store, and what it finds there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from haste_core.alerts import Fills
from haste_core.stores import Page


@dataclass(frozen=True)
class DeliveryRecord:
    """How far an alert came on one channel.

    Attributes
    ----------
    channel : str
        Its name; no secrets.
    delivered_at : float, optional
        Seconds since 1970.
    due_at : float, optional
        When it is tried next; None if it was delivered, or given up.
    failures : int
    trouble : str
        Why it failed last, or what was odd about the delivery.
    """

    channel: str
    delivered_at: float | None
    due_at: float | None
    failures: int
    trouble: str


@dataclass(frozen=True)
class AlertRecord:
    """An alert as it was raised.

    Attributes
    ----------
    alert_id : int
    event_id : str
        The same in each message about it, and in no message of another server.
    raised_at, acknowledged_at : float
        Seconds since 1970; `acknowledged_at` is None while it is open.
    message : str
        In sentences for a microscopist.
    details : mapping
        The same in numbers.
    """

    alert_id: int
    event_id: str
    stream_id: str
    rule: str
    raised_at: float
    message: str
    details: Mapping[str, Any]
    acknowledged_at: float | None = None
    deliveries: tuple[DeliveryRecord, ...] = ()


@dataclass(frozen=True)
class DueDelivery:
    """An alert to be sent now; `failures` is how often that failed before."""

    alert: AlertRecord
    failures: int


class AlertStore(Protocol):
    """What the API does with alerts. Unknown streams and alerts raise NotFoundError."""

    def alerts(self, stream_id: str, *, only_open: bool, cursor: str | None, limit: int) -> Page[AlertRecord]:
        """List the alerts of a stream, the oldest first."""

    def acknowledge(self, stream_id: str, alert_id: int, *, now: float) -> AlertRecord:
        """Take an alert off the list of open ones; one that is off it keeps its time."""

    def open_alerts(self, stream_id: str) -> int:
        """Count the alerts that nobody has acknowledged."""

    def newest_open(
        self, *, cursor: str | None, limit: int, projects: Sequence[str] | None = None
    ) -> Page[AlertRecord]:
        """List the alerts that nobody has acknowledged, the newest first; of all streams, or of projects."""


class AlertingStore(Protocol):
    """What the engine does to raise alerts and to deliver them."""

    def watched(self) -> list[str]:
        """Name the streams with rules in which something may become true now."""

    def judge(
        self, stream_id: str, *, now: float, listening_since: float, fills: Fills, channels: Sequence[str]
    ) -> tuple[list[AlertRecord], bool]:
        """Let a stream's rules judge what is new, and store what they raise, to be delivered by all channels.

        Each new score is judged once, however often this is interrupted and whoever else does it. The second
        value tells whether there are more new scores than were judged.
        """

    def held_bytes(self, tier: str) -> int:
        """Sum up what the objects in a tier hold."""

    def next_delivery(self, channel: str, *, now: float, claim_s: float) -> DueDelivery | None:
        """Take the first alert that is due on a channel; it is due again after `claim_s`, unless noted."""

    def note_delivery(self, alert_id: int, channel: str, *, now: float, trouble: str = "") -> None:
        """Record that an alert was delivered."""

    def note_failure(self, alert_id: int, channel: str, *, due_at: float | None, trouble: str) -> None:
        """Record that it was not; `due_at` is when it is tried again, None for never."""
