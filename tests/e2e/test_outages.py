"""What clients say and do while the server's broker or database is away."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from typer.testing import CliRunner, Result

from haste_apps.cli import app
from haste_client import HasteClient, OutageError, Submission
from tests.e2e.haste_command import environment, haste, impatient_haste, watching
from tests.e2e.server_process import (
    PROC,
    ServerProcess,
    running_server,
    running_worker,
)
from tests.integration.tcp_proxy import TcpProxy
from tests.services.process import free_port
from tests.tables import make_tables
from tests.waiting import wait_for

pytestmark = pytest.mark.skipif(not PROC.is_dir(), reason="the server's fixture looks into /proc")

OUTAGE_S = 1.0


@pytest.fixture(scope="module")
def no_broker(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Iterator[ServerProcess]:
    """Return a server on SQLite that looks for its broker where nobody answers."""
    broker = {"HASTE_BROKER_URL": f"amqp://guest:guest@127.0.0.1:{free_port()}/%2F"}
    data_dir = tmp_path_factory.mktemp("server") / "data"
    with running_server(data_dir, "--root", f"nas={root}", environment=broker) as server:
        assert "no RabbitMQ answers" in readiness(server)["broker"]
        yield server


def readiness(server: ServerProcess) -> dict[str, str]:
    return wait_for(lambda: dict(server.call("GET", "/readyz").json()))


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let waiting ask soon why nothing moves, and end after a short outage."""
    monkeypatch.setattr("haste_client.holdups.QUIET_S", 0.5)
    monkeypatch.setitem(Submission.wait.__kwdefaults__, "outage_s", OUTAGE_S)


def wait_here(folder: Path, *, url: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> Result:
    """Run `haste submit --wait` in this process."""
    for name, value in environment(url, {"nas": root}).items():
        monkeypatch.setenv(name, value)
    return CliRunner().invoke(app, ["submit", str(folder), "--wait"])


def test_what_is_submitted_without_a_broker_is_stored_and_the_command_says_so(
    no_broker: ServerProcess, root: Path, plate: Path
) -> None:
    run = haste("submit", str(plate), "--json", url=no_broker.url, roots={"nas": root})
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout)["new"] == 6
    assert f"cannot work now: broker: {readiness(no_broker)['broker']}" in run.stderr
    assert "are stored, and processed when it is back" in run.stderr


def test_waiting_without_a_broker_names_it_and_means_try_again(
    no_broker: ServerProcess, root: Path, plate: Path, impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = wait_here(plate, url=no_broker.url, root=root, monkeypatch=monkeypatch)
    assert run.exit_code == 5, run.output
    said = f"cannot work now: broker: {readiness(no_broker)['broker']}"
    first, *_, last = [line for line in run.stderr.splitlines() if said in line]
    assert "Waiting for it, for 1 s at most" in first
    assert last.startswith("haste: ")
    assert last.endswith("(a later run continues)")
    assert "no worker" not in run.stderr, "without a broker, nobody can tell"


def test_a_program_that_waits_is_told_too(
    no_broker: ServerProcess, root: Path, plate: Path, impatient: None, caplog: pytest.LogCaptureFixture
) -> None:
    with HasteClient(no_broker.url, roots={"nas": root}) as client:
        submission = client.submit_directory(plate)
        with pytest.raises(OutageError, match="no RabbitMQ answers"):
            submission.wait(timeout_s=60)
    (told,) = [record for record in caplog.records if record.name.startswith("haste_client")]
    assert "no RabbitMQ answers" in told.getMessage()


def test_a_watch_tells_once_that_the_broker_is_away(
    no_broker: ServerProcess, root: Path, plate: Path, tmp_path: Path
) -> None:
    said = tmp_path / "said.txt"
    with watching(plate, said, url=no_broker.url, roots={"nas": root}) as watcher:
        wait_for(lambda: "6 images submitted" in said.read_text())
        wait_for(lambda: "no RabbitMQ answers" in said.read_text())
        watcher.terminate()
        assert watcher.wait(20) == 0
    assert said.read_text().count("no RabbitMQ answers") == 1


@contextmanager
def waiting(folder: Path, said: Path, *, url: str, root: Path) -> Iterator[subprocess.Popen[str]]:
    """Run `haste submit --wait`, its words in a file."""
    with said.open("w") as stream:
        command = subprocess.Popen(
            impatient_haste("submit", str(folder), "--wait", "--json"),
            stdout=subprocess.PIPE,
            stderr=stream,
            text=True,
            env=environment(url, {"nas": root}),
        )
    try:
        yield command
    finally:
        command.kill()
        command.communicate()


def behind(url: str, port: int) -> str:
    """Return the address of a service as if it had this port."""
    return url.replace(f":{urlsplit(url).port}/", f":{port}/")


def test_waiting_goes_on_when_the_broker_comes_in_time(
    tmp_path: Path, root: Path, plate: Path, amqp_url: str
) -> None:
    port, said = free_port(), tmp_path / "said.txt"
    broker = {"HASTE_BROKER_URL": behind(amqp_url, port)}
    worker = ("--keys", "focus-score,tier", "--root", f"nas={root}", "--concurrency", 1)
    of_worker = {
        "HASTE_BROKER_URL": amqp_url,
        "HASTE_WORK_DIR": str(tmp_path / "work"),
        "HASTE_HEARTBEAT_S": "0.2",  # so that it is heard of before the command looks again
    }
    with (
        running_server(tmp_path / "data", "--root", f"nas={root}", environment=broker) as server,
        running_worker(tmp_path / "worker.log", *worker, environment=of_worker),
        waiting(plate, said, url=server.url, root=root) as command,
    ):
        wait_for(lambda: "no RabbitMQ answers" in said.read_text())
        with closing(TcpProxy(urlsplit(amqp_url).port or 0, port=port)):
            output, _ = command.communicate(timeout=60)
    assert command.returncode == 0, said.read_text()
    assert json.loads(output.splitlines()[-1])["done"] == 6
    assert said.read_text().count("The server works again.") == 1
    assert "no worker" not in said.read_text()


def test_a_database_that_goes_away_is_named_too(
    tmp_path: Path, root: Path, plate: Path, impatient: None, mariadb_url: str
) -> None:
    said: list[str] = []
    make_tables(mariadb_url)
    with ExitStack() as way:
        proxy = way.enter_context(closing(TcpProxy(urlsplit(mariadb_url).port or 0)))
        database = {"HASTE_DATABASE_URL": behind(mariadb_url, proxy.port)}
        server = way.enter_context(running_server(tmp_path / "data", environment=database))
        client = way.enter_context(HasteClient(server.url, roots={"nas": root}, retry_for_s=0.5))
        submission = client.submit_directory(plate, site="nowhere")
        proxy.close()
        with pytest.raises(OutageError, match="the database is not available"):
            submission.wait(timeout_s=60, tell=said.append)
    assert "the database is not available" in said[0]
    assert "Waiting for it, for 1 s at most" in said[0]
