"""Ending in order when the program is told to end, however that is said."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from haste_server.processes.parents import is_orphaned

_LOOK_S = 1.0


@contextmanager
def ends_like_ctrl_c() -> Iterator[None]:
    """Let SIGTERM and SIGHUP raise KeyboardInterrupt, so that what was started is stopped."""
    names = [name for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]  # Windows has no SIGHUP
    before = {name: signal.signal(getattr(signal, name), _interrupt) for name in names}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(getattr(signal, name), handler)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def end_with_parent(parent_pid: int | None) -> None:
    """End this process soon after its parent is gone; it may be in the middle of anything."""

    def watch() -> None:
        while not is_orphaned(parent_pid):
            time.sleep(_LOOK_S)
        signal.raise_signal(signal.SIGTERM)

    if parent_pid is not None:
        threading.Thread(target=watch, name="parent watch", daemon=True).start()


def wait_for_ctrl_c() -> None:
    """Wait until somebody ends the program, and take that as its orderly end."""
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        return
