"""What the client does when the server has done what it was asked for, and the answer is lost on the way."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests

from haste_client import HasteClient, NotFoundError, OutcomeUnknownError
from tests.e2e.server_process import PROC, ServerProcess, running_server
from tests.waiting import wait_for

pytestmark = pytest.mark.skipif(not PROC.is_dir(), reason="looks into /proc to see all processes")

SLOW_HANDLER = """
import time

def slow(job, task, context):
    time.sleep(60)
"""
NOT_THERE = {"source_url": "root://home/no-such-folder/A01.tif", "source_id": "A01", "tasks": "focus-score"}


class LosingProxy:
    """Hands requests on to a server, and keeps as many of the answers to itself as it is told."""

    def __init__(self, target: str) -> None:
        self.to_lose = 0
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            def hand_on(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                kept = {
                    name: self.headers[name]
                    for name in ("Content-Type", "Idempotency-Key")
                    if name in self.headers
                }
                answer = requests.request(
                    self.command, target + self.path, data=self.rfile.read(length), headers=kept, timeout=20
                )
                if proxy.to_lose > 0:
                    proxy.to_lose -= 1
                    self.close_connection = True
                    return
                self.send_response(answer.status_code)
                self.send_header("Content-Length", str(len(answer.content)))
                self.end_headers()
                self.wfile.write(answer.content)

            do_GET = do_POST = do_DELETE = hand_on  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("server")
    (folder / "slow_handler.py").write_text(SLOW_HANDLER)
    options = ["--handler", "slow=slow_handler:slow", "--workers", "1"]
    with running_server(folder / "data", *options, environment={"PYTHONPATH": str(folder)}) as running:
        running.wait_until_ready()
        yield running


@pytest.fixture
def proxy(server: ServerProcess) -> Iterator[LosingProxy]:
    made = LosingProxy(server.url)
    yield made
    made.close()


@pytest.fixture
def client(proxy: LosingProxy) -> Iterator[HasteClient]:
    with HasteClient(proxy.url) as made:
        yield made


def test_a_task_is_forced_to_run_again_once(client: HasteClient, proxy: LosingProxy) -> None:
    job = client.submit_job({**NOT_THERE, "source_id": "slow", "tasks": "slow"})
    task_id = job.task_list()[0].task_id
    wait_for(lambda: client.task(task_id).task_state == 102)
    proxy.to_lose = 1

    with pytest.raises(OutcomeUnknownError, match="look first"):
        client.retry_task(task_id, force=True)

    wait_for(lambda: client.task(task_id).task_state == 102)
    assert [attempt.outcome for attempt in client.task(task_id).history] == ["revoked", "running"]
    client.delete_job(job.job_id)


def test_a_retry_that_was_done_is_not_said_to_be_impossible(client: HasteClient, proxy: LosingProxy) -> None:
    job = client.submit_job(NOT_THERE)
    wait_for(lambda: client.job(job.job_id).state == 404)
    proxy.to_lose = 1

    with pytest.raises(OutcomeUnknownError, match="look first"):
        client.retry_job(job.job_id)

    wait_for(lambda: client.job(job.job_id).state == 404)
    assert len(client.task(job.task_list()[0].task_id).history) == 2


def test_what_may_be_repeated_comes_to_its_end(client: HasteClient, proxy: LosingProxy) -> None:
    proxy.to_lose = 1
    job = client.submit_job({**NOT_THERE, "tasks": "a-key-without-workers"})
    assert list(client.search(job.source_id)).count(job.job_id) == 1

    proxy.to_lose = 1
    assert client.cancel_job(job.job_id).state == 410

    proxy.to_lose = 2
    client.delete_job(job.job_id)
    with pytest.raises(NotFoundError):
        client.job(job.job_id)
    with pytest.raises(NotFoundError):
        client.delete_job(job.job_id)
