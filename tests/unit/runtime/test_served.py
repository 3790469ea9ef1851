"""A token that a server has made is found by programs of its user on its machine, and by nobody else."""

import logging
import sys
from pathlib import Path

import pytest

from haste_client.settings import load_settings
from haste_runtime.served import address_file, forget_token, tell_token, token_of
from haste_server.processes.claims import UrlFile
from haste_server.settings import ServerSettings

URL = "http://127.0.0.1:5510"


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("HASTE_CLIENT_CONFIG", str(tmp_path / "none.yaml"))
    monkeypatch.setattr("platformdirs.user_state_path", lambda name: tmp_path / name)
    return tmp_path


def test_the_token_is_found_by_any_name_of_this_machine() -> None:
    assert token_of(URL) is None
    path = tell_token(URL, "secret")

    assert token_of("http://localhost:5510") == token_of("http://[::1]:5510/") == "secret"
    assert token_of("http://127.0.0.1:5511") is None
    assert token_of("http://haste.lab:5510") is None
    if sys.platform != "win32":
        assert path.stat().st_mode & 0o777 == 0o600
    assert load_settings(url=URL).token.get_secret_value() == "secret"  # type: ignore[union-attr]
    assert load_settings(url=URL, token="own").token.get_secret_value() == "own"  # type: ignore[union-attr]
    assert load_settings(url="http://haste.lab:5510").token is None


def test_it_is_forgotten_unless_it_is_another_servers() -> None:
    tell_token(URL, "first")
    tell_token(URL, "second")
    forget_token(URL, "first")
    assert token_of(URL) == "second"
    forget_token(URL, "second")
    assert token_of(URL) is None
    assert not address_file(URL).exists()


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"token": 5}', "secret"])
def test_a_file_that_cannot_be_read_is_none(content: str) -> None:
    tell_token(URL, "secret")
    address_file(URL).write_text(content)
    assert token_of(URL) is None


def test_a_terminal_is_told_and_a_log_is_not(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    files = UrlFile(None, "secret")
    with caplog.at_level(logging.DEBUG):
        files.write(URL)
        assert "secret" not in capsys.readouterr().err
        assert str(address_file(URL)) in str(caplog.records[-1].__dict__)
        monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
        files.write(URL)
        assert f"Open {URL}/?token=secret\n" in capsys.readouterr().err
    assert "secret" not in " ".join(str(record.__dict__) for record in caplog.records)
    files.remove(URL)
    assert token_of(URL) is None


def test_a_home_that_cannot_be_written_does_not_stop_the_server(
    state: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (state / "haste").write_text("no folder")
    UrlFile(state / "url", "secret").write(URL)

    assert (state / "url").read_text() == f"{URL}\n"
    assert "token_file" in caplog.text


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ({}, True),
        ({"open_on_loopback": True}, False),
        ({"token": "x" * 20}, False),
        ({"token_file": "/etc/haste/token"}, False),
        ({"broker_url": "amqp://user:password@host:5672/"}, False),
        ({"host": "::1"}, True),
    ],
)
def test_who_makes_a_token(given: dict[str, object], made: bool) -> None:
    assert ServerSettings.model_validate(given).makes_its_token is made
