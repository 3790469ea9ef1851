import subprocess
import sys
from pathlib import Path

import pytest

import haste_apps
from haste_apps.embedded_server import OwnServerError
from haste_core.errors import ConflictError, InvalidError
from tests.unit.apps.test_exits import ENDS_AT_ONCE


def test_importing_the_package_starts_and_loads_nothing() -> None:
    code = "import sys, haste_apps; print(*sys.modules); from haste_apps import embedded; print(embedded)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    at_first, then = run.stdout.splitlines()
    assert {"pydantic", "requests", "typer", "yaml"} & set(at_first.split()) == set()
    assert "function embedded" in then


def test_wrong_settings_are_told_before_anything_is_started() -> None:
    with pytest.raises(InvalidError) as refused:
        haste_apps.embedded(wokers=1, port=5510)
    assert {(problem.where, problem.what) for problem in refused.value.problems} == {
        ("port", "is set by embedded() itself"),
        ("wokers", "the server has no such setting"),
    }
    with pytest.raises(InvalidError, match="tasks"):
        haste_apps.embedded(pipelines=[{"name": "empty", "description": "Nothing"}])


def test_client_of_a_server_that_does_not_run_is_refused_in_words() -> None:
    with pytest.raises(ConflictError, match="start"):
        _ = haste_apps.embedded().client


@pytest.mark.parametrize("is_temporary", [True, False])
def test_server_that_does_not_start_leaves_no_temporary_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_temporary: bool
) -> None:
    monkeypatch.setattr(sys, "executable", ENDS_AT_ONCE)
    server = haste_apps.embedded(None if is_temporary else tmp_path / "data")
    with pytest.raises(OwnServerError, match="ended with code 1"):
        server.start()
    assert server.data_dir.exists() is not is_temporary
