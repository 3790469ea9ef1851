"""`haste doctor` where no server answers: this computer is looked at all the same."""

import json
import socket
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from haste_apps.cli import app
from haste_apps.doctor.computer import examine_watching

NOBODY = "http://127.0.0.1:9"  # the discard port: nothing listens


def doctor(*options: str) -> Result:
    return CliRunner().invoke(app, ["doctor", *options])


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the client's YAML file, which is not there yet."""
    path = tmp_path / "client.yaml"
    monkeypatch.setenv("HASTE_CLIENT_CONFIG", str(path))
    monkeypatch.delenv("HASTE_SERVER_URL", raising=False)
    monkeypatch.delenv("HASTE_TOKEN", raising=False)
    return path


def test_a_server_that_is_away_is_told_with_what_to_do(config: Path) -> None:
    config.write_text(f"server_url: {NOBODY}\n")
    run = doctor()
    assert run.exit_code == 1
    lines = run.stdout.splitlines()
    assert lines[0] == f"ok       settings  server {NOBODY} from {config}; no token"
    assert lines[1] == f"wrong    server    no HASTE server answers at {NOBODY}: connection refused"
    assert lines[2].strip() == "-> Start it on this computer with haste-server."
    assert sum(line.startswith("unknown") for line in lines) == 1
    assert any("watching" in line for line in lines)
    assert "1 wrong" in run.stderr


def test_a_server_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("haste_client.connection.LOOK_TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        run = doctor("--server", f"http://127.0.0.1:{silent.getsockname()[1]}")
    assert run.exit_code == 1
    assert "no answer within 0.2 s" in run.stdout


def test_all_checks_are_named_for_programs(config: Path) -> None:
    config.write_text(f"server_url: {NOBODY}\n")
    told = json.loads(doctor("--json").stdout)
    assert told["well"] is False
    assert [finding["check"] for finding in told["findings"]] == [
        *("settings", "server", "clocks", "token", "database", "broker", "engine"),
        *("workers", "queues", "tiers", "versions", "watching"),
    ]
    wanted = {"wrong", "warning"}
    assert all(bool(one["remedy"]) is (one["outcome"] in wanted) for one in told["findings"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("server_url: nonsense\n", "server_url"),
        ("sever_url: http://pc\n", "sever_url"),
        ("a: [", "cannot be read as YAML"),
    ],
)
def test_settings_that_are_wrong_end_nothing(config: Path, text: str, said: str) -> None:
    config.write_text(text)
    run = doctor()
    assert run.exit_code == 1
    assert said in run.stdout
    assert str(config) in run.stdout
    assert "watching" in run.stdout
    assert "Traceback" not in run.output


def test_folders_that_are_not_there_are_told(config: Path, tmp_path: Path) -> None:
    config.write_text(f"server_url: {NOBODY}\nroots: {{nas: {tmp_path / 'missing'}, here: {tmp_path}}}\n")
    findings = {one["check"]: one for one in json.loads(doctor("--json").stdout)["findings"]}
    assert f"roots from {config}" in findings["settings"]["said"]
    assert findings["folders"]["outcome"] == "wrong"
    assert "the root nas" in findings["folders"]["said"]
    assert "Mount" in findings["folders"]["remedy"]


def test_a_file_of_settings_that_is_not_there_is_told() -> None:
    run = doctor("--server", NOBODY)
    assert "which is not there" in run.stdout


@pytest.mark.parametrize(("watches", "outcome"), [("8192", "warning"), ("524288", "ok")])
def test_the_limit_of_watched_folders_is_told(tmp_path: Path, watches: str, outcome: str) -> None:
    (tmp_path / "max_user_watches").write_text(watches)
    finding = examine_watching(tmp_path)
    assert finding.outcome.value == outcome
    assert watches in finding.said
    assert ("max_user_watches=524288" in finding.remedy) is (outcome == "warning")


def test_a_computer_without_such_limits_is_asked_too(tmp_path: Path) -> None:
    assert examine_watching(tmp_path / "none").outcome.value == "ok"


def test_lines_keep_to_the_width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    run = doctor("--server", NOBODY)
    assert max(len(line) for line in run.stdout.splitlines() if "/" not in line) <= 60
    assert "connection refused" in run.stdout.replace("\n", " ")
