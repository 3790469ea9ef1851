"""A forward proxy as labs have one: what goes out goes through it, and it alone can find other servers."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedIOBase
from urllib.parse import urlsplit

_OWN = frozenset({"connection", "proxy-connection", "proxy-authorization", "keep-alive", "transfer-encoding"})


class ForwardProxy(ThreadingHTTPServer):
    """Forwards requests of plain HTTP, and makes tunnels for TLS.

    Attributes
    ----------
    hosts : dict of str to int
        The ports of this machine at which the servers truly are that it knows.
    asked : list of str
        Method and host of each request, or of each tunnel.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Request)
        self.hosts: dict[str, int] = {}
        self.asked: list[str] = []
        self.url = f"http://127.0.0.1:{self.server_port}"


class _Request(BaseHTTPRequestHandler):
    server: ForwardProxy
    protocol_version = "HTTP/1.1"

    def do_CONNECT(self) -> None:
        port = self._port_of(self.path.rpartition(":")[0])
        self.close_connection = True
        if port is None:
            return
        with socket.create_connection(("127.0.0.1", port)) as target:
            self.send_response(200)
            self.end_headers()
            back = threading.Thread(target=_carry, args=(target, self.connection), daemon=True)
            back.start()
            _carry(self.connection, target)
            back.join()

    def do_GET(self) -> None:
        self._forward()

    def do_POST(self) -> None:
        self._forward()

    def do_PATCH(self) -> None:
        self._forward()

    def _forward(self) -> None:
        url = urlsplit(self.path)
        port = self._port_of(url.hostname or "")
        if port is None:
            return
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _OWN}
        body = _Body(self.rfile, int(self.headers.get("Content-Length", 0)))
        target = HTTPConnection("127.0.0.1", port)
        path = url.path + (f"?{url.query}" if url.query else "")
        with suppress(BrokenPipeError):  # it has answered before it had the whole body
            target.request(self.command, path, body=body if body.left else None, headers=headers)
        answer = target.getresponse()
        self.close_connection = body.left > 0
        self._answer(answer.status, answer.getheaders(), answer.read())
        target.close()

    def _port_of(self, host: str) -> int | None:
        self.server.asked.append(f"{self.command} {host}")
        port = self.server.hosts.get(host)
        if port is None:
            self._answer(502, [], f"{host} is not known here".encode())
        return port

    def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in _OWN | {"content-length"}:
                self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _Body:
    """What a request brings, which ends before its connection does."""

    def __init__(self, file: BufferedIOBase, size_bytes: int) -> None:
        self._file = file
        self.left = size_bytes

    def read(self, count: int = 65536) -> bytes:
        piece = self._file.read(min(count, self.left)) if self.left else b""
        self.left -= len(piece)
        return piece


def _carry(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(65536):
            sink.sendall(piece)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


@contextmanager
def running_forward_proxy() -> Iterator[ForwardProxy]:
    """Serve on a free port."""
    with ForwardProxy() as proxy:
        thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield proxy
        finally:
            proxy.shutdown()
            thread.join()
