import json
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import stamina
from stamina.instrumentation import StructlogOnRetryHook, set_on_retry_hooks

from haste_client.connection import Connection
from haste_client.errors import AccessDeniedError, OutageError, ServerError, ServerUnreachableError
from haste_core.errors import ConflictError, InvalidError, NotFoundError, OutcomeUnknownError, Problem

HANG_UP = 0  # as a status: the connection is closed without an answer


class ScriptedServer:
    """A real HTTP server that gives prepared answers, and keeps what it was asked."""

    def __init__(self, port: int = 0) -> None:
        self.answers: list[tuple[int, dict[str, str], bytes]] = []
        self.asked: list[tuple[str, str, dict[str, str], Any]] = []
        script = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                body = json.loads(self.rfile.read(length)) if length else None
                script.asked.append((self.command, self.path, dict(self.headers), body))
                status, headers, content = script.answers.pop(0)
                if status == HANG_UP:
                    self.close_connection = True
                    return
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(content))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PATCH = do_DELETE = answer  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def will_answer(self, status: int, document: Any = None, **headers: str) -> None:
        content = b"" if document is None else json.dumps(document).encode()
        self.answers.append(
            (status, {name.replace("_", "-"): text for name, text in headers.items()}, content)
        )

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    scripted = ScriptedServer()
    yield scripted
    scripted.stop()


@pytest.fixture
def connection(server: ScriptedServer) -> Iterator[Connection]:
    with Connection(server.url, token="a-secret", retry_for_s=5) as made:
        yield made


def test_the_token_is_sent_and_json_comes_back(server: ScriptedServer, connection: Connection) -> None:
    server.will_answer(200, {"status": "ok"})
    assert connection.get("/healthz", {"limit": 5, "cursor": None}) == {"status": "ok"}
    method, path, headers, _ = server.asked[0]
    assert (method, path) == ("GET", "/healthz?limit=5")
    assert headers["Authorization"] == "Bearer a-secret"


def test_an_outage_is_waited_for_as_long_as_the_server_says(
    server: ScriptedServer, connection: Connection
) -> None:
    server.will_answer(503, {"detail": "the database is away"}, Retry_After="0.4")
    server.will_answer(429, {"detail": "too much"}, Retry_After="0")
    server.will_answer(200, [1])
    began = time.monotonic()
    assert connection.get("/") == [1]
    assert time.monotonic() - began >= 0.4


def test_retries_are_told_by_nobody_but_those_of_other_libraries_are(
    server: ScriptedServer, capsys: pytest.CaptureFixture[str]
) -> None:
    set_on_retry_hooks([StructlogOnRetryHook, lambda details: print(f"told of {details.name}")])  # noqa: T201
    try:
        with Connection(server.url), Connection(server.url) as connection:
            server.will_answer(503, {"detail": "the database is away"}, Retry_After="0")
            server.will_answer(200, [1])
            assert connection.get("/") == [1]
        quiet = capsys.readouterr()
        refused = iter([True, False])

        @stamina.retry(on=ValueError, wait_initial=0, wait_max=0, wait_jitter=0)
        def of_another_library() -> None:
            if next(refused):
                raise ValueError

        of_another_library()
    finally:
        set_on_retry_hooks(None)
    assert (quiet.out, quiet.err) == ("", "")
    assert capsys.readouterr().out.count("of_another_library") == 2


def test_all_retries_of_a_post_carry_one_key(server: ScriptedServer, connection: Connection) -> None:
    server.will_answer(503, Retry_After="0")
    server.answers.append((HANG_UP, {}, b""))
    server.will_answer(201, {"job_id": 1})
    server.will_answer(201, {"job_id": 2})
    assert connection.post("/HASTE/job/", {"a": 1}) == {"job_id": 1}
    connection.post("/HASTE/job/", {"a": 1})
    keys = [headers["Idempotency-Key"] for _, _, headers, _ in server.asked]
    assert len(keys) == 4
    assert len(set(keys[:3])) == 1
    assert keys[3] != keys[0]


