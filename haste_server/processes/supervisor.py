"""Processes that belong together: those that die are started again, and a signal ends them all."""

from __future__ import annotations

import logging
import queue
import signal
import time
from collections.abc import Sequence

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
    stop_signals = hear_stop_signals()
    for child in children:
        child.start()
    run_until_stopped(stop_signals, parent_pid=parent_pid)
    for child in children:
        child.ask_to_stop()
    deadline = time.monotonic() + timeout_s
    for child in children:
        child.stop(timeout_s=max(0.0, deadline - time.monotonic()))


def hear_stop_signals() -> queue.SimpleQueue[int]:
    """Take SIGTERM, Ctrl-C and the end of the terminal from now on.

    Called before anything is started: what comes while it starts would otherwise end this process alone.

    Returns
    -------
    queue.SimpleQueue of int
        The signals that came. Unlike an event, it may be filled by a signal that interrupts a wait for it.
    """
    heard: queue.SimpleQueue[int] = queue.SimpleQueue()
    names = ("SIGTERM", "SIGINT", "SIGHUP", "SIGBREAK")
    for number in (getattr(signal, name) for name in names if hasattr(signal, name)):
        if signal.getsignal(number) is not signal.SIG_IGN:  # SIGHUP is ignored after `nohup`
            signal.signal(number, lambda heard_number, _frame: heard.put(heard_number))
    return heard


def run_until_stopped(stop_signals: queue.SimpleQueue[int], *, parent_pid: int | None) -> None:
    """Wait for a signal to stop, or for the end of the parent.

    Parameters
    ----------
    stop_signals : queue.SimpleQueue of int
        From `hear_stop_signals`.
    parent_pid : int, optional
        The process without which this one must not go on.
    """
    while not is_orphaned(parent_pid):
        try:
            stop_signals.get(timeout=LOOK_S)
        except queue.Empty:
            continue
        return
    logger.warning("the parent is gone", extra={"action": "orphaned"})
