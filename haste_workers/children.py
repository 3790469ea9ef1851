"""A worker's view of one of its child processes."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from haste_core.messages import AttemptKey
from haste_runtime.endings import describe_ending
from haste_workers.attempts import Attempt
from haste_workers.descendants import kill_descendants
from haste_workers.measured import AdoptedProcess, MeasuredProcess, memory_text
from haste_workers.process_traits import take_one_core
from haste_workers.records import Kind, Record, pack, unpack
from haste_workers.settings import WorkerSettings
from haste_workers.template import Template

# Fork would copy the transport's threads and locks in whatever state they are.
_spawning = get_context("spawn")
_EXIT_WAIT_S = 2.0


@dataclass(frozen=True)
class ChildPlan:
    """How children are made.

    Attributes
    ----------
    handlers : mapping
        ``module:function`` by task key.
    scratch : Path
        Each child gets a folder in it for temporary files.
    template : Template, optional
        What they are forked from; without it, or when it is gone, each is a program of its own.
    """

    settings: WorkerSettings
    handlers: Mapping[str, str]
    worker_id: str
    scratch: Path
    template: Template | None = None

    def spawn(self, number: int) -> Child:
        """Start a child process; it takes tasks once it has said that it is ready."""
        return self._forked(number) or self._made_afresh(number)

    def _forked(self, number: int) -> Child | None:
        if self.template is None:
            return None
        ours, theirs = _spawning.Pipe(duplex=True)
        # Else the end of the child would not be seen: this process would keep its end open.
        with theirs:
            process = self.template.fork(theirs, self._scratch_of(number))
        if process is None:
            ours.close()
            return None
        return self._child(process, ours, number)

    def _made_afresh(self, number: int) -> Child:
        ours, theirs = _spawning.Pipe(duplex=True)
        process = MeasuredProcess(
            target=_run_child,
            args=(theirs, self.settings, self.handlers, self.worker_id, self._scratch_of(number)),
            name=f"haste-worker-child-{number}",
        )
        with theirs:
            process.start()
        return self._child(process, ours, number)

    def _child(self, process: AdoptedProcess | MeasuredProcess, connection: Connection, number: int) -> Child:
        limit_bytes = self.settings.task_memory_bytes
        return Child(process, connection, self._scratch_of(number), memory_limit_bytes=limit_bytes)

    def _scratch_of(self, number: int) -> Path:
        return self.scratch / f"child-{number}"


def _run_child(*told: Any) -> None:
    take_one_core()
    # What handlers work with, such as numpy, is large: only the children load it.
    from haste_workers.child import run_child

    run_child(*told)


class TasksAhead:
    """The tasks that a child has and has not begun, in their order.

    Attributes
    ----------
    size_bytes : int
        Of their messages.
    keys : Counter of str
        How many there are of each task key.
    """

    def __init__(self) -> None:
        self._attempts: dict[AttemptKey, Attempt] = {}
        self.size_bytes = 0
        self.keys: Counter[str] = Counter()

    def add(self, attempt: Attempt) -> None:
        """Add one behind the others."""
        self._attempts[attempt.key] = attempt
        self._count(attempt, 1)

    def take(self, key: AttemptKey) -> Attempt | None:
        """Take one out; None if it is not there."""
        attempt = self._attempts.pop(key, None)
        if attempt is not None:
            self._count(attempt, -1)
        return attempt

    def _count(self, attempt: Attempt, sign: int) -> None:
        self.size_bytes += sign * len(attempt.body)
        self.keys[attempt.message.task_key] += sign

    def __len__(self) -> int:
        return len(self._attempts)

    def __iter__(self) -> Iterator[Attempt]:
        return iter(self._attempts.values())


class Child:
    """One child process: what it was given, what it runs, and for how long.

    Parameters
    ----------
    process : AdoptedProcess or MeasuredProcess
        Started.
    connection : Connection
    scratch : Path
        Its temporary folder.
    memory_limit_bytes : int, optional
        What it may take.
    """

    def __init__(
        self,
        process: AdoptedProcess | MeasuredProcess,
        connection: Connection,
        scratch: Path,
        *,
        memory_limit_bytes: int | None = None,
    ) -> None:
        self._process = process
        self._memory_limit_bytes = memory_limit_bytes
        self.connection = connection
        self._scratch = scratch
        self.ready = False
        self.unusable: str | None = None
        self.recalled = False
        self.running: Attempt | None = None
        self.ahead = TasksAhead()
        self._running_since = 0.0
        self._stopped: Attempt | None = None
        self._stopped_why = ""

    @property
    def pid(self) -> int | None:
        """The process's number."""
        return self._process.pid

    @property
    def idle(self) -> bool:
        """True if it waits for a task."""
        return self.ready and self.running is None and not self.ahead and self._stopped is None

    @property
    def was_killed_here(self) -> bool:
        """True if it was killed to stop its task."""
        return self._stopped is not None

    @property
    def deadline(self) -> float | None:
        """When the running task has used up its time, by `time.monotonic`."""
        if self.running is None or self._stopped is not None:
            return None
        return self._running_since + self.running.timeout_s

    @property
    def running_s(self) -> float:
        """How long the running task has been running."""
        return time.monotonic() - self._running_since if self.running is not None else 0.0

    def book(self, attempt: Attempt) -> Attempt:
        """Reserve a place for a task that `give` is about to send."""
        self.ahead.add(attempt)
        return attempt

    def give(self, attempts: Sequence[Attempt]) -> None:
        """Send booked tasks, to be run in this order. If the child is gone, its connection tells so soon."""
        self._send([Record(Kind.TASK, attempt.body) for attempt in attempts])

    def recall(self) -> None:
        """Ask for the tasks that are not started; it answers with a RETURNED record."""
        self.recalled = True
        self._send([Record(Kind.RECALL)])

    def records(self) -> Iterator[Record]:
        """Read what the child has said.

        Raises
        ------
        EOFError
            After the last record of a child that is gone.
        """
        try:
            while self.connection.poll():
                yield from unpack(self.connection.recv_bytes())
        except OSError as error:
            raise EOFError from error

    def started(self, key: AttemptKey) -> Attempt | None:
        """Note that a task has begun to run."""
        attempt = self.ahead.take(key)
        if attempt is not None:
            self.running = attempt
            self._running_since = time.monotonic()
        return attempt

    def progressed(self, task_id: int, attempt: int, fraction: float | None, note: str) -> None:
        """Note how far the running task is."""
        if self.running is not None and self.running.key == (task_id, attempt):
            self.running.fraction, self.running.note = fraction, note

    def ended(self, key: AttemptKey) -> Attempt | None:
        """Note that a task has ended."""
        if self.running is None or self.running.key != key:
            return None
        ended, self.running = self.running, None
        return ended

    def returned(self, keys: Sequence[AttemptKey]) -> list[Attempt]:
        """Note what the child gave back."""
        self.recalled = False
        taken = [self.ahead.take(key) for key in keys]
        return [attempt for attempt in taken if attempt is not None]

    def stop_at_limit(self) -> None:
        """Kill the process, since its task has reached its time limit."""
        if self.running is not None:
            self.stop(f"stopped at its time limit of {self.running.timeout_s:g} s")

    def stop(self, why: str) -> None:
        """Kill the process to stop its running task."""
        self._stopped, self._stopped_why = self.running, why
        self.kill()

    def killed_for(self, attempt: Attempt) -> str | None:
        """Say why the process was killed, if it was for this task."""
        if self._stopped is None or self._stopped.key != attempt.key:
            return None
        return self._stopped_why

    def quit(self) -> None:
        """Let the process end after what it has."""
        self._send([Record(Kind.QUIT)])

    def kill(self) -> None:
        """Kill the process and all programs that its handlers have started."""
        if hasattr(signal, "SIGSTOP") and self._process.exitcode is None and self._process.pid is not None:
            os.kill(self._process.pid, signal.SIGSTOP)  # that it starts no more of them
            kill_descendants(self._process.pid)
        if hasattr(os, "killpg") and self._process.pid is not None:
            # EPERM: macOS says so of a group whose processes are all dead.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()

    def bury(self) -> str:
        """Wait for the end, remove what the process left, and tell how it ended and how large it was."""
        self._process.join(_EXIT_WAIT_S)
        self.kill()
        self._process.join()
        self.connection.close()
        shutil.rmtree(self._scratch, ignore_errors=True)
        how = describe_ending(self._process.exitcode or 0)
        memory = memory_text(self._process.peak_bytes, limit_bytes=self._memory_limit_bytes)
        self._process.close()
        return f"{how}{memory and '; '}{memory}"

    def has_exited(self) -> bool:
        """Tell whether the process is gone."""
        return self._process.exitcode is not None

    def _send(self, records: Sequence[Record]) -> None:
        with contextlib.suppress(OSError):
            self.connection.send_bytes(pack(records))
