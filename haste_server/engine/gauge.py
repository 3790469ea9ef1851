"""How full tiers are, measured beside all else: a dead network drive can hang for minutes."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from haste_core.alerts import Fill, Fills
from haste_core.errors import TransientError

MEASURE_EVERY_S = 10.0


class TierGauge:
    """Measures the disks that folders are on, and what tiers hold of their quotas.

    Parameters
    ----------
    folders : mapping of str to Path
        By tier. Where one is not there yet, the disk is that of the first folder above it that is.
    quotas : mapping of str to int
        By tier, in bytes.
    held_bytes : callable
        Tells what the objects in a tier hold.
    """

    def __init__(
        self, folders: Mapping[str, Path], quotas: Mapping[str, int], *, held_bytes: Callable[[str], int]
    ) -> None:
        self._folders = folders
        self._quotas = quotas
        self._held_bytes = held_bytes
        self._fills: dict[str, Fill | None] = dict.fromkeys([*folders, *quotas])
        self._stopping = threading.Event()

    def fills(self) -> Fills:
        """Tell what was measured last, by tier: the disk or the quota, whichever is fuller."""
        return dict(self._fills)

    def step(self) -> None:
        """Measure all, and wait.

        Raises
        ------
        TransientError
            With those that cannot be measured now.
        """
        troubles = []
        for tier in self._fills:
            try:
                self._fills[tier] = self._measured(tier)
            except OSError as error:
                self._fills[tier] = None
                troubles.append(f"the disk of the tier {tier} cannot be measured: {error}")
        self._stopping.wait(MEASURE_EVERY_S)
        if troubles:
            raise TransientError("; ".join(troubles))

    def stop(self) -> None:
        """End the wait."""
        self._stopping.set()

    def _measured(self, tier: str) -> Fill:
        fills = []
        if tier in self._folders:
            fills.append(_fill_of(self._folders[tier]))
        if tier in self._quotas:
            fills.append(Fill(self._held_bytes(tier), self._quotas[tier], of="quota"))
        return max(fills, key=lambda fill: fill.percent)


def _fill_of(folder: Path) -> Fill:
    there = next((place for place in (folder, *folder.parents) if place.exists()), folder)
    usage = shutil.disk_usage(there)
    # Without what is reserved for root, as df shows it: a worker cannot fill that.
    return Fill(usage.used, usage.used + usage.free)
