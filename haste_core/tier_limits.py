"""From a tier to the next one."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TierLimits:
    """When objects go on from a tier, and where to.

    Attributes
    ----------
    next : str
        The tier that they go on to.
    quota_bytes : int, optional
        If the tier is to hold more, those with the lowest scores go on.
    retain_days : float, optional
        How long after the latest decision about them objects go on.
    """

    next: str
    quota_bytes: int | None = None
    retain_days: float | None = None
