"""How often a program that runs for long looks for garbage."""

from __future__ import annotations

import gc

_THRESHOLDS = (20_000, 20, 50)


def collect_seldom() -> None:
    """Spare this process the search for cycles among what was made to start it, and make others rare.

    For a process whose own work leaves few cycles behind, at the end of its start: a task's way through it
    makes hundreds of short-lived objects, at which Python by default would search again and again.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
