"""How a link behaves when nobody answers as RabbitMQ would; needs no broker."""

import socket
import threading
import time

from haste_runtime.amqp import AmqpLink
from haste_runtime.backoff import Backoff
from haste_runtime.confirms import Fate, Outgoing
from haste_runtime.topology import engine_topology


def test_waits_double_up_to_the_longest_and_vary() -> None:
    backoff = Backoff(first_s=1.0, longest_s=8.0)
    for full_s in (1.0, 2.0, 4.0, 8.0, 8.0):
        assert 0.5 * full_s <= backoff.next_s() <= full_s
    backoff.reset()
    assert backoff.next_s() <= 1.0
    assert len({Backoff(first_s=1.0, longest_s=8.0).next_s() for _ in range(10)}) > 1


def _link(port: int, fates: list[Fate]) -> AmqpLink:
    return AmqpLink(
        f"amqp://127.0.0.1:{port}/",
        name="test",
        topology=engine_topology("e1"),
        consumers=[],
        on_delivery=lambda _: None,
        on_sent=lambda _, fate: fates.append(fate),
    )


class _Listener:
    """Something that listens on a port and is no RabbitMQ."""

    def __init__(self, *, hangs_up: bool) -> None:
        self.calls: list[socket.socket] = []
        self._hangs_up = hangs_up
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self._thread = threading.Thread(target=self._answer)
        self._thread.start()

    def _answer(self) -> None:
        while True:
            call, _ = self._server.accept()
            if self._closing:
                call.close()
                return
            self.calls.append(call)
            if self._hangs_up:
                call.close()

    _closing = False

    def close(self) -> None:
        self._closing = True
        socket.create_connection(("127.0.0.1", self.port)).close()
        self._thread.join()
        for call in self.calls:
            call.close()
        self._server.close()


def test_attempts_become_rarer() -> None:
    listener = _Listener(hangs_up=True)
    link = _link(listener.port, [])
    link.start()
    time.sleep(2.0)
    link.close(timeout_s=1.0)
    assert 3 <= len(listener.calls) <= 6  # after 0.1-0.2, 0.2-0.4, 0.4-0.8, 0.8-1.6 seconds
    listener.close()


def test_a_peer_that_says_nothing_does_not_hold_up_close() -> None:
    listener = _Listener(hangs_up=False)
    fates: list[Fate] = []
    link = _link(listener.port, fates)
    link.start()
    link.publish([Outgoing("haste.tasks", "tier.lab1", b"")])
    while not listener.calls:
        time.sleep(0.01)
    begun = time.monotonic()
    link.close(timeout_s=0.5)
    assert time.monotonic() - begun < 5.0
    assert fates == [Fate.LOST]
    listener.close()


def test_close_before_start_and_publish_after_close_do_nothing() -> None:
    fates: list[Fate] = []
    link = _link(1, fates)
    link.close(timeout_s=1.0)
    link.publish([Outgoing("haste.tasks", "tier.lab1", b"")])
    assert fates == []
    assert not link.is_up()
