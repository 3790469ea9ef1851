import io
import os
import sys
from pathlib import Path

import pytest

from haste_apps.output import as_called, print_table


@pytest.fixture
def venv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make an environment with one program, used from the folder that it is in, and not on the PATH."""
    programs = tmp_path / "my env" / "bin"
    programs.mkdir(parents=True)
    program = programs / ("haste.exe" if os.name == "nt" else "haste")
    program.write_text("")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(programs / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return programs


@pytest.mark.skipif(os.name == "nt", reason="paths are written differently there")
def test_a_program_that_is_not_on_the_path_is_called_by_its_path(
    venv: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert as_called("haste") == "'my env/bin/haste'"
    monkeypatch.chdir(venv)
    assert as_called("haste") == "./haste"
    monkeypatch.chdir("/")
    assert as_called("haste").strip("'") == str(venv / "haste").removeprefix("/")


def test_a_program_that_is_on_the_path_is_called_by_its_name(
    venv: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(venv))
    assert as_called("haste") == "haste"
    assert as_called("haste-that-nobody-installed") == "haste-that-nobody-installed"


def test_rows_are_not_folded_where_no_terminal_is() -> None:
    out = io.StringIO()
    name = "plate7/" + 40 * "long" + ".tif"
    print_table(["image", "message"], [[name, 30 * "many words "]], file=out)
    assert sum(name in line and line.count("many words") == 30 for line in out.getvalue().splitlines()) == 1
