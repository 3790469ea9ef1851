"""What tells that something happened: read often, by who follows streams, so that it has to be cheap."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from haste_core.alert_stores import AlertRecord


@dataclass(frozen=True)
class StreamMark:
    """How a stream stands, in what indexes tell at once. If it changes, something has happened.

    Attributes
    ----------
    last_job_id, last_decision_id : int
        0 if there is none.
    last_end_at : float, optional
        When a job came to its end last, in seconds since 1970.
    first_open_id, last_open_id, last_held_id : int
        Jobs that are to be done, and that are held until somebody has them retried; 0 if there is none.
    running : int
        Tasks that workers have.
    open_alerts : int
    pipeline_sha256 : str
    mode : "observe" or "enforce"
    completed_at : float, optional
    """

    stream_id: str
    last_job_id: int
    last_decision_id: int
    last_end_at: float | None
    first_open_id: int
    last_open_id: int
    last_held_id: int
    running: int
    open_alerts: int
    pipeline_sha256: str
    mode: Literal["observe", "enforce"]
    completed_at: float | None


@dataclass(frozen=True)
class JobCounts:
    """The jobs of a stream: not finished, done, failed."""

    open: int
    done: int
    failed: int


class EventStore(Protocol):
    """What is asked once a second while somebody follows streams."""

    def stream_marks(self, stream_id: str | None) -> list[StreamMark]:
        """Tell how each stream stands, or one of them; an unknown one is left out."""

    def job_counts(self, stream_id: str) -> JobCounts:
        """Count a stream's jobs; that takes the longer, the more there are."""

    def last_alert_id(self) -> int:
        """Return the number of the latest alert; 0 if there is none."""

    def alerts_after(self, alert_id: int, *, limit: int) -> list[AlertRecord]:
        """List the alerts of all streams that were raised after one, the oldest first."""