def test_an_outage_that_lasts_says_which(server: ScriptedServer, connection: Connection) -> None:
    server.will_answer(503, {"title": "Unavailable", "detail": "the broker is away"}, Retry_After="3600")
    with pytest.raises(OutageError, match="the broker is away"):
        connection.get("/")


def test_readiness_names_the_part_that_ails(server: ScriptedServer, connection: Connection) -> None:
    answer = {"database": "ok", "broker": "connection refused", "engine": "ok"}
    server.will_answer(503, answer, Retry_After="3600")
    with pytest.raises(OutageError, match=r"^broker: connection refused$"):
        connection.get("/readyz")


def test_a_server_that_is_not_there_is_named_with_what_to_do() -> None:
    with Connection("http://127.0.0.1:9/", retry_for_s=0.3) as connection:
        began = time.monotonic()
        with pytest.raises(ServerUnreachableError, match=r"127\.0\.0\.1:9 .*refused.*haste-server"):
            connection.get("/")
        assert time.monotonic() - began < 5


def test_a_name_that_does_not_resolve_is_unreachable() -> None:
    with (
        Connection("http://no-such-host.invalid", retry_for_s=0.1) as connection,
        pytest.raises(ServerUnreachableError, match=r"no-such-host\.invalid"),
    ):
        connection.get("/")


@pytest.fixture
def dead_proxy(monkeypatch: pytest.MonkeyPatch) -> str:
    """Have the environment name a proxy that nobody runs."""
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://lab:a-password@127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return "http://127.0.0.1:9"


@pytest.mark.usefixtures("dead_proxy")
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_this_machine_is_asked_without_the_labs_proxy(
    server: ScriptedServer, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Looked up here, for a bare container may not know localhost.
    resolve = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda _name, *more: resolve("127.0.0.1", *more))
    server.will_answer(200, [1])
    with Connection(server.url.replace("127.0.0.1", host), retry_for_s=0.3) as connection:
        assert connection.get("/") == [1]


def test_a_proxy_on_the_way_is_named_without_its_password(dead_proxy: str) -> None:
    with (
        Connection("http://haste.example:5510", retry_for_s=0.1) as connection,
        pytest.raises(ServerUnreachableError, match="NO_PROXY") as caught,
    ):
        connection.get("/")
    assert f"through the proxy {dead_proxy}" in str(caught.value)
    assert "a-password" not in str(caught.value)


@pytest.mark.parametrize(
    "detail", ["this server asks for a token: …, or set HASTE_TOKEN", "a proxy wants to know who you are"]
)
def test_a_refusal_names_the_remedy_once(server: ScriptedServer, connection: Connection, detail: str) -> None:
    server.will_answer(401, {"title": "No", "detail": detail})
    with pytest.raises(AccessDeniedError) as refused:
        connection.get("/HASTE/jobs/")
    assert detail in str(refused.value)
    assert str(refused.value).count("HASTE_TOKEN") == 1


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (404, NotFoundError),
        (409, ConflictError),
        (401, AccessDeniedError),
        (403, AccessDeniedError),
        (413, InvalidError),
        (500, ServerError),
    ],
)
def test_each_status_is_an_error_of_its_own(
    server: ScriptedServer, connection: Connection, status: int, error: type[Exception]
) -> None:
    server.will_answer(status, {"title": "No", "detail": "this is why"})
    with pytest.raises(error, match="this is why"):
        connection.get("/")
    assert len(server.asked) == 1


def test_every_problem_of_a_bad_request_is_told(server: ScriptedServer, connection: Connection) -> None:
    problems = [{"where": "tasks", "what": "is required"}, {"where": "site", "what": "is no name"}]
    server.will_answer(400, {"title": "Bad", "problems": problems})
    with pytest.raises(InvalidError) as caught:
        connection.post("/HASTE/job/", {})
    assert caught.value.problems == (Problem("tasks", "is required"), Problem("site", "is no name"))


