"""Processes that belong together: those that die are started again, and a signal ends them all."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable, Sequence

from haste_runtime.parents import is_orphaned
from haste_server.processes.children import ChildProcess

logger = logging.getLogger(__name__)

LOOK_S = 1.0


def supervise(children: Sequence[ChildProcess], *, timeout_s: float, parent_pid: int | None = None) -> None:
    """Run programs until SIGTERM or Ctrl-C or the end of the parent, then let them end together.

    Parameters
    ----------
    children : sequence of ChildProcess
    timeout_s : float
        How long they may take to end.
    parent_pid : int, optional
        The process without which this one must not go on.
    """
    for child in children:
        child.start()
    run_until_stopped(parent_pid=parent_pid)
    for child in children:
        child.ask_to_stop()
    deadline = time.monotonic() + timeout_s
    for child in children:
        child.stop(timeout_s=max(0.0, deadline - time.monotonic()))


def run_until_stopped(*, parent_pid: int | None, each_second: Callable[[], None] = lambda: None) -> None:
    """Wait for SIGTERM or Ctrl-C, or for the end of the parent.

    Parameters
    ----------
    parent_pid : int, optional
        The process without which this one must not go on.
    each_second : callable
    """
    requested = stop_requested()
    while not requested.wait(LOOK_S):
        if is_orphaned(parent_pid):
            logger.warning("the parent is gone", extra={"action": "orphaned"})
            return
        each_second()


def stop_requested() -> threading.Event:
    """Return an event that SIGTERM, Ctrl-C and the end of the terminal set from now on."""
    requested = threading.Event()
    names = ("SIGTERM", "SIGINT", "SIGHUP", "SIGBREAK")
    for number in (getattr(signal, name) for name in names if hasattr(signal, name)):
        if signal.getsignal(number) is not signal.SIG_IGN:  # SIGHUP is ignored after `nohup`
            signal.signal(number, lambda *_: requested.set())
    return requested
