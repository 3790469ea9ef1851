"""Lets objects go on from tiers that are full, or in which they were for long enough."""

from __future__ import annotations

import threading
from collections.abc import Mapping

import structlog

from haste_core.ports import Clock, TaskStore
from haste_core.tier_limits import TierLimits

log = structlog.get_logger(__name__)

BATCH = 200
LOOK_EVERY_S = 30.0


class Keeper:
    """Keeps tiers within their limits by later decisions, which the mover carries out.

    Parameters
    ----------
    limits : mapping of str to TierLimits
        By tier.
    """

    def __init__(self, *, store: TaskStore, limits: Mapping[str, TierLimits], clock: Clock) -> None:
        self._store = store
        self._limits = limits
        self._clock = clock
        self._stopping = threading.Event()

    def step(self) -> None:
        """Wait, then look at each tier."""
        if self._stopping.wait(LOOK_EVERY_S):
            return
        for tier, limits in self._limits.items():
            self.look(tier, limits)

    def look(self, tier: str, limits: TierLimits) -> None:
        """Decide about all that has to go on from a tier."""
        passed_on = 0
        while not self._stopping.is_set():
            number = self._store.pass_on(tier, limits, now=self._clock(), limit=BATCH)
            passed_on += number
            if number == 0:
                break
        if passed_on:
            log.info("objects go on", action="passed_on", tier=tier, next=limits.next, objects=passed_on)

    def stop(self) -> None:
        """End the wait."""
        self._stopping.set()
