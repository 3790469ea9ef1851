"""What monitoring asks of the store, over all streams and projects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class TierTotal:
    """The objects that decisions put in one tier, in all streams.

    Attributes
    ----------
    count : int
    size_bytes : int
    """

    count: int
    size_bytes: int


class MonitoringStore(Protocol):
    """What is asked as often as Prometheus looks; answers may take a second where there is very much."""

    def tier_totals(self) -> Mapping[str, TierTotal]:
        """Sum up the objects of each tier, in all streams; those that were deleted are left out."""
