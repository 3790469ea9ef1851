"""The connection to a real RabbitMQ: what it declares, what it guarantees, and what it says in trouble."""

import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pika
import pytest
import requests
from structlog.testing import capture_logs

from haste_core.routing import CONTROL_EXCHANGE, DEAD_LETTER_QUEUE, RESULT_QUEUE, TASK_EXCHANGE, Route
from haste_runtime.amqp import AmqpLink, Consumer, Delivery, DeliveryToken
from haste_runtime.confirms import Fate, Outgoing
from haste_runtime.topology import Topology, engine_topology, worker_topology
from tests.integration.tcp_proxy import TcpProxy
from tests.services.process import free_port
from tests.services.rabbitmq import RabbitMQ
from tests.waiting import wait_for

_ROUTE = Route("focus-score", "lab1")


class _Owner:
    """A link that remembers what came through it."""

    def __init__(self, url: str, topology: Topology | None = None, *, consumes: str = "", prefetch: int = 10):
        self.delivered: list[Delivery] = []
        self.fates: list[tuple[object, Fate]] = []
        self.times_up = 0
        self.link = AmqpLink(
            url,
            name="test",
            topology=topology or worker_topology([_ROUTE], "w1"),
            consumers=[Consumer(consumes, prefetch=prefetch)] if consumes else [],
            on_delivery=self.delivered.append,
            on_sent=lambda message, fate: self.fates.append((message.ref, fate)),
            on_up=self._count_up,
        )
        self.link.start()

    def wait_until_up(self, times: int = 1) -> None:
        wait_for(lambda: self.times_up >= times and self.link.is_up(), self.link.trouble())

    def publish(self, *bodies: bytes, routing_key: str = _ROUTE.routing_key) -> list[Fate]:
        before = len(self.fates)
        self.link.publish([Outgoing(TASK_EXCHANGE, routing_key, body, ref=body) for body in bodies])
        wait_for(lambda: len(self.fates) == before + len(bodies), "every message's fate is known")
        assert [ref for ref, _ in self.fates[before:]] == list(bodies)
        return [fate for _, fate in self.fates[before:]]

    def close(self) -> None:
        self.link.close(timeout_s=2.0)

    def _count_up(self) -> None:
        self.times_up += 1


@pytest.fixture
def owner(amqp_url: str) -> Iterator[_Owner]:
    owner = _Owner(amqp_url)
    owner.wait_until_up()
    yield owner
    owner.close()


def _take(url: str, queue: str) -> tuple[Any, bytes | None]:
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        _, properties, body = connection.channel().basic_get(queue, auto_ack=True)
        return properties, body


class TestTopology:
    def test_exchanges_and_queues_are_durable_and_tasks_have_one_queue(
        self, rabbitmq_server: RabbitMQ
    ) -> None:
        url = rabbitmq_server.new_vhost()
        worker, engine = _Owner(url), _Owner(url, engine_topology("e1"))
        worker.wait_until_up()
        engine.wait_until_up()

        def listed(what: str) -> list[dict[str, Any]]:
            address = f"{rabbitmq_server.management_url}/api/{what}{urlsplit(url).path}"
            listing: list[dict[str, Any]] = requests.get(address, timeout=10).json()
            return listing

        queues = {queue["name"]: queue for queue in listed("queues")}
        of_one = {"haste.presence.e1", "haste.revocations.w1"}
        assert set(queues) == {_ROUTE.queue, RESULT_QUEUE, DEAD_LETTER_QUEUE, *of_one}
        for queue in queues.values():
            assert queue["durable"]
            assert not queue["auto_delete"]
            assert queue["arguments"]["x-queue-type"] == "classic"
        exchanges = {exchange["name"]: exchange for exchange in listed("exchanges")}
        for name in (TASK_EXCHANGE, CONTROL_EXCHANGE):
            assert (exchanges[name]["type"], exchanges[name]["durable"]) == ("topic", True)
        bound = {
            (binding["destination"], binding["routing_key"])
            for binding in listed("bindings")
            if binding["source"] == TASK_EXCHANGE
        }
        assert bound == {(_ROUTE.queue, "focus-score.lab1")}
        worker.close()
        engine.close()

    def test_a_queue_that_is_there_in_another_form_is_named(self, amqp_url: str) -> None:
        with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
            connection.channel().queue_declare(RESULT_QUEUE, durable=False, exclusive=False, auto_delete=True)
        owner = _Owner(amqp_url)
        wait_for(lambda: "PRECONDITION_FAILED" in owner.link.trouble(), "the trouble is told")
        assert RESULT_QUEUE in owner.link.trouble()
        assert not owner.link.is_up()
        owner.close()

    def test_a_deleted_queue_is_made_again(self, amqp_url: str) -> None:
        owner = _Owner(amqp_url, consumes=_ROUTE.queue)
        owner.wait_until_up()
        with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
            connection.channel().queue_delete(_ROUTE.queue)
        owner.wait_until_up(times=2)
        assert owner.publish(b"1") == [Fate.CONFIRMED]
        wait_for(lambda: [delivery.body for delivery in owner.delivered] == [b"1"], "it arrives")
        owner.close()


