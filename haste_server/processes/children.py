"""Child processes that are started again when they die."""

from __future__ import annotations

import logging
import os
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

logger = logging.getLogger(__name__)

SHORTEST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 30.0
STEADY_S = 60.0  # a process that ran for this long died of something new


@dataclass
class RestartPause:
    """How long to wait before a process that died is started again: longer each time it dies young."""

    _pause_s: float = 0.0

    def pause_s(self, lived_s: float) -> float:
        """Tell the pause after a life of so many seconds; there is none after the first death."""
        pause_s = 0.0 if lived_s >= STEADY_S else self._pause_s
        self._pause_s = min(max(2 * pause_s, SHORTEST_PAUSE_S), LONGEST_PAUSE_S)
        return pause_s


@dataclass
class ChildProcess:
    """A program that runs beside this process until it is stopped, again and again if it dies.

    Attributes
    ----------
    name : str
        For logs.
    command : sequence of str
    environment : mapping of str
    with_pipes : bool
        Give it pipes for standard input and output.
    on_start : callable
        Called with each new process.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    with_pipes: bool = False
    on_start: Callable[[subprocess.Popen[bytes]], None] = lambda _: None
    _stopping: threading.Event = field(default_factory=threading.Event, init=False)
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    _watching: threading.Thread | None = field(default=None, init=False)

    def start(self) -> None:
        """Start the program, and watch it."""
        process = self._spawn()
        self._watching = threading.Thread(
            target=self._watch, args=(process,), name=f"watch {self.name}", daemon=True
        )
        self._watching.start()

    def ask_to_stop(self) -> None:
        """Let the program end in its own time; it is not started again."""
        self._stopping.set()
        process = self._process
        if process is not None and process.poll() is None:
            process.terminate()  # on Windows this does not ask: what it was doing will be done again

    def stop(self, *, timeout_s: float) -> None:
        """Let the program end, and end it if it takes longer than that."""
        self.ask_to_stop()
        if self._process is None or self._watching is None:
            return
        self._watching.join(timeout_s)
        if self._watching.is_alive():
            logger.warning(
                "a process did not end in time", extra={"action": "child_killed", "child": self.name}
            )
            self._process.kill()
            self._watching.join()

    def _spawn(self) -> subprocess.Popen[bytes]:
        pipe = subprocess.PIPE if self.with_pipes else None
        own_group: dict[str, Any] = (
            {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}  # type: ignore[attr-defined]
            if os.name == "nt"
            else {"process_group": 0}
        )
        # In a group of its own, a Ctrl-C at the terminal reaches it through us only, in good order.
        self._process = process = subprocess.Popen(  # noqa: S603 - only this server's own programs
            self.command, stdin=pipe, stdout=pipe, env=dict(self.environment), bufsize=0, **own_group
        )
        logger.info(
            "a process started",
            extra={"action": "child_started", "child": self.name, "child_pid": process.pid},
        )
        self.on_start(process)
        return process

    def _watch(self, process: subprocess.Popen[bytes]) -> None:
        restart_pause = RestartPause()
        while True:
            started_at = time.monotonic()
            code = process.wait()
            if self._stopping.is_set():
                return
            pause_s = restart_pause.pause_s(time.monotonic() - started_at)
            logger.warning(
                "a process died and is started again",
                extra={"action": "child_died", "child": self.name, "exit_code": code, "pause_s": pause_s},
            )
            while True:
                if self._stopping.wait(pause_s):
                    return
                try:
                    process = self._spawn()
                    break
                except OSError as error:  # no memory for a moment, or the program is being replaced
                    pause_s = restart_pause.pause_s(0.0)
                    logger.warning(
                        "a process cannot be started: %s",
                        error,
                        extra={"action": "child_failed", "child": self.name, "pause_s": pause_s},
                    )
