"""The server as an engine process and web processes: schema, kills, and a clean end."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pika
import pytest

from haste_core.routing import RESULT_QUEUE
from tests.e2e.server_process import (
    PROC,
    ServerProcess,
    ended_pid,
    run_briefly,
    running_server,
)
from tests.tables import make_tables
from tests.waiting import wait_for

pytestmark = pytest.mark.skipif(not PROC.is_dir(), reason="looks into /proc to see all processes")


@pytest.fixture
def urls(mariadb_url: str, amqp_url: str) -> dict[str, str]:
    return {"HASTE_DATABASE_URL": mariadb_url, "HASTE_BROKER_URL": amqp_url}


@pytest.fixture
def server(tmp_path: Path, urls: dict[str, str]) -> Iterator[ServerProcess]:
    with upgraded_server(tmp_path / "data", urls) as running:
        yield running


@pytest.fixture(scope="module")
def lasting(
    lasting_mariadb_url: str, lasting_amqp_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    """Return a server for the tests that end when it is ready again."""
    urls = {"HASTE_DATABASE_URL": lasting_mariadb_url, "HASTE_BROKER_URL": lasting_amqp_url}
    with upgraded_server(tmp_path_factory.mktemp("lasting") / "data", urls) as running:
        yield running


@contextmanager
def upgraded_server(data_dir: Path, urls: dict[str, str]) -> Iterator[ServerProcess]:
    database = ("--database-url", urls["HASTE_DATABASE_URL"])
    upgraded = run_briefly("--data-dir", data_dir, *database, "db", "upgrade")
    assert upgraded.returncode == 0, upgraded.stderr
    with running_server(data_dir, environment=urls) as running:
        running.wait_until_ready()
        yield running


def part(server: ServerProcess, name: str) -> int:
    """Find the process of one part; web processes have children of the same name."""
    return min(parts(server, name))


def parts(server: ServerProcess, name: str) -> list[int]:
    return server.pids(f" {name} --parent ")


def readiness(server: ServerProcess) -> dict[str, str]:
    return dict(server.call("GET", "/readyz").json())


def test_tables_of_another_version_are_refused_with_the_remedy(mariadb_url: str, tmp_path: Path) -> None:
    refused = run_briefly("--data-dir", tmp_path, "--database-url", mariadb_url)

    assert refused.returncode == 2
    assert "haste-server db upgrade" in refused.stderr


def test_jobs_are_stored_and_a_stopped_server_leaves_nothing(server: ServerProcess, tmp_path: Path) -> None:
    job_id = server.submit(tmp_path / "A01.tif", "count-cells")
    assert "no worker" in server.job(job_id)["tasks"]["Task"]["task_msg"]
    assert len(server.children_of(part(server, "web"))) == 2

    assert server.stop() == 0

    assert server.pids() == []
    assert not server.url_file.exists()
    assert not (server.data_dir / "run" / "engine.json").exists()
    assert "Traceback" not in server.log.read_text()


def test_messages_that_nobody_can_read_are_shown(lasting: ServerProcess, lasting_amqp_url: str) -> None:
    def heads() -> list[tuple[str, str]]:
        shown = lasting.call("GET", "/HASTE/workers/").json()["dead_letters"] or {"latest": []}
        return [(letter["queue"], letter["head"]) for letter in shown["latest"]]

    with pika.BlockingConnection(pika.URLParameters(lasting_amqp_url)) as connection:
        connection.channel().basic_publish("", RESULT_QUEUE, b'{"v": 99}')

    wait_for(lambda: heads() == [(RESULT_QUEUE, '{"v": 99}')])


def test_the_engine_comes_back_when_killed(lasting: ServerProcess) -> None:
    engine = part(lasting, "engine")

    os.kill(engine, signal.SIGKILL)

    wait_for(lambda: parts(lasting, "engine") not in ([], [engine]))
    wait_for(lasting.is_ready)
    assert lasting.call("GET", "/HASTE/jobs/").status_code == 200


def test_readiness_tells_of_an_engine_that_hangs(lasting: ServerProcess) -> None:
    engine = part(lasting, "engine")
    os.kill(engine, signal.SIGSTOP)
    try:
        wait_for(lambda: "nothing heard" in readiness(lasting)["engine"])
        assert readiness(lasting)["database"] == "ok"
        assert not lasting.is_ready()
    finally:
        os.kill(engine, signal.SIGCONT)

    wait_for(lasting.is_ready)


def test_the_web_processes_come_back_when_killed(lasting: ServerProcess) -> None:
    arbiter = part(lasting, "web")
    children = wait_for(lambda: len(found := lasting.children_of(arbiter)) == 2 and found)

    os.kill(children[0], signal.SIGKILL)
    wait_for(lambda: len(lasting.children_of(arbiter)) == 2 and children[0] not in lasting.pids())
    os.kill(arbiter, signal.SIGKILL)
    wait_for(lambda: arbiter not in parts(lasting, "web") and len(parts(lasting, "web")) == 3)

    wait_for(lasting.is_ready)


def test_all_end_when_the_first_process_is_killed(server: ServerProcess) -> None:
    server.process.kill()

    wait_for(lambda: not server.pids())


def test_all_end_when_the_process_that_started_them_is_gone(urls: dict[str, str], tmp_path: Path) -> None:
    make_tables(urls["HASTE_DATABASE_URL"])
    with running_server(tmp_path / "data", "--parent", str(ended_pid()), environment=urls) as server:
        assert server.process.wait(60) == 0
        assert server.pids() == []


def test_a_broker_alone_makes_one_process_without_workers(amqp_url: str, tmp_path: Path) -> None:
    with running_server(tmp_path / "data", environment={"HASTE_BROKER_URL": amqp_url}) as server:
        server.wait_until_ready()

        assert len(server.children_of(server.process.pid)) == 1
        assert server.pids("haste_workers.cli") == []
        assert server.stop() == 0
        assert server.pids() == []


def test_a_database_alone_makes_one_process_with_its_own_workers(mariadb_url: str, tmp_path: Path) -> None:
    make_tables(mariadb_url)
    options = ("--database-url", mariadb_url, "--workers", "1")
    with running_server(tmp_path / "data", *options) as server:
        server.wait_until_ready()

        wait_for(lambda: server.call("GET", "/HASTE/workers/").json()["workers"])
        assert server.stop() == 0
        assert server.pids() == []
