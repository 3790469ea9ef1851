"""RabbitMQ's dead letters as the server sees them, while the broker comes and goes."""

import time

import pika
import pytest

from haste_core.dead_letters import HEAD_CHARACTERS, SHOWN_LETTERS, DeadLetters
from haste_core.routing import DEAD_LETTER_QUEUE
from haste_server.brokers import dead_letters
from haste_server.brokers.rabbitmq import RabbitBroker
from tests.contract.broker_bench import Engine
from tests.services.rabbitmq import RabbitMQ
from tests.waiting import wait_for


def put_aside(url: str, *bodies: bytes) -> None:
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        for body in bodies:
            channel.basic_publish("", DEAD_LETTER_QUEUE, body, pika.BasicProperties(delivery_mode=2))


def in_queue(url: str) -> list[bytes]:
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        channel, bodies = connection.channel(), []
        while (body := channel.basic_get(DEAD_LETTER_QUEUE)[2]) is not None:
            bodies.append(body)
        return bodies


def count(broker: RabbitBroker) -> int | None:
    letters = broker.dead_letters()
    return None if letters is None else letters.count


@pytest.fixture(autouse=True)
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dead_letters, "LOOK_EVERY_S", 0.1)


def test_what_was_looked_at_stays_in_its_order(amqp_url: str) -> None:
    bodies = [b"rubbish %d" % number for number in range(20)]
    first, second = RabbitBroker(amqp_url), RabbitBroker(amqp_url)
    first.start(Engine())
    wait_for(lambda: first.dead_letters() == DeadLetters(), "the queue is there")
    put_aside(amqp_url, *bodies)
    wait_for(lambda: count(first) == 20, "all are counted")
    letters = first.dead_letters()
    assert letters is not None
    assert [letter.head.encode() for letter in letters.latest] == bodies[-SHOWN_LETTERS:]
    assert letters.latest[0].died_at is None
    assert "not put aside by HASTE server" in letters.latest[0].reason

    second.start(Engine())  # the two look at the same time now, and take from each other what they look at
    wait_for(lambda: count(second) == 20, "the second one counts all")
    wait_for(lambda: count(first) == 20, "the first one does so again")
    for broker in (first, second):
        broker.stop()
    assert in_queue(amqp_url) == bodies


def test_a_head_is_cut_between_characters(amqp_url: str) -> None:
    broker = RabbitBroker(amqp_url)
    broker.start(Engine())
    wait_for(lambda: count(broker) == 0, "the queue is there")
    put_aside(amqp_url, "\U0001f52c".encode() * 1000, b"\xff\xfe" * 1000)

    wait_for(lambda: count(broker) == 2, "both are counted")
    letters = broker.dead_letters()
    broker.stop()
    assert letters is not None
    assert letters.latest[0].head == "\U0001f52c" * HEAD_CHARACTERS
    assert letters.latest[1].head == "\ufffd" * HEAD_CHARACTERS


def test_dead_letters_are_known_again_after_an_outage(rabbitmq_server: RabbitMQ) -> None:
    url = rabbitmq_server.new_vhost()
    broker = RabbitBroker(url)
    broker.start(Engine())
    wait_for(lambda: count(broker) == 0, "the queue is there")
    put_aside(url, b"rubbish")
    wait_for(lambda: count(broker) == 1, "it is counted")

    rabbitmq_server.kill()
    wait_for(lambda: broker.dead_letters() is None, "nothing is known while the broker is away")
    rabbitmq_server.restart()

    wait_for(lambda: count(broker) == 1, "it is counted again")
    began = time.monotonic()
    broker.stop()
    assert time.monotonic() - began < 3
