"""A process that has loaded what handlers need, and from which the worker's children are forked.

A child that loads numpy and the readers of images itself takes about a second of computing time to start; the
fork of a process that has loaded them takes some hundredths, and shares its memory. See
docs/decisions/0150-children-are-forked-from-a-template.md.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import structlog

from haste_workers.handlers.registry import BUILT_IN, HandlerUnusableError, load_handler
from haste_workers.measured import AdoptedProcess
from haste_workers.process_traits import name_process, take_one_core
from haste_workers.settings import WorkerSettings

_log = structlog.get_logger(__name__)

_ANSWER_S = 60.0  # it loads libraries first, perhaps from a slow disk
_PATH_BYTES = 8192
_PID_BYTES = 32


class Template:
    """The worker's view of it.

    Parameters
    ----------
    link : socket
        To the template; each message is a request or its answer.
    pid : int
    """

    def __init__(self, link: socket.socket, pid: int) -> None:
        self._link = link
        self._pid: int | None = pid
        link.settimeout(_ANSWER_S)

    def fork(self, connection: Connection, scratch: Path) -> AdoptedProcess | None:
        """Have a child made that is a child of this process.

        Parameters
        ----------
        connection : Connection
            The child's end; this process keeps its copy.
        scratch : Path
            The child's folder for temporary files.

        Returns
        -------
        AdoptedProcess, optional
            None if the template is gone.
        """
        if self._pid is None:
            return None
        try:
            socket.send_fds(self._link, [os.fsencode(scratch)], [connection.fileno()])
            answer = self._link.recv(_PID_BYTES)
        except OSError:
            answer = b""
        if not answer:
            _log.warning("the template is gone; children start without it", action="template-gone")
            self.end()
            return None
        return AdoptedProcess(int(answer))

    def end(self) -> None:
        """End the template; its children live on."""
        self._link.close()
        if self._pid is not None:
            os.kill(self._pid, signal.SIGKILL)  # it holds nothing
            os.waitpid(self._pid, 0)
            self._pid = None


@contextmanager
def started_template(
    settings: WorkerSettings, handlers: Mapping[str, str], worker_id: str
) -> Iterator[Template | None]:
    """Have a template as long as the block runs; None where there is none: elsewhere than on Linux.

    To be called while this process has one thread and has opened nothing, and after `adopt_orphans`: the
    template and all children come back from here and go on as copies of it, to their end by SystemExit.

    Parameters
    ----------
    settings : WorkerSettings
    handlers : mapping
        ``module:function`` by task key.
    worker_id : str
    """
    if sys.platform != "linux":  # macOS' own libraries do not bear it
        yield None
        return
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        ours.close()
        _live(theirs, settings, handlers, worker_id)
        raise SystemExit
    theirs.close()
    template = Template(ours, pid)
    try:
        yield template
    finally:
        template.end()


def _live(link: socket.socket, settings: WorkerSettings, handlers: Mapping[str, str], worker_id: str) -> None:
    """Be the template until the worker is gone, or one of the children until its end."""
    _stand_by()
    from haste_workers.child import run_child  # with numpy, which only templates and children load

    _load_built_in(handlers)
    if len(list(Path("/proc/self/task").iterdir())) > 1:
        _log.warning("a library has started threads, which cannot be forked", action="template-unusable")
        return
    # A search for garbage would write to what the children share, and at each end again.
    gc.collect()
    gc.freeze()
    while (request := _next_request(link)) is not None:
        connection, scratch = request
        pid = _fork_for_the_worker()
        if pid is None:
            link.close()
            _draw_other_random_numbers()
            run_child(connection, settings, handlers, worker_id, scratch)
            return
        connection.close()
        link.send(str(pid).encode())


def _stand_by() -> None:
    """Leave signals to the worker, and let go of what only the worker may hold open."""
    name_process("haste-template")
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    # These may be the pipe to the server, which must see its end when the worker is killed.
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    os.close(nothing)
    take_one_core()


def _load_built_in(handlers: Mapping[str, str]) -> None:
    """Load our own handlers; what users' modules open and start as they are loaded is each child's own."""
    for reference in set(handlers.values()) & set(BUILT_IN.values()):
        with contextlib.suppress(HandlerUnusableError):  # a child says so
            load_handler(reference)


def _next_request(link: socket.socket) -> tuple[Connection, Path] | None:
    path, descriptors, _, _ = socket.recv_fds(link, _PATH_BYTES, 1)
    if not path:
        return None
    return Connection(descriptors[0]), Path(os.fsdecode(path))


def _fork_for_the_worker() -> int | None:
    """Fork a grandchild whose parent ends at once, so that it becomes a child of the worker.

    The worker waits for its children itself: it sees at once how one ends, and is told its memory.

    Returns
    -------
    int, optional
        Its number; None in the grandchild.
    """
    reader, writer = os.pipe()
    between = os.fork()
    if between == 0:
        try:
            pid = os.fork()
            if pid != 0:
                os.write(writer, str(pid).encode())
        except OSError:  # the template hears nothing
            os._exit(1)
        if pid != 0:
            os._exit(0)
        os.close(reader)
        os.close(writer)
        return None
    os.close(writer)
    os.waitpid(between, 0)
    with os.fdopen(reader, "rb") as said:
        return int(said.read())


def _draw_other_random_numbers() -> None:
    """Let no child draw the numbers of another; Python's own generator sees to that itself."""
    if "numpy.random" in sys.modules:
        sys.modules["numpy.random"].seed()
