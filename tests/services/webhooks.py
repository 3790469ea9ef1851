"""A receiver of webhooks on the loopback interface."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


@dataclass(frozen=True)
class Received:
    """One POST."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]


class HookServer:
    """Answers with one status after the other, the last one for ever; used as a context.

    Parameters
    ----------
    statuses : sequence of int
        0 stands for no answer at all, until `release`.
    port : int
        0 takes a free one.
    pause_s : float
        Before each answer.

    Attributes
    ----------
    received : list of Received
    """

    def __init__(self, *statuses: int, port: int = 0, pause_s: float = 0.0) -> None:
        self.received: list[Received] = []
        self._statuses: Sequence[int] = statuses or (200,)
        self._pause_s = pause_s
        self._released = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        """Its address, with a secret in it."""
        return f"http://127.0.0.1:{self.port}/hooks/open-sesame"

    def release(self) -> None:
        """Answer what was not answered."""
        self._released.set()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                text = self.rfile.read(int(self.headers["Content-Length"]))
                place = min(len(server.received), len(server._statuses) - 1)
                server.received.append(Received(self.path, dict(self.headers), json.loads(text)))
                status = server._statuses[place]
                if not status:
                    server._released.wait(60)
                    return
                server._released.wait(server._pause_s)
                self.send_response(status)
                self.send_header("Content-Length", "0")
                if 300 <= status < 400:
                    self.send_header("Location", "/elsewhere")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Keep still."""

        return Handler
