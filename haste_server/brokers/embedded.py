"""The broker inside the server's own process, for workers that are its children and talk through pipes.

It needs no disk: the store knows every task, and what is lost here is handed out again.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import BinaryIO

import structlog

from haste_core.dead_letters import SHOWN_LETTERS, DeadLetter, DeadLetters, describe
from haste_core.errors import InvalidError
from haste_core.messages import AttemptKey, Outcome, Presence, Revocation, TaskMessage, TaskResult
from haste_core.ports import BrokerListener, ResultDelivery, UndeliveredTask
from haste_core.routing import RESULT_QUEUE
from haste_runtime.frames import FrameError, FrameReader, FrameSender
from haste_runtime.pipe import (
    Hello,
    PresenceFrame,
    ResultFrame,
    RevocationFrame,
    TaskFrame,
    UnreadableFrame,
    parse_frame,
)
from haste_server.brokers.messages import batches_by_route, encode_tasks, read_result
from haste_server.brokers.queues import Assignment, QueuedBatch, Taker, TaskQueues

log = structlog.get_logger(__name__)

_GOODBYE_S = 5.0  # for a child process that is told to end by the end of its input

_News = ResultDelivery | Presence | UndeliveredTask


@dataclass(eq=False)
class _AttachedWorker:
    """A child's pipe: its streams, their threads, and what the queues know of it."""

    name: str
    stream: BinaryIO
    sender: FrameSender
    taker: Taker | None = None
    presence: Presence | None = None
    listening: threading.Thread = field(init=False)

    def has_ended(self, *, timeout_s: float) -> bool:
        """Wait until both sides have closed the pipe; False if they have not."""
        self.listening.join(timeout_s)
        return not self.listening.is_alive() and self.sender.join(timeout_s)


class EmbeddedBroker:
    """A `haste_core.ports.Broker` whose workers are attached by pipes."""

    def __init__(self) -> None:
        self._dead_count = 0
        self._dead: deque[DeadLetter] = deque(maxlen=SHOWN_LETTERS)
        self._lock = threading.Lock()
        self._queues = TaskQueues()
        self._senders: dict[Taker, FrameSender] = {}
        self._workers: set[_AttachedWorker] = set()
        self._tokens = itertools.count()
        self._unsettled: dict[object, ResultDelivery] = {}
        self._news: list[_News] = []
        self._news_or_stop = threading.Condition(self._lock)
        self._stopping = False
        self._teller: threading.Thread | None = None

    def attach(self, reader: BinaryIO, writer: BinaryIO, *, name: str = "worker") -> None:
        """Serve the worker at the other end of these pipes, until it closes its end or `stop` is called.

        Parameters
        ----------
        reader, writer : binary file
            The worker's output and input, blocking. The broker closes them.
        name : str
            For logs and threads.
        """
        worker = _AttachedWorker(name, reader, FrameSender(writer, name=f"to {name}"))
        worker.listening = threading.Thread(
            target=self._listen, args=(worker,), name=f"from {name}", daemon=True
        )
        with self._lock:
            self._workers = {worker, *(other for other in self._workers if not other.has_ended(timeout_s=0))}
            worker.sender.start()
            worker.listening.start()

    def start(self, listener: BrokerListener) -> None:
        """Begin to tell `listener` what arrives; unsettled results are delivered again."""
        with self._lock:
            others = [news for news in self._news if not isinstance(news, ResultDelivery)]
            self._news = [*self._unsettled.values(), *others]
            self._stopping = False
            self._teller = threading.Thread(
                target=self._tell, args=(listener,), name="embedded broker", daemon=True
            )
            self._teller.start()

    def publish(self, messages: Sequence[TaskMessage], *, together: int = 1) -> None:
        """Hand tasks to attached workers; those for which there is none come back at once.

        One that is too large to be sent comes back as its end.
        """
        sendable, ended = encode_tasks(messages)
        batches = [
            QueuedBatch(batch.route, batch.attempts, batch.body, expires_at=time.monotonic() + batch.ttl_s)
            for batch in batches_by_route(sendable, together)
        ]
        with self._lock:
            assigned, stranded = self._queues.put(batches)
            self._hand_over(assigned)
            self._add_news([news for batch in stranded for news in _undelivered(batch)])
            self._add_news([ResultDelivery(result, next(self._tokens)) for result in ended])

    def revoke(self, attempts: Sequence[AttemptKey]) -> None:
        """Tell all attached workers to stop these attempts."""
        frame = RevocationFrame(Revocation(attempts=tuple(attempts)).encode()).encode()
        with self._lock:
            for sender in self._senders.values():
                sender.send([frame])

    def settle(self, deliveries: Sequence[ResultDelivery]) -> None:
        """Forget results that the store has recorded."""
        with self._lock:
            for delivery in deliveries:
                self._unsettled.pop(delivery.token, None)

    def is_up(self) -> bool:
        """Tell whether somebody listens."""
        return self._teller is not None

    def trouble(self) -> str:
        """Say why messages cannot be sent now; empty if they can."""
        return "" if self.is_up() else "not started"

    def dead_letters(self) -> DeadLetters:
        """Tell which messages could not be read, here or by a worker, since this process began."""
        with self._lock:
            return DeadLetters(self._dead_count, tuple(self._dead))

    def stop(self) -> None:
        """Close all pipes, at which the workers end, and tell nothing more."""
        with self._lock:
            workers = list(self._workers)
        for worker in workers:
            worker.sender.close()
        deadline = time.monotonic() + _GOODBYE_S
        for worker in workers:
            if not worker.has_ended(timeout_s=max(0.0, deadline - time.monotonic())):
                log.warning("a worker does not end", action="worker_stays", worker=worker.name)
        with self._lock:
            self._stopping = True
            self._news_or_stop.notify()
        if self._teller is not None:
            self._teller.join()
            self._teller = None

    def _listen(self, worker: _AttachedWorker) -> None:
        reader = FrameReader(worker.stream)
        try:
            while frames := reader.read():
                self._take(worker, frames)
        except (OSError, FrameError) as error:
            log.warning("a worker's pipe broke", action="pipe_broken", worker=worker.name, why=str(error))
        finally:
            self._detach(worker)
            with suppress(OSError):
                worker.stream.close()

    def _take(self, worker: _AttachedWorker, frames: Iterable[bytes]) -> None:
        reported: list[int] = []
        news: list[_News] = []
        for frame in map(parse_frame, frames):
            match frame:
                case Hello():
                    self._join(worker, frame)
                case ResultFrame():
                    reported.append(frame.tag)
                    news += self._read_result(worker, frame.body)
                case UnreadableFrame():
                    reported.append(frame.tag)
                    self._put_task_aside(worker, frame.tag)
                case PresenceFrame():
                    news += _read_presence(worker, frame.body)
                case TaskFrame() | RevocationFrame():
                    raise FrameError(f"a worker sent a {type(frame).__name__}")
        with self._lock:
            self._add_news(news)
            if worker.taker is not None:
                self._hand_over(self._queues.release(worker.taker, reported))

    def _join(self, worker: _AttachedWorker, hello: Hello) -> None:
        with self._lock:
            if worker.taker is not None:
                raise FrameError("a worker said hello twice")
            worker.taker = Taker(hello.routes, hello.prefetch)
            self._senders[worker.taker] = worker.sender
            self._hand_over(self._queues.join(worker.taker))
        log.info("a worker joined", action="worker_joined", worker=worker.name)

    def _detach(self, worker: _AttachedWorker) -> None:
        worker.sender.close()
        with self._lock:
            if worker.taker is None:
                return
            del self._senders[worker.taker]
            assigned, stranded = self._queues.leave(worker.taker)
            self._hand_over(assigned)
            gone: list[_News] = [] if worker.presence is None else [_farewell(worker.presence)]
            self._add_news(gone)
            for batch in stranded:
                self._add_news(self._lost(batch) if batch.redelivered else _undelivered(batch))
        log.info("a worker left", action="worker_left", worker=worker.name)

    # The following are called with the lock held.

    def _hand_over(self, assigned: Iterable[Assignment]) -> None:
        frames: defaultdict[Taker, list[bytes]] = defaultdict(list)
        for item in assigned:
            frame = TaskFrame(item.tag, item.batch.redelivered, item.batch.body)
            frames[item.taker].append(frame.encode())
        for taker, content in frames.items():
            self._senders[taker].send(content)

    def _lost(self, batch: QueuedBatch) -> list[_News]:
        # A worker had them and may have run them, so they did not just fail to be delivered.
        return [
            ResultDelivery(
                TaskResult(
                    task_id=task_id,
                    attempt=attempt,
                    worker_id="",
                    outcome=Outcome.LOST,
                    message="the worker that had it is gone",
                ),
                next(self._tokens),
            )
            for task_id, attempt in batch.attempts
        ]

    def _add_news(self, news: Sequence[_News]) -> None:
        if news:
            self._unsettled.update((item.token, item) for item in news if isinstance(item, ResultDelivery))
            self._news += news
            self._news_or_stop.notify()

    # The following run without it.

    def _read_result(self, worker: _AttachedWorker, body: bytes) -> list[_News]:
        try:
            return [ResultDelivery(read_result(body), next(self._tokens))]
        except InvalidError as error:
            self._put_aside(body, RESULT_QUEUE)
            log.warning("a result cannot be read", action="dead_letter", worker=worker.name, why=str(error))
            return []

    def _put_task_aside(self, worker: _AttachedWorker, tag: int) -> None:
        held = worker.taker.held.get(tag) if worker.taker is not None else None
        if held is not None:
            self._put_aside(held.batch.body, held.batch.route.queue)
            log.warning("a worker cannot read a task", action="dead_letter", worker=worker.name)

    def _put_aside(self, body: bytes, queue: str) -> None:
        letter = describe(body, queue=queue, died_at=time.time())
        with self._lock:
            self._dead_count += 1
            self._dead.append(letter)

    def _tell(self, listener: BrokerListener) -> None:
        while news := self._next_news():
            for item in news:
                try:
                    _tell_one(listener, item)
                except Exception:
                    # The listener is not ours, and without this thread nothing would arrive any more.
                    # What it did not take is unsettled, and its task's lease will expire.
                    log.exception("news could not be taken", action="broker_listener_failed")

    def _next_news(self) -> list[_News]:
        with self._news_or_stop:
            self._news_or_stop.wait_for(lambda: self._news or self._stopping)
            news, self._news = self._news, []
            return news


def _read_presence(worker: _AttachedWorker, body: bytes) -> list[_News]:
    try:
        presence = Presence.decode(body)
    except InvalidError as error:
        log.warning(
            "a heartbeat cannot be read", action="presence_unreadable", worker=worker.name, why=str(error)
        )
        return []
    worker.presence = presence
    return [presence]


def _farewell(presence: Presence) -> Presence:
    """Say for a worker whose pipe closed that it takes no more tasks; it may not have had the time."""
    return presence.model_copy(update={"leaving": True, "held": ()})


def _undelivered(batch: QueuedBatch) -> list[_News]:
    reason = f"no worker takes {batch.route.task_key!r} at site {batch.route.site!r}"
    return [UndeliveredTask(task_id, attempt, reason) for task_id, attempt in batch.attempts]


def _tell_one(listener: BrokerListener, news: _News) -> None:
    match news:
        case ResultDelivery():
            listener.result_arrived(news)
        case Presence():
            listener.presence_arrived(news)
        case UndeliveredTask():
            listener.hand_out_failed(news)
