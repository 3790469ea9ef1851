"""Ending in order when the program is told to end, however that is said.

A signal never interrupts anything in its middle: an exception that is raised wherever the program just is can
leave a library's lock taken, and whoever closes that library's session then waits for ever.
"""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TypeVar

from haste_runtime.exit_codes import ExitCode

GRACE_S = 1.0
"""How long what is being done may take to come to a good place; nobody likes to wait after Ctrl-C."""

# `make` and `timeout` hand a signal on that has reached us already; a person needs longer to press again.
_SAME_SIGNAL_S = 0.5

_LOOK_S = 0.5  # on Windows, a wait without end hears no Ctrl-C

_SHOW_CURSOR = b"\x1b[?25h"

Outcome = TypeVar("Outcome")


class Interruption:
    """Whether somebody has told the program to end; made by `interruptible`.

    Attributes
    ----------
    heard : threading.Event
        Set while `run` works, once somebody has.
    """

    def __init__(self) -> None:
        self.heard = threading.Event()
        self._told_at_s: float | None = None
        # Unlike an event, this may be filled by a signal handler that has interrupted a wait for it.
        self._news: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._hung: threading.Thread | None = None

    def check(self) -> None:
        """Raise KeyboardInterrupt, here and nowhere else, if the program shall end."""
        if self._told_at_s is not None:
            raise KeyboardInterrupt

    def pause(self, seconds: float) -> None:
        """Wait inside `run`; raise KeyboardInterrupt as soon as the program shall end."""
        self.heard.wait(seconds)
        self.check()

    def run(self, work: Callable[[], Outcome], *, grace_s: float = GRACE_S) -> Outcome:
        """Do something that may hang in a network call, and give it up if it does so when told to end.

        Parameters
        ----------
        work : callable
            Runs in a thread of its own, and looks at `heard`, `check` or `pause` where it may end.
        grace_s : float
            How long it may go on when the program was told to end.

        Returns
        -------
        object
            What `work` returns; also if that was after the program was told to end.

        Raises
        ------
        KeyboardInterrupt
            If it was given up. The program's end is then the end of its thread.
        """
        self.check()
        outcome: Future[Outcome] = Future()

        def do() -> None:
            try:
                outcome.set_result(work())
            except BaseException as error:  # whatever it is, it is raised by the thread that asked
                outcome.set_exception(error)
            self._news.put(None)

        thread = threading.Thread(target=do, name="work", daemon=True)
        thread.start()
        while self._told_at_s is None and not outcome.done():
            with suppress(queue.Empty):
                self._news.get(timeout=_LOOK_S)
        if not outcome.done():
            self.heard.set()
            wait([outcome], grace_s)
        if not outcome.done():
            self._hung = thread
            raise KeyboardInterrupt
        return outcome.result()

    def hear(self, _number: int, _frame: FrameType | None) -> None:
        """Take a signal; the second one ends the program at once."""
        if self._told_at_s is None:
            self._told_at_s = time.monotonic()
            self._news.put(None)
        elif time.monotonic() - self._told_at_s > _SAME_SIGNAL_S:
            _end_at_once()

    def end_if_hung(self) -> None:
        """End the program without waiting for what was given up: it may hold what an orderly end needs."""
        if self._hung is not None and self._hung.is_alive():
            _end_at_once()


@contextmanager
def interruptible() -> Iterator[Interruption]:
    """Listen to SIGINT, SIGTERM and SIGHUP while the block runs; what is ignored (nohup) stays ignored."""
    interruption = Interruption()
    names = [name for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    numbers = [getattr(signal, name) for name in names]  # Windows has no SIGHUP
    before = {number: signal.getsignal(number) for number in numbers}
    listened = [number for number in numbers if before[number] is not signal.SIG_IGN]
    for number in listened:
        signal.signal(number, interruption.hear)
    try:
        yield interruption
    finally:
        interruption.end_if_hung()
        for number in listened:
            signal.signal(number, before[number])


def _end_at_once() -> None:
    if os.name != "nt" and sys.stderr.isatty():
        os.write(sys.stderr.fileno(), _SHOW_CURSOR)  # a progress bar may have hidden it
    os._exit(ExitCode.INTERRUPTED)
