import io
import json
import os
import sys
from pathlib import Path

import pytest

from haste_apps.output import as_called, print_json, print_line, print_table, say


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


HEADS = ["image", "job", "stream", "state", "score", "tier", "message"]
ROW = [
    "plate7/A01/" + 30 * "long" + ".tif",
    "17",
    "plate7",
    "failed (502)",
    "0.123",
    "tierA",
    "the file holds no image: " + 10 * "many words ",
]


def printed(heads: list[str], *rows: list[str], columns: int | None = None) -> list[str]:
    """Return the lines of a table that goes into a pipe."""
    out = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("COLUMNS", raising=False)
        if columns is not None:
            patch.setenv("COLUMNS", str(columns))
        print_table(heads, rows, numbers={"job", "score"}, file=out)
    return out.getvalue().splitlines()


def cells_in(lines: list[str]) -> list[str]:
    """Put the cells of a table's only row together again, without blanks."""
    in_columns = [line.split("│")[1:-1] for line in lines if line.startswith("│")]
    if in_columns:
        return ["".join(parts).replace(" ", "") for parts in zip(*in_columns, strict=True)]
    margin = max(map(len, HEADS)) + 2
    starts = [number for number, line in enumerate(lines) if line and not line.startswith(" ")]
    parts = [lines[start:end] for start, end in zip(starts, [*starts[1:], len(lines)], strict=True)]
    return ["".join(line[margin:] for line in part).replace(" ", "") for part in parts]


def test_rows_are_one_line_each_where_no_terminal_is() -> None:
    lines = printed(HEADS, ROW, ROW)
    whole = [line for line in lines if ROW[0] in line and ROW[-1].strip() in line]
    assert len(whole) == 2


@pytest.mark.parametrize("columns", [200, 100, 80, 60, 40, 20, 1])
def test_nothing_is_cut_off_however_narrow_it_is(columns: int) -> None:
    lines = printed(HEADS, ROW, columns=columns)
    assert cells_in(lines) == [cell.replace(" ", "") for cell in ROW]
    assert max(map(len, lines)) <= max(columns, len("message") + 2 + 10)


def test_a_table_that_would_be_too_narrow_shows_one_cell_a_line() -> None:
    lines = printed(HEADS, ROW, ["A02", "18", "plate7", "done (200)", "-", "-", ""], columns=40)
    assert lines[0].startswith("image    plate7/A01/long")
    assert "job      17" in lines
    assert "state    done (200)" in lines
    assert lines.count("") == 2  # after each row
    values = "".join(line[9:] for line in lines[: lines.index("job      17")])
    assert values == ROW[0]


def test_nothing_that_others_have_written_gives_orders_to_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    said = "blurred\x1b]0;title\x07\r\x9b2J, é\n\tnext line"
    print_line(said)
    say(said)
    print_json({"reason": said})
    print_table(["reason"], [[said]])
    out, err = capsys.readouterr()
    assert not set(out + err) & set("\x1b\x07\r\x9b")
    assert err == "blurred\\x1b]0;title\\x07\\r\\x9b2J, é\n\tnext line\n"
    assert json.loads(out.splitlines()[2]) == {"reason": said}
