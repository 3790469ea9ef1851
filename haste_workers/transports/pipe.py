"""The transport of a worker that is the server's child process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import BinaryIO, cast

import structlog

from haste_core.errors import InvalidError
from haste_core.messages import AttemptKey, Presence, Revocation, TaskMessage, TaskResult
from haste_core.ports import TaskDelivery
from haste_core.routing import Route
from haste_runtime import batches
from haste_runtime.frames import FrameError, FrameReader, FrameSender
from haste_runtime.pipe import (
    Hello,
    PipeFrame,
    PresenceFrame,
    ResultFrame,
    RevocationFrame,
    TaskFrame,
    UnreadableFrame,
    parse_frame,
)

log = structlog.get_logger(__name__)


class PipeTransport:
    """A `haste_core.ports.WorkerTransport` through a pair of pipes.

    What is written to the pipe counts as confirmed: it is lost only if the server's process dies, and then
    the server hands the task out again.

    Parameters
    ----------
    reader, writer : binary file
        From and to the server, blocking. `reader` should be raw (``buffering=0``), see
        `haste_runtime.frames.FrameReader`. Closed by the transport.
    on_closed : callable
        Called once, from the transport's thread, when the server is gone: the worker has nobody left to work
        for. Not called after `stop`.
    """

    def __init__(self, reader: BinaryIO, writer: BinaryIO, *, on_closed: Callable[[], None]) -> None:
        self._reader = reader
        self._sender = FrameSender(writer, name="to server")
        self._on_closed = on_closed
        self._stopping = threading.Event()
        self._listening: threading.Thread | None = None

    def start(
        self,
        routes: Sequence[Route],
        *,
        prefetch: int,
        on_task: Callable[[TaskDelivery], None],
        on_revoked: Callable[[Sequence[AttemptKey]], None],
    ) -> None:
        """Say hello to the server, and take the tasks that it sends."""
        self._listening = threading.Thread(
            target=self._listen, args=(on_task, on_revoked), name="from server", daemon=True
        )
        self._sender.send([Hello(tuple(routes), prefetch).encode()])
        self._sender.start()
        self._listening.start()

    def report(self, result: TaskResult, delivery: TaskDelivery) -> None:
        """Send a result, which also frees the task's place."""
        self._sender.send([ResultFrame(cast(int, delivery.token), result.encode()).encode()])

    def announce(self, presence: Presence) -> None:
        """Send a heartbeat."""
        self._sender.send([PresenceFrame(presence.encode()).encode()])

    def stop(self, *, timeout_s: float) -> None:
        """Send what waits and close the pipe; the server hands out again what was not reported."""
        if self._listening is None:
            return
        self._stopping.set()
        self._sender.close()
        self._sender.join(timeout_s)
        self._listening.join(timeout_s)

    def _listen(
        self,
        on_task: Callable[[TaskDelivery], None],
        on_revoked: Callable[[Sequence[AttemptKey]], None],
    ) -> None:
        reader = FrameReader(self._reader)
        try:
            while frames := reader.read():
                for frame in map(parse_frame, frames):
                    if isinstance(frame, RevocationFrame):
                        on_revoked(Revocation.decode(frame.body).attempts)
                    else:
                        self._take(frame, on_task)
        except (OSError, FrameError, InvalidError) as error:
            log.warning("the pipe to the server broke", action="pipe_broken", why=str(error))
        finally:
            with suppress(OSError):
                self._reader.close()
            if not self._stopping.is_set():
                self._sender.close()
                self._on_closed()

    def _take(self, frame: PipeFrame, on_task: Callable[[TaskDelivery], None]) -> None:
        if not isinstance(frame, TaskFrame):
            raise FrameError(f"the server sent a {type(frame).__name__}, not a task")
        if self._stopping.is_set():
            return  # it is not ours any more: the server takes it back when the pipe closes
        for body in batches.split(frame.body):
            try:
                message = TaskMessage.decode(body)
            except InvalidError as error:
                log.warning("a task cannot be read", action="task_unreadable", why=str(error))
                self._sender.send([UnreadableFrame(frame.tag).encode()])
            else:
                on_task(TaskDelivery(message, frame.redelivered, frame.tag))