class TestPublish:
    def test_messages_are_persistent_unless_expendable(self, owner: _Owner, amqp_url: str) -> None:
        expendable = Outgoing(TASK_EXCHANGE, _ROUTE.routing_key, b"heartbeat", expendable=True)
        owner.link.publish([expendable])
        wait_for(lambda: owner.fates, "it is confirmed")
        owner.publish(b"task")
        properties, body = _take(amqp_url, _ROUTE.queue)
        assert (properties.delivery_mode, body) == (1, b"heartbeat")
        properties, body = _take(amqp_url, _ROUTE.queue)
        assert (properties.delivery_mode, body) == (2, b"task")

    def test_what_no_queue_takes_is_returned(self, owner: _Owner) -> None:
        assert owner.publish(b"1", b"2", routing_key="unheard-of.lab1") == [Fate.RETURNED, Fate.RETURNED]
        assert owner.publish(b"3") == [Fate.CONFIRMED]

    def test_far_more_than_a_window_from_several_threads(self, owner: _Owner, amqp_url: str) -> None:
        def publish(first: int) -> None:
            for number in range(first, first + 1000, 50):
                messages = [
                    Outgoing(TASK_EXCHANGE, _ROUTE.routing_key, b"x" * 300, ref=number + offset)
                    for offset in range(50)
                ]
                owner.link.publish(messages)

        threads = [threading.Thread(target=publish, args=(first,)) for first in (0, 1000, 2000)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        wait_for(lambda: len(owner.fates) == 3000, "all are confirmed")
        assert sorted(owner.fates) == [(number, Fate.CONFIRMED) for number in range(3000)]

    def test_a_message_of_many_frames_arrives_whole(self, owner: _Owner, amqp_url: str) -> None:
        body = bytes(range(256)) * 4096
        assert owner.publish(body) == [Fate.CONFIRMED]
        assert _take(amqp_url, _ROUTE.queue)[1] == body

    def test_close_waits_for_the_confirms(self, amqp_url: str) -> None:
        owner = _Owner(amqp_url)
        owner.wait_until_up()
        owner.link.publish([Outgoing(TASK_EXCHANGE, _ROUTE.routing_key, b"x", ref=n) for n in range(2000)])
        owner.link.close(timeout_s=20.0)
        assert owner.fates == [(number, Fate.CONFIRMED) for number in range(2000)]


class TestAcks:
    def test_unacknowledged_deliveries_come_again_and_acknowledged_ones_do_not(self, amqp_url: str) -> None:
        owner = _Owner(amqp_url, consumes=_ROUTE.queue)
        owner.wait_until_up()
        owner.publish(b"1", b"2")
        wait_for(lambda: len(owner.delivered) == 2, "both arrive")
        owner.link.ack([owner.delivered[0].token])
        owner.link.reconnect("a test")
        wait_for(lambda: len(owner.delivered) == 3, "one comes again")
        assert (owner.delivered[2].body, owner.delivered[2].redelivered) == (b"2", True)
        owner.close()

    def test_an_ack_from_before_a_reconnect_is_void(self, amqp_url: str) -> None:
        owner = _Owner(amqp_url, consumes=_ROUTE.queue)
        owner.wait_until_up()
        owner.publish(b"1")
        wait_for(lambda: owner.delivered, "it arrives")
        stale = owner.delivered[0].token
        owner.link.reconnect("a test")
        wait_for(lambda: len(owner.delivered) == 2, "it comes again")
        owner.link.ack([stale])  # the same tag now names the second delivery, which must stay open
        owner.link.reconnect("a test")
        wait_for(lambda: len(owner.delivered) == 3, "it comes once more")
        assert owner.times_up == 3
        owner.close()

    def test_a_rejected_delivery_is_a_dead_letter(self, amqp_url: str) -> None:
        owner = _Owner(amqp_url, consumes=RESULT_QUEUE)
        owner.wait_until_up()
        owner.link.publish([Outgoing("", RESULT_QUEUE, b"rubbish")])
        wait_for(lambda: owner.delivered, "it arrives")
        owner.link.reject(owner.delivered[0].token)
        owner.close()
        properties, body = _take(amqp_url, DEAD_LETTER_QUEUE)
        assert body == b"rubbish"
        assert properties.headers["x-death"][0]["queue"] == RESULT_QUEUE

    def test_an_ack_of_something_never_delivered_only_costs_the_connection(self, owner: _Owner) -> None:
        owner.link.ack([DeliveryToken(epoch=1, tag=999)])
        owner.wait_until_up(times=2)
        assert owner.publish(b"1") == [Fate.CONFIRMED]


class TestTrouble:
    def test_no_broker(self) -> None:
        port = free_port()
        owner = _Owner(f"amqp://microscope:pass-word@127.0.0.1:{port}/lab")
        wait_for(lambda: "answers" in owner.link.trouble(), "the trouble is told")
        assert f"127.0.0.1:{port}/lab" in owner.link.trouble()
        assert not owner.link.is_up()
        assert owner.publish(b"1") == [Fate.LOST]
        owner.close()

    def test_wrong_password(self, amqp_url: str, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        parts = urlsplit(amqp_url)
        wrong = f"amqp://{parts.username}:not-the-pass-word@{parts.hostname}:{parts.port}{parts.path}"
        with capture_logs() as logs:
            owner = _Owner(wrong)
            wait_for(lambda: "password" in owner.link.trouble(), "the trouble is told")
            owner.close()
        assert repr(parts.username) in logs[0]["why"]
        assert "not-the-pass-word" not in caplog.text + str(logs)

    def test_no_such_virtual_host(self, amqp_url: str) -> None:
        owner = _Owner(amqp_url + "-missing")
        wait_for(lambda: "virtual host" in owner.link.trouble(), "the trouble is told")
        owner.close()

    @pytest.mark.parametrize("url", ["", "localhost:5672", "http://h", "amqp://u:pa/ss@h/v", "amqp://u@h/v"])
    def test_no_url(self, url: str) -> None:
        with pytest.raises(ValueError, match="broker URL") as caught:
            _Owner(url)
        assert "pa/ss" not in str(caught.value)

    def test_the_same_trouble_is_logged_once(self) -> None:
        with capture_logs() as logs:
            owner = _Owner(f"amqp://127.0.0.1:{free_port()}/")
            time.sleep(1.0)  # several attempts
            owner.close()
        assert [line["action"] for line in logs] == ["amqp_down"]


@pytest.fixture
def proxy(amqp_url: str) -> Iterator[TcpProxy]:
    proxy = TcpProxy(urlsplit(amqp_url).port or 5672)
    yield proxy
    proxy.close()


def _through(proxy: TcpProxy, url: str) -> str:
    return url.replace(f":{urlsplit(url).port}/", f":{proxy.port}/")


class TestBadNetwork:
    def test_a_cut_connection_is_made_again(self, amqp_url: str, proxy: TcpProxy) -> None:
        owner = _Owner(_through(proxy, amqp_url), consumes=_ROUTE.queue)
        owner.wait_until_up()
        owner.publish(b"1")
        proxy.cut()
        owner.wait_until_up(times=2)
        wait_for(lambda: len(owner.delivered) == 2, "the unacknowledged delivery comes again")
        assert owner.publish(b"2") == [Fate.CONFIRMED]
        owner.close()

    def test_each_message_of_a_cut_connection_has_one_fate(self, amqp_url: str, proxy: TcpProxy) -> None:
        owner = _Owner(_through(proxy, amqp_url))
        owner.wait_until_up()
        for first in range(0, 6000, 100):
            owner.link.publish(
                [Outgoing(TASK_EXCHANGE, _ROUTE.routing_key, bytes(200), ref=first + n) for n in range(100)]
            )
            if first == 2000:
                proxy.cut()
        wait_for(lambda: len(owner.fates) == 6000, "every fate is known")
        assert sorted(ref for ref, _ in owner.fates) == list(range(6000))
        confirmed = sum(fate is Fate.CONFIRMED for _, fate in owner.fates)
        owner.close()
        with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
            declared = connection.channel().queue_declare(_ROUTE.queue, passive=True)
            assert confirmed <= declared.method.message_count < 6000

    def test_a_broker_that_hangs_does_not_hold_up_close(self, amqp_url: str, proxy: TcpProxy) -> None:
        owner = _Owner(_through(proxy, amqp_url))
        owner.wait_until_up()
        proxy.freeze()
        owner.link.publish([Outgoing(TASK_EXCHANGE, _ROUTE.routing_key, b"1", ref=b"1")])
        begun = time.monotonic()
        owner.link.close(timeout_s=0.5)
        assert time.monotonic() - begun < 10.0
        assert owner.fates == [(b"1", Fate.LOST)]


@pytest.mark.private_services
def test_a_broker_without_memory_is_not_up_and_says_so(tmp_path: Path) -> None:
    settings = {"vm_memory_high_watermark": "{absolute,1000000}"}
    with RabbitMQ(tmp_path / "rabbitmq", settings=settings) as broker:
        owner = _Owner(broker.url)
        owner.wait_until_up()  # a connection is only blocked once it publishes
        owner.link.publish([Outgoing(TASK_EXCHANGE, _ROUTE.routing_key, b"1", ref=b"1")])
        wait_for(lambda: not owner.link.is_up(), "the connection is blocked")
        assert "memory" in owner.link.trouble()
        owner.link.close(timeout_s=0.5)
        assert owner.fates == [(b"1", Fate.LOST)]


def test_reconnects_leave_no_file_open(owner: _Owner) -> None:
    files = Path("/proc/self/fd")
    if not files.is_dir():
        pytest.skip("no /proc on this system")
    before = len(list(files.iterdir()))
    for times in (2, 3, 4):
        owner.link.reconnect("a test")
        owner.wait_until_up(times)
    assert len(list(files.iterdir())) == before
