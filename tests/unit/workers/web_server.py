"""A web server whose answers are named by what is asked for; in the end also that of an S3 server."""

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

BODY = b"p" * 1000


class WebServer(ThreadingHTTPServer):
    """Answers ``/…/404.tif`` with 404, ``/…/cut.tif`` with half a body, and so on; or with one of `files`.

    Attributes
    ----------
    files : dict
        Bodies by path.
    asked : list
        The headers of all requests.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.files: dict[str, bytes] = {}
        self.asked: list[dict[str, str]] = []
        self.url = f"http://127.0.0.1:{self.server_port}"


@contextmanager
def running_web_server() -> Iterator[WebServer]:
    with WebServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


class _Answer(BaseHTTPRequestHandler):
    server: WebServer

    def do_GET(self) -> None:
        self.server.asked.append(dict(self.headers))
        with suppress(ConnectionError):  # the client has seen enough
            self._answer()

    def _answer(self) -> None:
        name = self.path.rsplit("/", 1)[-1].split(".")[0]
        if self.path in self.server.files:
            self._send(self.server.files[self.path])
        elif name == "cut":
            self._send(BODY[:500], told=len(BODY))
        elif name == "stalled":
            self._send(BODY[:500], told=len(BODY))
            self.rfile.read(1)  # until the client gives up
        elif name == "vast":
            self._send(b"", told=10**12)
        elif name == "packed":
            self._send(gzip.compress(BODY)[:20], encoding="gzip")
        elif name == "untold":
            self._send(BODY, told=None)
        elif name.startswith("chunks"):
            self._send_chunks(3, to_the_end=name == "chunks")
        elif name == "302":
            self._send(b"", status=302, location="http://169.254.169.254/secret?key=hush")
        else:
            self._send(BODY if name == "200" else b"", status=int(name))

    def _send(
        self,
        body: bytes,
        *,
        told: int | None = -1,
        status: int = 200,
        location: str | None = None,
        encoding: str | None = None,
    ) -> None:
        self.send_response(status)
        if told is not None:
            self.send_header("Content-Length", str(len(body) if told == -1 else told))
        if location is not None:
            self.send_header("Location", location)
        if encoding is not None:
            self.send_header("Content-Encoding", encoding)
        self.end_headers()
        self.wfile.write(body)

    def _send_chunks(self, count: int, *, to_the_end: bool) -> None:
        self.protocol_version = "HTTP/1.1"
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for _ in range(count):
            self.wfile.write(b"%x\r\n%b\r\n" % (len(BODY), BODY))
        if to_the_end:
            self.wfile.write(b"0\r\n\r\n")
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass
