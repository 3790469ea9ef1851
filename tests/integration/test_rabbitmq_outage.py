"""RabbitMQ is killed, restarted, and comes back empty while tasks flow; nothing is lost or counted twice."""

import threading
import time
from collections.abc import Callable
from urllib.parse import urlsplit

import pika
import pytest
import requests

from haste_core.messages import Presence
from haste_core.ports import ResultDelivery, UndeliveredTask
from haste_core.routing import RESULT_QUEUE, Route
from haste_server.brokers.rabbitmq import RabbitBroker
from haste_workers.transports.amqp import AmqpTransport
from tests.contract.broker_bench import SITE, Worker, task_message
from tests.services.rabbitmq import RabbitMQ
from tests.waiting import wait_for

_OUTAGE_S = 60.0


class _Store:
    """What a database would know: each task's attempt, and whether that attempt's result came."""

    def __init__(self, broker: RabbitBroker) -> None:
        self.attempts: dict[int, int] = {}
        self.done: dict[int, int] = {}
        self.stale = 0
        self._broker = broker
        self._changed = threading.Condition()
        self._ready: list[int] = []

    def hand_out(self, task_id: int) -> None:
        self.attempts[task_id] = self.attempts.get(task_id, 0) + 1
        self._broker.publish([task_message(task_id, attempt=self.attempts[task_id])])

    def result_arrived(self, delivery: ResultDelivery) -> None:
        result = delivery.result
        current = self.attempts.get(result.task_id) == result.attempt
        if current and result.task_id not in self.done:
            self.done[result.task_id] = result.attempt
        else:
            self.stale += 1
        self._broker.settle([delivery])

    def presence_arrived(self, presence: Presence) -> None:
        pass

    def hand_out_failed(self, undelivered: UndeliveredTask) -> None:
        assert undelivered.attempt == self.attempts[undelivered.task_id]
        with self._changed:
            self._ready.append(undelivered.task_id)

    def hand_out_again(self) -> None:
        with self._changed:
            ready, self._ready = self._ready, []
        for task_id in ready:
            if task_id not in self.done:  # it may have arrived although it was never confirmed
                self.hand_out(task_id)


@pytest.fixture
def url(rabbitmq_server: RabbitMQ) -> str:
    return rabbitmq_server.new_vhost()


def _start_worker(url: str, worker_id: str, *, prefetch: int = 20) -> Worker:
    transport = AmqpTransport(url, worker_id)
    worker = Worker(transport, ["focus-score"], worker_id)
    worker.start(prefetch=prefetch)
    wait_for(lambda: not transport.trouble(), "the worker is connected")
    return worker


def _wait(condition: Callable[[], bool], what: str, meanwhile: Callable[[], None] = lambda: None) -> None:
    deadline = time.monotonic() + _OUTAGE_S
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        meanwhile()
        time.sleep(0.02)


def _message_count(url: str, queue: str) -> int:
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        count: int = connection.channel().queue_declare(queue, passive=True).method.message_count
        return count


def test_a_killed_broker_loses_nothing(rabbitmq_server: RabbitMQ, url: str) -> None:
    broker = RabbitBroker(url)
    store = _Store(broker)
    broker.start(store)
    workers = [_start_worker(url, "w1"), _start_worker(url, "w2")]
    for worker in workers:
        worker.reports_at_once = True
    wait_for(broker.is_up, "the engine is connected")

    outage = threading.Thread(
        target=lambda: (time.sleep(0.4), rabbitmq_server.kill(), rabbitmq_server.start())
    )
    outage.start()
    for task_id in range(1500):
        store.hand_out(task_id)
        time.sleep(0.0005)
    outage.join()

    def hand_out_again_if_up() -> None:
        if broker.is_up():
            store.hand_out_again()

    _wait(lambda: len(store.done) == 1500, "every task is done", meanwhile=hand_out_again_if_up)
    assert store.done == store.attempts
    assert max(store.attempts.values()) > 1, "the outage hit no hand-out: the test shows nothing"
    for worker in workers:
        worker.transport.stop(timeout_s=5.0)
    broker.stop()
    for queue in (RESULT_QUEUE, Route("focus-score", SITE).queue):
        assert _message_count(url, queue) == 0


def test_an_outage_gives_back_what_is_handed_out_and_keeps_what_is_reported(
    rabbitmq_server: RabbitMQ, url: str
) -> None:
    broker, stopped_meanwhile = RabbitBroker(url), RabbitBroker(url)
    failed: list[UndeliveredTask] = []
    store = _Store(broker)
    store.hand_out_failed = failed.append  # type: ignore[method-assign]
    broker.start(store)
    stopped_meanwhile.start(_Store(stopped_meanwhile))
    worker = _start_worker(url, "w1")
    wait_for(lambda: broker.is_up() and stopped_meanwhile.is_up(), "the engines are connected")
    store.hand_out(1)
    worker.wait_for_tasks(1)
    rabbitmq_server.kill()
    wait_for(lambda: not broker.is_up(), "the outage is noticed")
    store.hand_out(2)
    # So may task 1, if its confirm was under way.
    wait_for(lambda: (2, 1) in [(back.task_id, back.attempt) for back in failed], "it comes back")
    assert "127.0.0.1" in broker.trouble()
    stopped_meanwhile.stop()  # returns although nobody answers
    worker.report(worker.taken[0])
    assert store.done == {}
    rabbitmq_server.start()
    _wait(lambda: store.done == {1: 1}, "the result arrives")
    worker.transport.stop(timeout_s=5.0)
    broker.stop()


def test_a_broker_that_comes_back_empty_is_set_up_again(rabbitmq_server: RabbitMQ, url: str) -> None:
    broker = RabbitBroker(url)
    store = _Store(broker)
    broker.start(store)
    worker = _start_worker(url, "w1", prefetch=5)
    wait_for(broker.is_up, "the engine is connected")
    for task_id in range(50):
        store.hand_out(task_id)
    worker.wait_for_tasks(5)

    vhost = f"{rabbitmq_server.management_url}/api/vhosts{urlsplit(url).path}"
    requests.delete(vhost, timeout=10).raise_for_status()
    wait_for(lambda: not broker.is_up(), "the loss is noticed")
    held = list(worker.taken)
    worker.reports_at_once = True
    requests.put(vhost, timeout=10).raise_for_status()
    _wait(lambda: broker.is_up() and not worker.transport.trouble(), "both are back")  # type: ignore[attr-defined]

    for delivery in held:
        worker.report(delivery)
    _wait(lambda: len(store.done) == 5, "what the worker held is reported")
    for task_id in range(5, 50):
        store.hand_out(task_id)  # their leases expired
    _wait(lambda: len(store.done) == 50, "every task is done", meanwhile=store.hand_out_again)
    assert store.done == {task_id: 1 if task_id < 5 else 2 for task_id in range(50)}
    worker.transport.stop(timeout_s=5.0)
    broker.stop()


def test_a_result_whose_queue_was_deleted_arrives_all_the_same(url: str) -> None:
    worker = _start_worker(url, "w1")
    broker = RabbitBroker(url)
    store = _Store(broker)
    broker.start(store)
    wait_for(broker.is_up, "the engine is connected")
    store.hand_out(1)
    worker.wait_for_tasks(1)
    broker.stop()
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        connection.channel().queue_delete(RESULT_QUEUE)
    worker.report(worker.taken[0])
    worker.transport.stop(timeout_s=10.0)
    assert _message_count(url, RESULT_QUEUE) == 1
    broker.start(store)
    _wait(lambda: store.done == {1: 1}, "the result arrives")
    broker.stop()
