"""The passwords of database and broker stay in the server, also where both are away."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from haste_core.errors import InvalidError
from haste_server.bootstrap import Server, build
from haste_server.cli import app
from haste_server.configuration import explain, load_settings
from haste_server.processes.own_workers import OwnWorkers

OF_DATABASE, OF_BROKER = "db-pass-4711", "mq-pass-0815"
TOKEN = "a token of some length"
PAGES = ("/readyz", "/healthz", "/HASTE/jobs/", "/HASTE/workers/", "/HASTE/tokens/", "/openapi/openapi.json")


@pytest.fixture
def _closed_port() -> Iterator[int]:
    """Hold a port at which nobody listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@pytest.fixture
def _settings(_closed_port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address = f"127.0.0.1:{_closed_port}"
    monkeypatch.setenv("HASTE_DATABASE_URL", f"mysql+pymysql://haste:{OF_DATABASE}@{address}/haste")
    monkeypatch.setenv("Haste_Broker_Url", f"amqp://haste:{OF_BROKER}@{address}/haste")
    monkeypatch.setenv("HASTE_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("HASTE_TOKEN", TOKEN)


@pytest.fixture
def server(_settings: None) -> Server:
    return build(load_settings().settings)


def check(text: str) -> None:
    assert OF_DATABASE not in text
    assert OF_BROKER not in text


@pytest.mark.usefixtures("_settings")
def test_the_settings_are_shown_without_them() -> None:
    shown = CliRunner().invoke(app, ["check-config"])

    assert shown.exit_code == 0, shown.output
    assert "mysql+pymysql://haste:***@127.0.0.1" in shown.output
    assert "amqp://haste:***@127.0.0.1" in shown.output
    check(shown.output)


def test_nothing_that_is_asked_for_tells_them_while_both_are_away(
    server: Server, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    parts = server.whole("http://127.0.0.1:5510")
    parts.start()
    try:
        client = parts.application.test_client()
        asked = [(path, TOKEN) for path in PAGES]
        for path, shown in (*asked, ("/HASTE/jobs/", "another token, which the database knows")):
            answer = client.get(path, headers={"Authorization": f"Bearer {shown}"})
            check(answer.text + str(answer.headers))
        ready = client.get("/readyz")
        assert (ready.status_code, set(ready.json)) == (503, {"database", "broker", "engine"})
        assert "127.0.0.1" in ready.json["database"]  # the trouble itself is told
        assert client.get("/HASTE/jobs/", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 503
    finally:
        parts.stop()
    logged = capfd.readouterr()
    check(logged.out + logged.err + caplog.text)
    assert "amqp_down" in logged.out + logged.err + caplog.text
    check(repr(server) + repr(server.settings) + repr(parts))


def test_own_workers_are_not_told_them(server: Server) -> None:
    workers = OwnWorkers(server.settings, server.pipelines, server.token, "http://127.0.0.1:5510")

    environment = workers.environment({})

    check(repr(environment))
    assert TOKEN not in environment.values()
    assert environment["HASTE_SERVER_URL"] == "http://127.0.0.1:5510"


@pytest.mark.usefixtures("_settings")
def test_a_database_that_is_away_is_told_without_them() -> None:
    said = CliRunner().invoke(app, ["db", "upgrade"])

    assert said.exit_code == 5, said.output
    assert "database is not available" in said.output
    check(said.output)


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("database_url", f"mysql+pymysql://haste:a@{OF_DATABASE}@127.0.0.1:1/haste"),
        ("broker_url", f"amqp://haste:12/{OF_BROKER}@127.0.0.1:1/haste"),
        ("broker_url", f"amqp://haste:12#{OF_BROKER}@127.0.0.1:1/haste"),
        ("broker_url", f"amqp://haste:12?{OF_BROKER}@127.0.0.1:1/haste"),
    ],
)
def test_a_password_of_which_a_part_would_pass_for_a_host_is_refused(name: str, url: str) -> None:
    with pytest.raises(InvalidError, match="write @ as %40") as refused:
        load_settings(**{name: url})
    check(str(refused.value))


@pytest.mark.parametrize(
    "url",
    [
        f"mysql+pymysql://haste@127.0.0.1/haste?password={OF_DATABASE}",
        f"mysql+pymysql://haste@127.0.0.1/haste?charset=utf8&passwd={OF_DATABASE}&x=y",
        f"mysql+pymysql://haste:{OF_DATABASE}/a@127.0.0.1/haste",
    ],
)
def test_odd_addresses_are_shown_without_their_passwords(url: str) -> None:
    check(explain(load_settings(database_url=url)))


@pytest.mark.parametrize("name", ["database_url", "broker_url"])
def test_an_address_of_another_kind_is_refused_without_its_password(name: str) -> None:
    with pytest.raises(InvalidError) as refused:
        load_settings(**{name: f"https://haste:{OF_DATABASE}@127.0.0.1/haste"})
    check(str(refused.value) + repr(refused.value.problems))