def test_a_page_that_is_no_json_is_no_haste_server(server: ScriptedServer, connection: Connection) -> None:
    server.answers.append((200, {}, b"<html>welcome</html>"))
    with pytest.raises(InvalidError, match="is this a HASTE server"):
        connection.get("/")


def test_an_answer_without_content_is_none(server: ScriptedServer, connection: Connection) -> None:
    server.will_answer(204)
    connection.delete("/HASTE/job/1")
    assert server.asked[0][:2] == ("DELETE", "/HASTE/job/1")


@pytest.mark.parametrize("status", [HANG_UP, 502, 503, 504])
def test_a_change_that_may_be_made_is_not_asked_for_twice(
    server: ScriptedServer, connection: Connection, status: int
) -> None:
    server.answers.append((status, {}, b""))
    server.will_answer(409, {"detail": "nothing to retry"})

    with pytest.raises(OutcomeUnknownError, match=r"may be done all the same.*look first.*haste task"):
        connection.post_at_most_once("/HASTE/task/1/retry")

    assert len(server.asked) == 1


def test_an_answer_that_breaks_off_is_lost_too(server: ScriptedServer, connection: Connection) -> None:
    server.answers.append((200, {"Transfer-Encoding": "chunked"}, b'5\r\n{"Tas'))
    with pytest.raises(OutcomeUnknownError, match="look first"):
        connection.post_at_most_once("/HASTE/task/1/retry")


def test_a_change_is_asked_for_again_while_there_is_no_connection(server: ScriptedServer) -> None:
    server.stop()
    port = int(server.url.rpartition(":")[2])
    later: list[ScriptedServer] = []

    def restart() -> None:
        later.append(ScriptedServer(port))
        later[0].will_answer(200, {"changed": 1})

    timer = threading.Timer(0.5, restart)
    timer.start()
    try:
        with Connection(server.url, retry_for_s=10) as connection:
            assert connection.post_at_most_once("/HASTE/jobs/retry", {"job_ids": [1]}) == {"changed": 1}
        assert [body for *_, body in later[0].asked] == [{"job_ids": [1]}]
    finally:
        timer.join()
        later[0].stop()


def change_nothing_at(url: str) -> None:
    with Connection(url, retry_for_s=0.1) as connection, pytest.raises(ServerUnreachableError):
        connection.post_at_most_once("/HASTE/task/1/retry")


@pytest.mark.usefixtures("dead_proxy")
@pytest.mark.parametrize("url", ["http://haste.example:5510", "https://haste.example"])
def test_without_the_proxy_nothing_was_asked(url: str) -> None:
    change_nothing_at(url)


def test_behind_a_name_that_does_not_resolve_nothing_was_asked() -> None:
    change_nothing_at("http://no-such-host.invalid")


def test_a_connection_that_is_not_made_in_time_carried_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("haste_client.connection.CONNECT_TIMEOUT_S", 0.2)
    with (
        socket.create_server(("127.0.0.1", 0), backlog=0) as full,
        socket.create_connection(full.getsockname()),  # takes the only place in the queue
        Connection(f"http://127.0.0.1:{full.getsockname()[1]}", retry_for_s=0.1) as connection,
        pytest.raises(ServerUnreachableError, match="no connection within"),
    ):
        connection.post_at_most_once("/HASTE/task/1/retry")


@pytest.mark.parametrize("status", [HANG_UP, 503])
def test_what_is_gone_after_a_lost_answer_was_deleted(
    server: ScriptedServer, connection: Connection, status: int
) -> None:
    server.answers.append((status, {}, b""))
    server.will_answer(404, {"detail": "there is no job 1"})
    connection.delete("/HASTE/job/1")
    assert len(server.asked) == 2

    server.will_answer(404, {"detail": "there is no job 1"})
    with pytest.raises(NotFoundError):
        connection.delete("/HASTE/job/1")
