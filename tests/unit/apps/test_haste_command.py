import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import tifffile

from haste_runtime.name_presets import load_presets

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


def modules_after(program: str, *arguments: str) -> tuple[set[str], str]:
    """Run a program in a fresh interpreter; return what it has imported, and what it has printed."""
    code = (
        "import sys\n"
        f"from {program} import app\n"
        f"try:\n    app({list(arguments)})\n"
        "except SystemExit:\n    pass\n"
        "print(*sys.modules)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    *printed, modules = run.stdout.splitlines()
    return set(modules.split()), "\n".join(printed)


@pytest.mark.parametrize("program", ["haste_apps.cli", "haste_workers.cli", "haste_server.cli"])
def test_help_imports_nothing_heavy(program: str) -> None:
    modules, shown = modules_after(program, "--help")
    heavy = {"numpy", "scipy", "flask", "sqlalchemy", "alembic", "pika", "requests", "pydantic", "jinja2"}
    heavy |= {"matplotlib", "tifffile", "yaml"}
    assert heavy & modules == set()
    assert "Exit codes" in shown


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signal")
@pytest.mark.parametrize(
    ("program", "arguments"),
    [
        ("haste_apps.cli", ["--help"]),
        ("haste_apps.cli", ["simulate", "images", "--count", "2", "--size", "32", "--rate", "99", "--json"]),
        ("haste_server.cli", ["--help"]),
        ("haste_server.cli", ["--data-dir", "data", "check-config"]),
        ("haste_workers.cli", ["--help"]),
    ],
)
def test_a_program_whose_output_nobody_reads_ends_silently(
    tmp_path: Path, program: str, arguments: list[str]
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", program, *arguments]
    run = subprocess.run(
        command, stdout=writer, stderr=subprocess.PIPE, timeout=60, check=False, cwd=tmp_path
    )
    os.close(writer)
    assert (run.returncode, run.stderr) == (141, b"")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signal")
def test_errors_that_nobody_reads_end_a_command_as_well() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "haste_apps.cli", "jobs", "--server", "nonsense"]
    run = subprocess.run(command, stdout=writer, stderr=writer, timeout=60, check=False)
    os.close(writer)
    assert run.returncode == 141


@pytest.mark.skipif(sys.platform == "win32", reason="needs a shell")
def test_a_program_without_any_output_does_its_work(tmp_path: Path) -> None:
    command = f"exec {sys.executable} -m haste_apps.cli simulate . --count 2 --size 32 --rate 99 >&- 2>&-"
    run = subprocess.run(["/bin/sh", "-c", command], timeout=60, check=False, cwd=tmp_path)
    assert run.returncode == 0
    assert len(list(tmp_path.rglob("*.tif"))) == 2


def test_help_names_every_command() -> None:
    shown = haste("--help").stdout
    commands = ("demo", "submit", "watch", "job", "jobs", "task", "retry", "cancel", "simulate")
    commands += ("alerts", "explain", "policy", "mode", "pin", "unpin", "verify")
    for command in (*commands, "report", "score", "calibrate", "evaluate", "doctor"):
        assert f"│ {command} " in shown


def test_submitting_needs_no_arrays() -> None:
    modules, _ = modules_after("haste_apps.cli", "submit", ".", "--server", "nonsense")
    assert "haste_client.submission" in modules
    assert {"numpy", "scipy", "tifffile", "PIL", "flask", "sqlalchemy", "pika"} & modules == set()


def test_a_server_that_is_away_means_try_again() -> None:
    commands = [("jobs",), ("submit", "."), ("watch", ".")]
    with ThreadPoolExecutor() as at_once:  # each waits some seconds for the server
        runs = list(at_once.map(lambda command: haste(*command, "--server", NOBODY), commands))
    for run in runs:
        assert run.returncode == 5, run.args
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
    options = ("--count", "3", "--rate", "50", "--kind", "cells", "--size", "64")
    run = haste("simulate", str(tmp_path), *options, "--json")
    assert run.returncode == 0
    lines = [json.loads(line) for line in run.stdout.splitlines()]
    assert [tifffile.imread(tmp_path / line["file"]).shape for line in lines] == [(64, 64)] * 3


def test_a_state_that_is_none_is_answered_with_those_that_are() -> None:
    run = haste("jobs", "--state", "nonsense", "--server", NOBODY)
    assert run.returncode == 2
    for part in ("'nonsense'", "open", "done", "failed", "code"):
        assert part in run.stderr


def test_a_table_that_is_piped_keeps_to_the_width_that_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    shown = haste("names").stdout
    assert max(map(len, shown.splitlines())) <= 40
    words = {word.strip("│ ") for word in shown.split()}
    for preset in load_presets().values():
        assert preset.name in words
        assert {word for word in preset.description.split() if len(word) <= 12} <= words
