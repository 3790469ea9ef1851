"""Results go to RabbitMQ in few messages while it is slow to confirm."""

from __future__ import annotations

import time
from urllib.parse import urlsplit

import pytest

from haste_server.brokers.rabbitmq import RabbitBroker
from haste_workers.transports.amqp import AmqpTransport
from tests.contract.broker_bench import Engine, Worker, task_message
from tests.integration.tcp_proxy import TcpProxy
from tests.services.rabbitmq import RabbitMQ
from tests.waiting import wait_for

_TASKS = 20


@pytest.fixture
def url(rabbitmq_server: RabbitMQ) -> str:
    return rabbitmq_server.new_vhost()


def test_results_wait_for_the_confirm_of_those_before_and_travel_together(
    rabbitmq_server: RabbitMQ, url: str
) -> None:
    engine, broker = Engine(), RabbitBroker(url)
    broker.start(engine)
    port = urlsplit(url).port
    assert port is not None
    link = TcpProxy(port)
    transport = AmqpTransport(url.replace(f":{port}/", f":{link.port}/"), "w1")
    worker = Worker(transport, ["focus-score"], "w1")
    worker.start(prefetch=_TASKS)
    wait_for(lambda: broker.is_up() and not transport.trouble(), "both are connected")
    broker.publish([task_message(task_id) for task_id in range(_TASKS)])
    worker.wait_for_tasks(_TASKS)

    link.freeze()
    for task in worker.taken:
        worker.report(task)
        time.sleep(0.01)  # long enough for the link to send each by itself
    link.thaw()

    engine.wait_for_results(_TASKS)
    assert [delivery.result.task_id for delivery in engine.results] == list(range(_TASKS))
    assert len({delivery.token for delivery in engine.results}) == 2, "the first, and all others"
    broker.settle(engine.results)
    transport.stop(timeout_s=5.0)
    broker.stop()
    link.close()
