import sys
import time
from pathlib import Path

import pytest
import typer

from haste_apps import embedded_server
from haste_apps.demo.simulated import DemoStuckError
from haste_apps.embedded_server import EmbeddedServer, OwnServerError
from haste_apps.exits import explained_errors
from haste_client import ServerError
from haste_core.errors import InvalidError, OutcomeUnknownError, Problem, TransientError

ENDS_AT_ONCE = "/bin/false" if sys.platform != "win32" else "where"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (DemoStuckError("no news for 180 s"), 1),
        (InvalidError([Problem("--images", "there is no folder")]), 2),
        (ServerError("the server failed at this request"), 1),
        (TransientError("no broker"), 5),
        (OutcomeUnknownError("the answer was lost"), 5),
        (KeyboardInterrupt(), 130),
    ],
)
def test_exit_code_says_what_a_script_may_do(error: BaseException, code: int) -> None:
    with pytest.raises(typer.Exit) as ended, explained_errors():
        raise error
    assert ended.value.exit_code == code


def test_server_that_does_not_start_is_no_wrong_usage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        embedded_server.sys, "executable", "/bin/false" if sys.platform != "win32" else "where"
    )
    started = EmbeddedServer(tmp_path / "s", roots={})
    with pytest.raises(typer.Exit) as ended, explained_errors(), started:
        started.wait_until_ready(time.sleep)
    assert ended.value.exit_code == 5
    assert "ended with code 1" in capsys.readouterr().err


def test_address_of_a_server_that_a_killed_program_left_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        embedded_server.sys, "executable", "/bin/false" if sys.platform != "win32" else "where"
    )
    left = EmbeddedServer(tmp_path / "s", roots={})
    with EmbeddedServer(tmp_path / "s", roots={}) as started:
        left.url_file.write_text("http://127.0.0.1:9")
        with pytest.raises(OwnServerError):
            started.wait_until_ready(time.sleep)
        assert started.url == ""
    with EmbeddedServer(tmp_path / "s", roots={}):
        assert not left.url_file.exists()
