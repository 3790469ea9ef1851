"""Clients that never finish the head of a request, and the threads that they would hold."""

import os
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

if os.name == "nt":
    pytest.skip("there is no gunicorn", allow_module_level=True)

from gunicorn.config import Config
from gunicorn.glogging import Logger
from gunicorn.workers.gthread import TConn

from haste_server.processes import gunicorn_web


class Pair:
    """A web process' side of a connection, handled by a thread, and a client's side."""

    def __init__(self) -> None:
        config = Config()
        self.process: Any = gunicorn_web._WebProcess(1, os.getppid(), [], None, 120, config, Logger(config))
        self.asked, self.answered = threading.Event(), threading.Event()
        self.process.wsgi = self._answer
        ours, self.client = socket.socketpair()
        self.connection = TConn(config, ours, ("127.0.0.1", 1), ("127.0.0.1", 2))
        self.thread = threading.Thread(target=self.process.handle, args=(self.connection,), daemon=True)
        self.thread.start()

    def _answer(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        self.asked.set()
        body = environ["wsgi.input"].read(2)
        start_response("200 OK", [("Content-Length", str(len(body)))])
        self.answered.set()
        return [bytes(body)]

    def stays_after(self, wait_s: float) -> bool:
        time.sleep(wait_s)
        self.process.is_parent_alive()
        self.thread.join(5)
        return self.thread.is_alive()


@pytest.fixture
def pair(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    monkeypatch.setattr(gunicorn_web, "HEAD_S", 0.1)
    made = Pair()
    yield made
    made.client.close()
    made.thread.join(5)
    made.connection.sock.close()
    made.process.tmp.close()


def test_a_head_that_never_ends_holds_no_thread(pair: Pair) -> None:
    pair.client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ")

    assert not pair.stays_after(0.3)
    assert not pair.answered.is_set()


def test_a_body_may_take_longer_than_a_head(pair: Pair) -> None:
    pair.client.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n1")
    assert pair.asked.wait(5)
    time.sleep(0.3)
    pair.process.is_parent_alive()
    pair.client.sendall(b"2")

    assert pair.answered.wait(5)
    pair.client.settimeout(5)
    answer = b""
    while not answer.endswith(b"12"):  # head and body come one after the other
        part = pair.client.recv(4000)
        assert part, answer
        answer += part
