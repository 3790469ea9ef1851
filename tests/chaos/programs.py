"""Programs that are started again when they die, as systemd would do it."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from tests.e2e.server_process import PROC, command_of, start_program

RESTART_S = 0.5
STOP_S = 60.0
FAREWELL_S = 5.0  # an orphan may take a moment to notice
_MARK = "CHAOS_LIFE"


class Program:
    """A program with all its processes, kept running until it is stopped.

    Parameters
    ----------
    command : sequence of str
    log : Path
        Where its log goes.
    environment : dict of str
        Its settings.

    Attributes
    ----------
    lives : int
        How often it has been started.
    """

    def __init__(self, command: Sequence[str], log: Path, environment: dict[str, str]) -> None:
        self.command = list(command)
        self.log = log
        self.environment = environment
        self.lives = 0
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._process = self._start()
        self._keeper = threading.Thread(target=self._keep)
        self._keeper.start()

    @property
    def pid(self) -> int:
        """The process that was started."""
        return self._process.pid

    def pids(self, *words: str) -> list[int]:
        """List the processes of its present life whose command line holds the words."""
        return _pids(self._mark(self.lives), *words)

    def kill(self) -> None:
        """Kill all its processes at once, as a power cut would; it is started again."""
        with self._lock:
            for pid in self.pids():
                kill(pid)

    def kill_for_good(self) -> None:
        """Kill all its processes; it stays away."""
        self._stopping.set()
        self._keeper.join()
        while left := _pids(self._mark()):
            for pid in left:
                kill(pid)
        self._process.wait()

    def stop(self) -> list[str]:
        """Let it end in good order, and tell what was not in order."""
        self._stopping.set()
        self._keeper.join()
        self._process.terminate()
        try:
            code = self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            code = None
        left = self._left()
        self.kill_for_good()
        faults = [] if code == 0 else [f"{self.log.name}: exit code {code} when stopped"]
        return faults + [
            f"{self.log.name} left process {pid} behind: {what[:150]}" for pid, what in left.items()
        ]

    def _left(self) -> dict[int, str]:
        deadline = time.monotonic() + FAREWELL_S
        while True:
            left = {pid: command_of(pid) for pid in _pids(self._mark())}
            if not left or time.monotonic() > deadline:
                return left
            time.sleep(0.1)

    def _start(self) -> subprocess.Popen[str]:
        self.lives += 1
        mark = {_MARK: f"{self.log} {self.lives} "}
        return start_program(self.command, self.log, self.environment | mark)

    def _mark(self, life: int | None = None) -> bytes:
        return f"{_MARK}={self.log} ".encode() + (b"" if life is None else f"{life} ".encode())

    def _keep(self) -> None:
        while not self._stopping.wait(0.1):
            if self._process.poll() is not None and not self._stopping.wait(RESTART_S):
                with self._lock:
                    self._process = self._start()


def _pids(mark: bytes, *words: str) -> list[int]:
    """Find processes by what they have inherited, since they may have left session and parent."""
    found = []
    for folder in PROC.glob("[0-9]*"):
        try:
            ours = b"\0" + mark in b"\0" + (folder / "environ").read_bytes()
        except OSError:
            continue  # it has just ended, or is somebody else's
        pid = int(folder.name)
        if ours and (command := command_of(pid)) and all(word in command for word in words):
            found.append(pid)
    return sorted(found)


def kill(pid: int) -> None:
    """Kill a process, if it still lives."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
