"""Processes whose largest use of memory is known when they have ended."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

_MIB, _GIB = 2**20, 2**30
_LOOK_S = 0.002


def _in_bytes(maxrss: int) -> int:
    return maxrss if sys.platform == "darwin" else 1024 * maxrss


if sys.platform != "win32":
    from multiprocessing.popen_spawn_posix import Popen

    class _MeasuringPopen(Popen):
        """Waits as `Popen` does, but keeps the usage that the system tells."""

        peak_bytes: int | None = None

        def poll(self, flag: int = os.WNOHANG) -> int | None:
            if self.returncode is None:
                try:
                    pid, status, usage = os.wait4(self.pid, flag)
                except OSError:  # as in `Popen`: somebody else has waited for it
                    return None
                if pid == self.pid:
                    self.returncode = os.waitstatus_to_exitcode(status)
                    self.peak_bytes = _in_bytes(usage.ru_maxrss)
            return self.returncode


class AdoptedProcess:
    """A process that was made by another and has become a child of this one; used as `MeasuredProcess` is.

    Parameters
    ----------
    pid : int

    Attributes
    ----------
    peak_bytes : int, optional
        The most memory that it, or a program that it started, had at a time; None while it runs. At least
        what the process had that it is a fork of.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.peak_bytes: int | None = None
        self._exitcode: int | None = None

    @property
    def exitcode(self) -> int | None:
        """How it ended, as `multiprocessing` says it; None while it runs."""
        return self._wait(os.WNOHANG)

    def kill(self) -> None:
        """End it at once."""
        if self.exitcode is None:
            os.kill(self.pid, signal.SIGKILL)

    def join(self, timeout: float | None = None) -> None:
        """Wait for its end, at most so many seconds."""
        if timeout is None:
            self._wait(0)
            return
        give_up_at = time.monotonic() + timeout
        while self.exitcode is None and time.monotonic() < give_up_at:
            time.sleep(_LOOK_S)

    def close(self) -> None:
        """Hold nothing of it any more: there is only its number."""

    def _wait(self, flag: int) -> int | None:
        if self._exitcode is None:
            pid, status, usage = os.wait4(self.pid, flag)
            if pid == self.pid:
                self._exitcode = os.waitstatus_to_exitcode(status)
                self.peak_bytes = _in_bytes(usage.ru_maxrss)
        return self._exitcode


class MeasuredProcess(SpawnProcess):
    """A process of `multiprocessing` that is started afresh, not forked.

    `multiprocessing` throws away what the system tells of a process's use of memory at its end, and nothing
    else tells it: the entry in ``/proc`` of a process that has crashed is empty by then.
    """

    @property
    def peak_bytes(self) -> int | None:
        """The most memory that it, or a program that it started, had at a time.

        None while it runs, and where the system does not tell it. At least what this process had when it
        started the other one: Linux counts that in.
        """
        return getattr(self._popen, "peak_bytes", None)  # type: ignore[attr-defined]

    if sys.platform != "win32":

        @staticmethod
        def _Popen(process_obj: Any) -> Any:  # noqa: N802 - multiprocessing asks for it by this name
            return _MeasuringPopen(process_obj)


def memory_text(peak_bytes: int | None, *, limit_bytes: int | None) -> str:
    """Say how much memory a process had and how much it may have; empty if the first is not known."""
    if peak_bytes is None:
        return ""
    limit = "no limit" if limit_bytes is None else f"limit {size_text(limit_bytes)}, `task_memory_bytes`"
    return f"its memory peaked at {size_text(peak_bytes)} ({limit})"


def size_text(size_bytes: int) -> str:
    """Write a size for people."""
    return f"{size_bytes / _MIB:.0f} MiB" if size_bytes < _GIB / 2 else f"{size_bytes / _GIB:.1f} GiB"


def own_peak_bytes() -> int | None:
    """Tell the most memory that this process had at a time; None on Windows."""
    with contextlib.suppress(OSError, StopIteration):
        # Not getrusage, where Linux counts in what the process had that started this one.
        lines = Path("/proc/self/status").read_text().splitlines()
        return 1024 * int(next(line for line in lines if line.startswith("VmHWM:")).split()[1])
    if sys.platform == "win32":
        return None
    import resource  # POSIX only

    return _in_bytes(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
