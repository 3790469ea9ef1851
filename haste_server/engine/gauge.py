"""How full the disks of tiers are, measured beside all else: a dead network drive can hang for minutes."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Mapping
from pathlib import Path

from haste_core.alerts import Fill, Fills
from haste_core.errors import TransientError

MEASURE_EVERY_S = 10.0


class DiskGauge:
    """Measures the disks that folders are on.

    Parameters
    ----------
    folders : mapping of str to Path
        By tier. Where one is not there yet, the disk is that of the first folder above it that is.
    """

    def __init__(self, folders: Mapping[str, Path]) -> None:
        self._folders = folders
        self._fills: dict[str, Fill | None] = dict.fromkeys(folders)
        self._stopping = threading.Event()

    def fills(self) -> Fills:
        """Tell what was measured last, by tier."""
        return dict(self._fills)

    def step(self) -> None:
        """Measure all, and wait.

        Raises
        ------
        TransientError
            With those that cannot be measured now.
        """
        troubles = []
        for tier, folder in self._folders.items():
            try:
                self._fills[tier] = _fill_of(folder)
            except OSError as error:
                self._fills[tier] = None
                troubles.append(f"the disk of the tier {tier} cannot be measured: {error}")
        self._stopping.wait(MEASURE_EVERY_S)
        if troubles:
            raise TransientError("; ".join(troubles))

    def stop(self) -> None:
        """End the wait."""
        self._stopping.set()


def _fill_of(folder: Path) -> Fill:
    there = next((place for place in (folder, *folder.parents) if place.exists()), folder)
    usage = shutil.disk_usage(there)
    # Without what is reserved for root, as df shows it: a worker cannot fill that.
    return Fill(usage.used, usage.used + usage.free)
