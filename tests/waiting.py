"""Waiting for what has to come to pass: patiently, since that costs nothing and a busy machine is slow."""

import time
from collections.abc import Callable
from typing import TypeVar

PATIENCE_S = 120.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.005, 0.1

Found = TypeVar("Found")


def wait_for(
    condition: Callable[[], Found | None], what: str = "it", *, timeout_s: float = PATIENCE_S
) -> Found:
    """Wait until something is true, and return it; fail if it does not come to pass in time."""
    deadline = time.monotonic() + timeout_s
    pause_s = _FIRST_PAUSE_S
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(pause_s)
        pause_s = min(1.5 * pause_s, _LONGEST_PAUSE_S)
    return found
