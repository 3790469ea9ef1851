"""The child process of a worker: runs handlers, one task at a time, as long as its parent lives.

The main thread runs the tasks. A second thread reads from the parent, so that unstarted tasks can be recalled
while a handler runs, and so that the child ends at once when its parent has died.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import queue
import signal
import sys
import threading
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path

from haste_core.messages import TaskMessage
from haste_runtime.logs import configure_logging
from haste_workers.context import ProgressListener
from haste_workers.descendants import adopt_orphans, kill_descendants
from haste_workers.execution import Executor
from haste_workers.handlers.registry import HandlerUnusableError, load_handler
from haste_workers.process_traits import name_process
from haste_workers.records import Kind, Record, pack, unpack
from haste_workers.settings import WorkerSettings

_KEPT_BYTES = 128 * 2**20
_LARGEST_KEPT_BYTES = 32 * 2**20  # of one array; glibc allows no more
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # in glibc's malloc.h


def run_child(
    connection: Connection,
    settings: WorkerSettings,
    handlers: Mapping[str, str],
    worker_id: str,
    scratch: Path,
) -> None:
    """Be a child process until the parent says so or is gone.

    Parameters
    ----------
    connection : Connection
        To the parent, both ways.
    settings : WorkerSettings
    handlers : mapping
        ``module:function`` by task key.
    worker_id : str
    scratch : Path
        For temporary folders.
    """
    _stand_apart()
    configure_logging(settings.log_level)
    link = ParentLink(connection)
    link.start()
    try:
        loaded = {key: load_handler(reference) for key, reference in handlers.items()}
    except HandlerUnusableError as error:
        link.send(Record.of(Kind.UNUSABLE, str(error)))
        return
    _keep_freed_memory()
    # After the imports: what libraries need once does not depend on the task.
    _limit_memory(settings.task_memory_bytes)
    link.send(Record(Kind.READY))
    executor = Executor(loaded, settings=settings, worker_id=worker_id, scratch=scratch)
    _run_tasks(link, executor)


class ParentLink:
    """The child's end of the connection to its parent.

    Parameters
    ----------
    connection : Connection
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._sending = threading.Lock()
        self._unsent: list[Record] = []
        self._waiting: queue.SimpleQueue[TaskMessage | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, name="parent-reader", daemon=True)

    def start(self) -> None:
        """Listen to the parent from now on."""
        self._reader.start()

    def send_soon(self, record: Record) -> None:
        """Tell the parent something with what is sent next, or before this process waits."""
        with self._sending:
            self._unsent.append(record)

    def send(self, *records: Record) -> None:
        """Tell the parent something now; ends the process if the parent is gone."""
        with self._sending:
            self._unsent.extend(records)
            if not self._unsent:
                return
            try:
                self._connection.send_bytes(pack(self._unsent))
            except OSError:
                _die_with_parent()
            self._unsent.clear()

    def next_task(self) -> TaskMessage | None:
        """Wait for a task; None means that the child shall end."""
        try:
            return self._waiting.get_nowait()
        except queue.Empty:
            self.send()
            return self._waiting.get()

    def _read(self) -> None:
        try:
            while True:
                for record in unpack(self._connection.recv_bytes()):
                    self._take(record)
        except (EOFError, OSError):
            _die_with_parent()
        except BaseException:
            # Out of memory, for example. A child that does not hear is of no use; its parent replaces it.
            os._exit(1)

    def _take(self, record: Record) -> None:
        if record.kind is Kind.TASK:
            self._waiting.put(TaskMessage.model_validate_json(record.body))
        elif record.kind is Kind.RECALL:
            self.send(Record.of(Kind.RETURNED, self._unstarted()))
        elif record.kind is Kind.QUIT:
            self._waiting.put(None)

    def _unstarted(self) -> list[tuple[int, int]]:
        unstarted = []
        with contextlib.suppress(queue.Empty):
            while (message := self._waiting.get_nowait()) is not None:
                unstarted.append((message.task_id, message.attempt))
            self._waiting.put(None)
        return unstarted


def _run_tasks(link: ParentLink, executor: Executor) -> None:
    while not executor.worn_out and (message := link.next_task()) is not None:
        # On its way before the handler runs: if that kills this process, the parent knows which one did.
        link.send(Record.of(Kind.STARTED, (message.task_id, message.attempt)))
        result = executor.run(message, on_progress=_progress_teller(link, message))
        link.send_soon(Record(Kind.ENDED, result.encode()))
    link.send()


def _progress_teller(link: ParentLink, message: TaskMessage) -> ProgressListener:
    def tell(fraction: float | None, note: str) -> None:
        link.send(Record.of(Kind.PROGRESS, (message.task_id, message.attempt, fraction, note)))

    return tell


def _stand_apart() -> None:
    """Separate the child from the terminal and from standard output."""
    name_process("haste-child")
    # Standard output may be the pipe to the server; what handlers print belongs to the log.
    os.dup2(2, 1)
    if hasattr(os, "setsid"):
        os.setsid()  # programs that handlers start can be stopped as a group; Ctrl-C does not reach it
    adopt_orphans()
    # The parent decides when to end. Not SIG_IGN, which programs started by handlers would inherit.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    with contextlib.suppress(OSError):  # no such file outside Linux
        # If memory runs out, the task that took it dies, not the worker that reports it.
        Path("/proc/self/oom_score_adj").write_text("500")


def _keep_freed_memory() -> None:
    """Let the arrays of an image take the memory of the one before.

    Otherwise glibc gives back the memory of each array as it is freed, and the system clears that of the next
    one page by page: a third of the time of scoring an image.
    """
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        with contextlib.suppress(AttributeError):  # another library than glibc
            libc.mallopt(_M_MMAP_THRESHOLD, _LARGEST_KEPT_BYTES)
            libc.mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)


def _limit_memory(limit_bytes: int | None) -> None:
    if limit_bytes is None or sys.platform != "linux":
        return
    import resource  # POSIX only

    # DATA and not AS: Java and GPU libraries reserve far more addresses than they use.
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    allowed = limit_bytes if hard == resource.RLIM_INFINITY else min(limit_bytes, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (allowed, allowed))


def _die_with_parent() -> None:
    """End this process and all that its handlers have started; nobody is left to take a result."""
    try:
        kill_descendants(os.getpid())
    finally:  # even if memory is short
        if hasattr(os, "killpg") and os.getpgrp() == os.getpid():
            os.killpg(os.getpid(), signal.SIGKILL)
        os._exit(1)
