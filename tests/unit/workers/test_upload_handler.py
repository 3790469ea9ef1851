"""The handler of `upload`, against a real HTTP server that keeps the agreement of the landing area."""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from haste_core.states import TaskState
from haste_workers.durable import sha256_of
from tests.unit.workers.bench import RunTask


@dataclass
class Landing:
    """What the server was sent, and what it shall answer next."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    refusal: tuple[int, dict[str, Any]] | None = None
    nonsense: bytes | None = None
    breaks_off: bool = False
    answers_half: bool = False


def _handler(landing: Landing) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            if landing.breaks_off:
                self.rfile.read(10)
                self.connection.close()
                return
            body = self.rfile.read(int(self.headers["Content-Length"]))
            landing.headers = dict(self.headers)
            if landing.refusal is not None:
                self.answer(*landing.refusal)
            elif self.headers["Repr-Digest"] != f"sha-256=:{_digest(body)}:":
                self.answer(400, {"detail": "the content has another SHA-256"})
            else:
                is_new = self.path not in landing.files
                landing.files[self.path] = body
                place = {
                    "url": f"root://landing/{hashlib.sha256(body).hexdigest()}.tif",
                    "site": "hpc",
                    "sha256": hashlib.sha256(body).hexdigest(),
                    "size_bytes": len(body),
                }
                self.answer(201 if is_new else 200, {"place": place})

        def answer(self, status: int, value: dict[str, Any]) -> None:
            body = landing.nonsense or json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body) + landing.answers_half))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    return Handler


def _digest(body: bytes) -> str:
    return base64.b64encode(hashlib.sha256(body).digest()).decode()


@pytest.fixture
def landing() -> Iterator[Landing]:
    landing = Landing()
    with ThreadingHTTPServer(("127.0.0.1", 0), _handler(landing)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        landing.url = f"http://127.0.0.1:{server.server_port}"
        yield landing
        server.shutdown()
        thread.join()


@pytest.fixture
def source(data_dir: Path) -> Path:
    path = data_dir / "field.tif"
    path.write_bytes(b"pixels" * 100_000)
    return path


def test_file_arrives_whole_and_its_place_is_the_servers(
    run_task: RunTask, landing: Landing, source: Path
) -> None:
    settings = {"server_url": f"{landing.url}/", "token": "a-token"}
    result = run_task("upload", source, settings=settings, source_id="A 01/sitß1")
    assert result.state is TaskState.DONE, result.message
    ((path, body),) = landing.files.items()
    assert path == "/HASTE/files/plate7/A%2001/sit%C3%9F1.tif"
    assert body == source.read_bytes()
    assert landing.headers["Authorization"] == "Bearer a-token"
    assert result.place is not None
    assert (result.place.site, result.place.size_bytes) == ("hpc", 600_000)
    assert result.response["sha256"] == hashlib.sha256(body).hexdigest()


def test_again_is_no_error(run_task: RunTask, landing: Landing, source: Path) -> None:
    settings = {"server_url": landing.url}
    first = run_task("upload", source, settings=settings)
    second = run_task("upload", source, settings=settings)
    assert (second.state, second.place) == (TaskState.DONE, first.place)


def test_empty_file(run_task: RunTask, landing: Landing, data_dir: Path) -> None:
    (data_dir / "empty.tif").touch()
    result = run_task("upload", data_dir / "empty.tif", settings={"server_url": landing.url})
    assert result.state is TaskState.DONE
    assert list(landing.files.values()) == [b""]


def test_hostile_name_stays_below_the_stream(run_task: RunTask, landing: Landing, source: Path) -> None:
    run_task("upload", source, settings={"server_url": landing.url}, source_id="../../jobs/..")
    ((path, _),) = landing.files.items()
    assert path.startswith("/HASTE/files/plate7/")
    assert ".." not in path.split("/")


@pytest.mark.parametrize("status", [429, 500, 503, 507])
def test_trouble_of_the_server_is_tried_again(
    run_task: RunTask, landing: Landing, source: Path, status: int
) -> None:
    landing.refusal = (status, {"detail": "the landing area is full"})
    result = run_task("upload", source, settings={"server_url": landing.url})
    assert result.state is TaskState.REMOTE_TROUBLE
    assert f"{status} the landing area is full" in result.message


@pytest.mark.parametrize("status", [301, 400, 401, 413])
def test_refusal_is_final_and_says_why(
    run_task: RunTask, landing: Landing, source: Path, status: int
) -> None:
    landing.refusal = (status, {"detail": "too large for this server"})
    result = run_task("upload", source, settings={"server_url": landing.url})
    assert result.state is TaskState.ERROR
    assert f"{status} too large for this server" in result.message


def test_file_that_changed_since_it_was_recorded_is_refused(
    run_task: RunTask, landing: Landing, source: Path
) -> None:
    result = run_task("upload", source, settings={"server_url": landing.url}, sha256="0" * 64)
    assert result.state is TaskState.ERROR
    assert "another SHA-256" in result.message
    assert landing.files == {}


def test_broken_connection_is_tried_again(run_task: RunTask, landing: Landing, source: Path) -> None:
    landing.breaks_off = True
    result = run_task("upload", source, settings={"server_url": landing.url})
    assert result.state is TaskState.REMOTE_TROUBLE


def test_answer_that_breaks_off_is_tried_again(run_task: RunTask, landing: Landing, source: Path) -> None:
    landing.answers_half = True
    result = run_task("upload", source, settings={"server_url": landing.url})
    assert result.state is TaskState.REMOTE_TROUBLE
    assert "broke off" in result.message


class ChangedAfterHashing:
    """Has the file change each time when it has been hashed, so many times."""

    def __init__(self, source: Path, times: int) -> None:
        self._source = source
        self._left = times

    def __call__(self, path: Path) -> str:
        digest = sha256_of(path)
        if self._left > 0:
            self._left -= 1
            with self._source.open("ab") as file:
                file.write(b"more pixels")
        return digest


def test_file_that_changes_between_hashing_and_sending_is_sent_as_it_is_then(
    run_task: RunTask, landing: Landing, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("haste_workers.handlers.upload.sha256_of", ChangedAfterHashing(source, 1))
    result = run_task("upload", source, settings={"server_url": landing.url})
    assert result.state is TaskState.DONE, result.message
    assert list(landing.files.values()) == [source.read_bytes()]
    assert result.response["sha256"] == sha256_of(source)


def test_file_that_goes_on_changing_is_sent_later(
    run_task: RunTask, landing: Landing, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("haste_workers.handlers.upload.sha256_of", ChangedAfterHashing(source, 9))
    result = run_task("upload", source, settings={"server_url": landing.url})
    assert result.state is TaskState.REMOTE_TROUBLE
    assert "still being written" in result.message
    assert landing.files == {}


def test_proxy_of_the_lab_is_not_asked_for_this_machine(
    run_task: RunTask, landing: Landing, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    result = run_task("upload", source, settings={"server_url": landing.url})
    assert result.state is TaskState.DONE, result.message


def test_server_that_is_away_is_tried_again(run_task: RunTask, source: Path) -> None:
    result = run_task("upload", source, settings={"server_url": "http://127.0.0.1:9"})
    assert result.state is TaskState.REMOTE_TROUBLE
    assert "http://127.0.0.1:9 cannot be reached" in result.message


def test_something_else_than_a_haste_server(run_task: RunTask, landing: Landing, source: Path) -> None:
    landing.nonsense = b"<html>hello</html>"
    result = run_task("upload", source, settings={"server_url": landing.url})
    assert result.state is TaskState.ERROR
    assert "does not answer like a HASTE server" in result.message


def test_worker_without_server(run_task: RunTask, source: Path) -> None:
    result = run_task("upload", source)
    assert result.state is TaskState.ERROR
    assert "--server-url" in result.message
