"""The two ways in which an engine and its workers can be connected, behind one face."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import pika

from haste_core.messages import AttemptKey, Outcome, Place, Presence, TaskMessage, TaskResult
from haste_core.ports import ResultDelivery, TaskDelivery, UndeliveredTask, WorkerTransport
from haste_core.routing import DEAD_LETTER_QUEUE, RESULT_QUEUE, Route
from haste_core.states import TaskState
from haste_runtime.frames import write_frames
from haste_runtime.pipe import ResultFrame
from haste_server.brokers.embedded import EmbeddedBroker
from haste_server.brokers.rabbitmq import RabbitBroker
from haste_workers.transports.amqp import AmqpTransport
from haste_workers.transports.pipe import PipeTransport
from tests.waiting import wait_for

QUIET_S = 0.3  # long enough for a message that should not come to come
SITE = "lab1"
IDLE_WORKER = Path(__file__).with_name("idle_worker.py")


def task_message(
    task_id: int,
    task_key: str = "focus-score",
    attempt: int = 1,
    response: Mapping[str, Any] | None = None,
    ttl_s: float = 600.0,
) -> TaskMessage:
    return TaskMessage(
        task_id=task_id,
        job_id=task_id,
        attempt=attempt,
        task_key=task_key,
        site=SITE,
        ttl_s=ttl_s,
        place=Place(url="root://nas/a.tif", site=SITE),
        job={"source_id": f"a{task_id}", "response": response or {}},
    )


def result_of(message: TaskMessage, worker_id: str = "w1") -> TaskResult:
    return TaskResult(
        task_id=message.task_id,
        attempt=message.attempt,
        worker_id=worker_id,
        outcome=Outcome.ENDED,
        state=TaskState.DONE,
        response={"plls": -1.5},
    )


class Engine:
    """A listener that remembers what it heard."""

    def __init__(self) -> None:
        self.results: list[ResultDelivery] = []
        self.presences: list[Presence] = []
        self.failed: list[UndeliveredTask] = []

    def result_arrived(self, delivery: ResultDelivery) -> None:
        self.results.append(delivery)

    def presence_arrived(self, presence: Presence) -> None:
        self.presences.append(presence)

    def hand_out_failed(self, undelivered: UndeliveredTask) -> None:
        self.failed.append(undelivered)

    def wait_for_results(self, count: int) -> list[TaskResult]:
        wait_for(lambda: len(self.results) >= count, f"{count} results (has {len(self.results)})")
        return [delivery.result for delivery in self.results]

    def wait_for_failed(self, count: int) -> list[UndeliveredTask]:
        wait_for(lambda: len(self.failed) >= count, f"{count} failed hand-outs (has {len(self.failed)})")
        return self.failed


class Worker:
    """A transport, and the tasks that it brought."""

    def __init__(self, transport: WorkerTransport, keys: Sequence[str], worker_id: str) -> None:
        self.transport = transport
        self.keys = tuple(keys)
        self.worker_id = worker_id
        self.taken: list[TaskDelivery] = []
        self.revoked: list[AttemptKey] = []
        self.reports_at_once = False

    def start(self, *, prefetch: int) -> None:
        routes = [Route(key, SITE) for key in self.keys]
        self.transport.start(routes, prefetch=prefetch, on_task=self._take, on_revoked=self.revoked.extend)

    def report(self, delivery: TaskDelivery) -> None:
        self.transport.report(result_of(delivery.message, self.worker_id), delivery)

    def announce(self) -> None:
        self.transport.announce(
            Presence(
                worker_id=self.worker_id,
                host="pc",
                pid=1,
                keys=self.keys,
                site=SITE,
                slots=1,
                sent_at=time.time(),
            )
        )

    def wait_for_tasks(self, count: int) -> list[int]:
        wait_for(lambda: len(self.taken) >= count, f"{count} tasks (has {len(self.taken)})")
        return self.task_ids()

    def task_ids(self) -> list[int]:
        return [delivery.message.task_id for delivery in self.taken]

    def _take(self, delivery: TaskDelivery) -> None:
        self.taken.append(delivery)
        if self.reports_at_once:
            self.report(delivery)


class Shape(Protocol):
    """How a broker and its workers are made, and what only the inside can do or see."""

    broker: RabbitBroker | EmbeddedBroker

    def new_transport(self, worker_id: str) -> WorkerTransport: ...

    def start_idle_worker(self, key: str) -> subprocess.Popen[bytes]: ...

    def inject_result(self, body: bytes) -> None: ...

    def dead_letters(self) -> list[bytes]: ...

    def wait_for_takers(self, key: str, count: int) -> None:
        """Return when `count` workers that were heard are served from the queue of the key."""


class RabbitShape:
    def __init__(self, url: str) -> None:
        self.url = url
        self.broker: RabbitBroker | EmbeddedBroker = RabbitBroker(url)

    def new_transport(self, worker_id: str) -> WorkerTransport:
        return AmqpTransport(self.url, worker_id)

    def start_idle_worker(self, key: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, IDLE_WORKER, "amqp", self.url, key, SITE], stderr=subprocess.PIPE
        )

    def inject_result(self, body: bytes) -> None:
        with pika.BlockingConnection(pika.URLParameters(self.url)) as connection:
            connection.channel().basic_publish("", RESULT_QUEUE, body)

    def dead_letters(self) -> list[bytes]:
        with pika.BlockingConnection(pika.URLParameters(self.url)) as connection:
            channel, bodies = connection.channel(), []
            while (body := channel.basic_get(DEAD_LETTER_QUEUE)[2]) is not None:
                bodies.append(body)
            return bodies

    def wait_for_takers(self, key: str, count: int) -> None:
        queue = Route(key, SITE).queue
        with pika.BlockingConnection(pika.URLParameters(self.url)) as connection:
            channel = connection.channel()
            wait_for(
                lambda: channel.queue_declare(queue, passive=True).method.consumer_count == count,
                f"{count} consumers of {queue}",
            )


class EmbeddedShape:
    def __init__(self) -> None:
        self.broker: RabbitBroker | EmbeddedBroker = EmbeddedBroker()

    def new_transport(self, worker_id: str) -> WorkerTransport:
        to_worker, to_server = os.pipe(), os.pipe()
        self._embedded.attach(os.fdopen(to_server[0], "rb"), os.fdopen(to_worker[1], "wb"), name=worker_id)
        return PipeTransport(
            os.fdopen(to_worker[0], "rb", buffering=0),
            os.fdopen(to_server[1], "wb"),
            on_closed=lambda: None,
        )

    def start_idle_worker(self, key: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, IDLE_WORKER, "pipe", key, SITE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert process.stdout is not None
        assert process.stdin is not None
        self._embedded.attach(process.stdout, process.stdin, name="idle")
        return process

    def inject_result(self, body: bytes) -> None:
        to_worker, to_server = os.pipe(), os.pipe()
        self._embedded.attach(os.fdopen(to_server[0], "rb"), os.fdopen(to_worker[1], "wb"), name="odd")
        os.close(to_worker[0])
        with os.fdopen(to_server[1], "wb") as writer:
            write_frames(writer, [ResultFrame(1, line).encode() for line in body.split(b"\n")])

    def dead_letters(self) -> list[bytes]:
        return [letter.head.encode() for letter in self._embedded.dead_letters().latest]

    def wait_for_takers(self, key: str, count: int) -> None:
        pass  # a worker says what it takes before it is heard, through the same pipe

    @property
    def _embedded(self) -> EmbeddedBroker:
        assert isinstance(self.broker, EmbeddedBroker)
        return self.broker


class Bench:
    """A broker that runs, its engine, and workers that are ready when they are returned."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.broker = shape.broker
        self.engine = Engine()
        self.workers: list[Worker] = []
        self.processes: list[subprocess.Popen[bytes]] = []
        self.broker.start(self.engine)
        wait_for(self.broker.is_up, "the broker is up")

    def restart_engine(self) -> Engine:
        self.broker.stop()
        self.engine = Engine()
        self.broker.start(self.engine)
        wait_for(self.broker.is_up, "the broker is up again")
        return self.engine

    def worker(self, *keys: str, prefetch: int = 10, worker_id: str = "") -> Worker:
        worker_id = worker_id or f"w{len(self.workers) + 1}"
        worker = Worker(self.shape.new_transport(worker_id), keys or ("focus-score",), worker_id)
        worker.start(prefetch=prefetch)
        self.workers.append(worker)
        wait_for(lambda: self._is_heard(worker), f"{worker_id} is connected")
        return worker

    def busy_worker(self, task_id: int) -> subprocess.Popen[bytes]:
        """Start a worker in a process of its own that has taken a task and does not report it."""
        process = self.shape.start_idle_worker("focus-score")
        self.processes.append(process)
        wait_for(lambda: any(p.worker_id == "idle" for p in self.engine.presences), "idle is connected")
        self.broker.publish([task_message(task_id)])
        assert process.stderr is not None
        assert process.stderr.readline() == b"took %d\n" % task_id
        return process

    def close(self) -> None:
        for worker in self.workers:
            worker.transport.stop(timeout_s=2.0)
        for process in self.processes:
            process.kill()
            process.wait()
            assert process.stderr is not None
            process.stderr.close()
        self.broker.stop()

    def _is_heard(self, worker: Worker) -> bool:
        worker.announce()
        time.sleep(0.02)
        return any(presence.worker_id == worker.worker_id for presence in self.engine.presences)
