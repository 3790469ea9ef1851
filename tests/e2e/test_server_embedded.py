"""The server in one process, with real processes: it works, survives kills, and leaves nothing behind."""

import contextlib
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
import requests
import tifffile

from haste_client import HasteClient
from haste_runtime.served import token_of
from haste_server.processes import claims
from tests.e2e.server_process import (
    PROC,
    ServerProcess,
    ended_pid,
    run_briefly,
    running_server,
)
from tests.waiting import wait_for

pytestmark = pytest.mark.skipif(not PROC.is_dir(), reason="looks into /proc to see all processes")

SLOW_HANDLER = """
import pathlib, time

def slow(job, task, context):
    pathlib.Path(job["metadata"]["started"]).touch()
    time.sleep(job["metadata"]["sleep_s"])
    return {"slept": True}
"""
TOKEN = "a token for tests only"


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("images") / "A01.tif"
    noise = np.random.default_rng(0).normal(1000, 50, (64, 64))
    tifffile.imwrite(path, noise.astype(np.uint16))
    return path


@pytest.fixture(scope="module")
def options(image: Path) -> list[str]:
    (image.parent / "slow_handler.py").write_text(SLOW_HANDLER)
    return ["--root", f"images={image.parent}", "--handler", "slow=slow_handler:slow", "--workers", "1"]


@pytest.fixture(scope="module")
def environment(image: Path) -> dict[str, str]:
    return {"PYTHONPATH": str(image.parent), "HASTE_LEASE_S": "3"}


@pytest.fixture
def server(tmp_path: Path, options: list[str], environment: dict[str, str]) -> Iterator[ServerProcess]:
    with running_server(tmp_path / "data", *options, environment=environment) as running:
        running.wait_until_ready()
        yield running


@pytest.fixture(scope="module")
def lasting(
    tmp_path_factory: pytest.TempPathFactory, options: list[str], environment: dict[str, str]
) -> Iterator[ServerProcess]:
    """Return a server for the tests that end when it is ready again."""
    data_dir = tmp_path_factory.mktemp("lasting") / "data"
    with running_server(data_dir, *options, environment=environment) as running:
        running.wait_until_ready()
        yield running


def submit_slow(server: ServerProcess, image: Path, started: Path, *, sleep_s: float) -> int:
    metadata = {"started": str(started), "sleep_s": sleep_s}
    return server.submit(image, "slow", metadata=metadata)


def nothing_left(server: ServerProcess) -> bool:
    return not server.pids()


def test_a_job_runs_and_a_stopped_server_leaves_nothing(server: ServerProcess, image: Path) -> None:
    job = server.wait_for_job(server.submit(image, "focus-score"))
    assert job["state"] == 200, job
    assert isinstance(job["response"]["focus-score"]["plls"], float)
    (web,) = server.children_of(server.process.pid)
    assert len(server.children_of(web)) >= 1

    assert server.stop() == 0

    assert nothing_left(server)
    assert not server.url_file.exists()
    assert "Traceback" not in server.log.read_text()


def test_ctrl_c_at_the_terminal_stops_in_good_order(server: ServerProcess) -> None:
    os.killpg(server.process.pid, signal.SIGINT)

    assert server.process.wait(30) == 0
    assert nothing_left(server)
    assert "Traceback" not in server.log.read_text()


def test_a_running_task_is_finished_before_the_server_stops(
    server: ServerProcess, image: Path, tmp_path: Path, options: list[str], environment: dict[str, str]
) -> None:
    started = tmp_path / "started"
    job_id = submit_slow(server, image, started, sleep_s=2)
    wait_for(started.exists)

    assert server.stop() == 0

    with running_server(server.data_dir, *options, environment=environment) as again:
        job = again.wait_for_job(job_id)
    assert job["state"] == 200
    assert job["tasks"]["Task"]["attempts"] == 1


def test_the_web_and_engine_process_comes_back_when_killed(
    lasting: ServerProcess, image: Path, tmp_path: Path
) -> None:
    job_id = submit_slow(lasting, image, tmp_path / "started", sleep_s=1)
    wait_for((tmp_path / "started").exists)
    url = lasting.url
    (web,) = lasting.children_of(lasting.process.pid)
    others = lasting.children_of(web)

    os.kill(web, signal.SIGKILL)

    wait_for(lambda: lasting.is_ready() and lasting.children_of(lasting.process.pid) != [web])
    assert lasting.wait_for_job(job_id)["state"] == 200
    assert lasting.url == url
    wait_for(lambda: not set(others) & set(lasting.pids()))


def test_the_workers_come_back_when_killed(lasting: ServerProcess, image: Path, tmp_path: Path) -> None:
    job_id = submit_slow(lasting, image, tmp_path / "started", sleep_s=1)
    wait_for((tmp_path / "started").exists)
    workers = lasting.pids("haste_workers.cli")

    os.kill(min(workers), signal.SIGKILL)

    assert lasting.wait_for_job(job_id)["state"] == 200
    assert min(lasting.pids("haste_workers.cli")) != min(workers)


