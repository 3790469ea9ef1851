import json
import subprocess
import sys
from pathlib import Path

import pytest

NOBODY = "http://127.0.0.1:9"  # the discard port: nothing listens


def haste(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "haste_apps.cli", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def test_help_names_every_command_and_imports_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from haste_apps.cli import app\n"
        "try:\n    app(['--help'])\n"
        "except SystemExit as end:\n    assert end.code == 0\n"
        "heavy = {'numpy', 'scipy', 'flask', 'sqlalchemy', 'pika', 'requests', 'pydantic', 'jinja2'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.splitlines()[-1] == "[]"
    for command in ("demo", "submit", "watch", "job", "jobs", "retry", "simulate"):
        assert command in shown


@pytest.mark.parametrize("command", [("jobs",), ("submit", "."), ("watch", ".")])
def test_a_server_that_is_away_means_try_again(command: tuple[str, ...]) -> None:
    run = haste(*command, "--server", NOBODY)
    assert run.returncode == 5
    assert run.stdout == ""
    assert NOBODY in run.stderr
    assert "haste-server" in run.stderr
    assert "Traceback" not in run.stderr


def test_wrong_usage_is_told_apart(tmp_path: Path) -> None:
    assert haste("submit", str(tmp_path / "nowhere")).returncode == 2
    assert haste("jobs", "--server", "nonsense").returncode == 2
    assert (
        haste("demo", "--images", str(tmp_path / "nowhere"), "--work-dir", str(tmp_path / "w")).returncode
        == 2
    )
    assert haste("simulate", str(tmp_path), "--kind", "galaxies").returncode == 2
    assert not (tmp_path / "w").exists()


def test_the_demo_spares_a_folder_that_is_not_its_own(tmp_path: Path) -> None:
    (tmp_path / "thesis.docx").touch()
    run = haste("demo", "--work-dir", str(tmp_path))
    assert run.returncode == 2
    assert "--work-dir" in run.stderr
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.docx"]


def test_simulate_writes_images_and_tells_them_as_json_lines(tmp_path: Path) -> None:
    run = haste("simulate", str(tmp_path), "--count", "3", "--rate", "50", "--kind", "cells", "--json")
    assert run.returncode == 0
    lines = [json.loads(line) for line in run.stdout.splitlines()]
    assert [(tmp_path / line["file"]).is_file() for line in lines] == [True] * 3


def test_a_state_that_is_none_is_answered_with_those_that_are() -> None:
    run = haste("jobs", "--state", "nonsense", "--server", NOBODY)
    assert run.returncode == 2
    for part in ("'nonsense'", "open", "done", "failed", "code"):
        assert part in run.stderr
