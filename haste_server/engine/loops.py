"""Threads that go on when the database or the broker does not."""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog

from haste_core.errors import TransientError

log = structlog.get_logger(__name__)

PAUSE_AFTER_TROUBLE_S = 0.5


class Loop:
    """A thread that runs one step again and again until it is stopped.

    A step that raises is logged and tried again after a pause: an outage ends, and even a fault of ours in
    one step must not end the engine.

    Parameters
    ----------
    name : str
        Of the thread, in logs.
    step : callable
        Waits for its work by itself, at most about a second.
    """

    def __init__(self, name: str, step: Callable[[], None]) -> None:
        self._step = step
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self.trouble = ""

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Ask the thread to end after its present step."""
        self._stopping.set()

    def join(self, timeout_s: float) -> None:
        """Wait for its end."""
        self._thread.join(timeout_s)

    @property
    def stopping(self) -> bool:
        """True once it was asked to end."""
        return self._stopping.is_set()

    def _run(self) -> None:
        while not self.stopping:
            try:
                self._step()
                self.trouble = ""
            except TransientError as error:
                self._note(str(error), log.warning)
            except Exception as error:
                self._note(f"{type(error).__name__}: {error}", log.exception)

    def _note(self, trouble: str, write: Callable[..., object]) -> None:
        if trouble != self.trouble:  # an outage is told once, not twice a second
            write("engine in trouble", action="engine_trouble", thread=self._thread.name, trouble=trouble)
        self.trouble = trouble
        self._stopping.wait(PAUSE_AFTER_TROUBLE_S)