def test_all_end_when_the_first_process_is_killed_and_a_new_server_goes_on(
    server: ServerProcess, image: Path, tmp_path: Path, options: list[str], environment: dict[str, str]
) -> None:
    started = tmp_path / "started"
    job_id = submit_slow(server, image, started, sleep_s=1)
    wait_for(started.exists)

    server.process.kill()
    with running_server(server.data_dir, *options, environment=environment) as again:
        wait_for(lambda: nothing_left(server))
        job = again.wait_for_job(job_id)

    assert job["state"] == 200


def test_a_client_that_keeps_asking_holds_nothing_up_when_the_first_process_is_killed(
    server: ServerProcess,
) -> None:
    with requests.Session() as session:
        url = server.url + "/healthz"
        session.get(url, timeout=10)
        server.process.kill()
        deadline = time.monotonic() + claims.LOCK_WAIT_S  # as long as the next server waits for this one
        while server.pids():
            assert time.monotonic() < deadline, server.pids()
            with contextlib.suppress(requests.ConnectionError):
                session.get(url, timeout=10)
            time.sleep(0.1)


def test_a_server_ends_when_the_process_that_started_it_is_gone(tmp_path: Path) -> None:
    with running_server(tmp_path / "data", "--parent", str(os.getpid())) as server:
        server.wait_until_ready()
        assert server.stop() == 0
    ended = run_briefly("--data-dir", tmp_path / "data", "--port", 0, "--parent", ended_pid())
    assert ended.returncode == 0
    assert "the parent is gone" in ended.stderr


def test_a_data_folder_serves_one_server_only(lasting: ServerProcess) -> None:
    second = run_briefly("--data-dir", lasting.data_dir, "--port", 0)

    assert second.returncode == 5
    assert "another haste-server" in second.stderr
    assert lasting.is_ready()


def test_a_port_that_is_taken_is_told(lasting: ServerProcess, tmp_path: Path) -> None:
    second = run_briefly("--data-dir", tmp_path / "other", "--port", urlsplit(lasting.url).port)

    assert second.returncode == 5
    assert "in use" in second.stderr


def test_with_a_token_workers_upload_and_strangers_do_nothing(
    tmp_path: Path, image: Path, options: list[str], environment: dict[str, str]
) -> None:
    guarded = environment | {"HASTE_TOKEN": TOKEN}
    with running_server(tmp_path / "data", *options, environment=guarded) as server:
        server.wait_until_ready()
        job = server.wait_for_job(server.submit(image, {"taskSequential": ["upload", "focus-score"]}))
        stranger = server.call("GET", "/HASTE/jobs/", headers={"Authorization": "Bearer guess"})

        assert job["state"] == 200, job
        assert job["place"]["url"].startswith("root://landing/default/")
        assert stranger.status_code == 401
        assert TOKEN not in server.log.read_text()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--host", "0.0.0.0"], "a token is needed"),
        (["--port", "many"], "port"),
        (["--root", "nas"], "NAME=VALUE"),
        (["--config", "none.yaml"], "none.yaml"),
        (["--database-url", "postgresql://x"], "mysql+pymysql"),
    ],
)
def test_wrong_settings_end_with_2_and_a_remedy(options: list[str], words: str, tmp_path: Path) -> None:
    ended = run_briefly("--data-dir", tmp_path, *options)

    assert ended.returncode == 2
    assert words in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_database_that_does_not_answer_ends_with_5(tmp_path: Path) -> None:
    url = "mysql+pymysql://haste:secret@127.0.0.1:1/haste"

    ended = run_briefly("--data-dir", tmp_path, "--database-url", url)

    assert ended.returncode == 5
    assert "database" in ended.stderr
    assert "secret" not in ended.stderr
    assert "Traceback" not in ended.stderr


def test_check_config_explains(tmp_path: Path) -> None:
    shown = run_briefly("--data-dir", tmp_path, "--port", "7", "check-config")

    assert shown.returncode == 0
    assert "port: 7  # command line" in shown.stdout
    assert "Runs as: one process" in shown.stdout
    assert "focus-tier" in shown.stdout


def test_a_stop_does_not_wait_for_clients_that_keep_their_connection(server: ServerProcess) -> None:
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname, address.port)) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"200 OK" in connection.recv(1000)
        begin = time.monotonic()

        assert server.stop() == 0

    assert time.monotonic() - begin < 10


def test_a_server_without_a_token_makes_one_that_its_user_finds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "state"
    monkeypatch.setenv("XDG_STATE_HOME", str(home))
    environment = {"HASTE_OPEN_ON_LOOPBACK": "false", "XDG_STATE_HOME": str(home)}
    with running_server(tmp_path / "server", environment=environment) as server:
        server.wait_until_ready()
        assert server.call("GET", "/HASTE/jobs/").status_code == 401
        with HasteClient(server.url) as client:
            assert list(client.streams()) == []
        token = token_of(server.url)
        assert token is not None
        assert server.call("GET", f"/?token={token}").status_code == 200
        assert token not in server.log.read_text()
        assert server.stop() == 0
    assert list((home / "haste" / "servers").iterdir()) == []
