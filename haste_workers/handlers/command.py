"""Task ``command``: runs a program that the worker's owner allows, for example CellProfiler or Fiji."""

from __future__ import annotations

import csv
import json
import math
import os
import re
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from haste_core.errors import PermanentError
from haste_core.messages import TaskMessage
from haste_runtime.endings import signal_name
from haste_workers.answers import MAX_ANSWER_BYTES
from haste_workers.context import TaskContext
from haste_workers.handlers.parameters import HandlerParameters

_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_NUMBER = re.compile(r"[+-]?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_UNDEFINED = re.compile(r"[+-]?(?:nan|inf|infinity)", re.ASCII | re.IGNORECASE)
_LAST_WORDS_BYTES = 2000
_LAST_WORDS_LINES = 5


def _below(pattern: str) -> str:
    path = PurePosixPath(pattern)
    if not path.parts or path.is_absolute() or ".." in path.parts:
        raise ValueError("should be a file name pattern below the output folder, such as *_Image.csv")
    return pattern


class CommandParameters(HandlerParameters):
    """What a pipeline says about the program.

    Attributes
    ----------
    argv : list of str
        The program's name in the worker's settings, and its arguments. ``{source}``, ``{output_dir}``,
        ``{temp_dir}`` stand for paths, ``{file_list}`` for a text file that holds the source's path.
    csv : str, optional
        A file name pattern below `output_dir`, for example ``*_Image.csv``: the first row of this table is
        the response. Without it, the program writes one JSON object to standard output.
    columns : list of str, optional
        The columns to take from the table; all without it.
    """

    argv: Annotated[list[str], Field(min_length=1)]
    csv: Annotated[str, AfterValidator(_below)] | None = None
    columns: list[str] | None = None


def command(_job: Mapping[str, Any], _task: TaskMessage, context: TaskContext) -> dict[str, Any]:
    """Run a program on the object, without a shell, and read its answer.

    It runs in an empty folder, and in the handler's process group: the task's time limit ends it too.

    Raises
    ------
    PermanentError
        If the program is not allowed here, fails, or does not answer as agreed.
    """
    parameters = CommandParameters.of(context)
    argv = [str(_program(parameters.argv[0], context)), *_filled_in(parameters.argv[1:], context)]
    stdout, stderr = context.temp_dir / "stdout", context.temp_dir / "stderr"
    if parameters.csv is not None:
        for table in _tables(context.output_dir, parameters.csv):
            table.unlink()  # of an earlier attempt; it must not pass for this one's
    exit_code = _run(argv, context, stdout=stdout, stderr=stderr)
    if exit_code != 0:
        raise PermanentError(f"{parameters.argv[0]} {_ending(exit_code)}: {_last_words(stderr)}")
    if parameters.csv is not None:
        return _first_row(context.output_dir, parameters.csv, parameters.columns)
    return _json_object(stdout)


def _run(argv: list[str], context: TaskContext, *, stdout: Path, stderr: Path) -> int:
    folder = context.temp_dir / "cwd"
    folder.mkdir()
    # The worker's own variables hold secrets, and those of boto3 too.
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("HASTE_", "AWS_"))
    }
    try:
        with stdout.open("wb") as out, stderr.open("wb") as err:
            done = subprocess.run(  # noqa: S603 - no shell; the program is one of those that the settings allow
                argv,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                cwd=folder,
                env=environment,
                check=False,
            )
    except OSError as error:
        raise PermanentError(f"{argv[0]} cannot be started here: {error}") from error
    return done.returncode


def _program(name: str, context: TaskContext) -> Path:
    programs = context.settings.programs
    if name not in programs:
        known = ", ".join(sorted(programs)) or "none"
        raise PermanentError(
            f"the program {name!r} is not allowed on this worker (allowed: {known}); "
            "name it under `programs:` in the worker's settings"
        )
    return programs[name]


def _filled_in(arguments: list[str], context: TaskContext) -> list[str]:
    values: dict[str, Callable[[], Path]] = {
        "source": context.source_path,
        "output_dir": lambda: context.output_dir,
        "temp_dir": lambda: context.temp_dir,
        "file_list": lambda: _file_list(context),
    }

    def value(match: re.Match[str]) -> str:
        if match[1] not in values:
            raise PermanentError(f"{match[0]} in argv means nothing; known are {{{'}, {'.join(values)}}}")
        return str(values[match[1]]())

    return [_PLACEHOLDER.sub(value, argument) for argument in arguments]


def _file_list(context: TaskContext) -> Path:
    path = context.temp_dir / "files.txt"
    path.write_text(f"{context.source_path()}\n", encoding="utf-8")
    return path


def _ending(exit_code: int) -> str:
    if exit_code >= 0:
        return f"failed with exit code {exit_code}"
    return f"was killed by {signal_name(-exit_code)}"


def _last_words(stderr: Path) -> str:
    with stderr.open("rb") as file:
        file.seek(max(0, stderr.stat().st_size - _LAST_WORDS_BYTES))
        lines = file.read().decode(errors="replace").strip().splitlines()
    return " | ".join(lines[-_LAST_WORDS_LINES:]) or "it wrote nothing to standard error"


def _json_object(stdout: Path) -> dict[str, Any]:
    if stdout.stat().st_size > MAX_ANSWER_BYTES:
        raise PermanentError(
            f"the program wrote over {MAX_ANSWER_BYTES} bytes to standard output, not a small JSON object"
        )
    text = stdout.read_text(encoding="utf-8-sig", errors="replace").strip()
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise PermanentError(f"the program's standard output is no JSON object: {text[:200]!r}") from error
    if not isinstance(value, dict):
        raise PermanentError(f"the program answered {text[:200]!r}, which is JSON but no object")
    return value


def _tables(folder: Path, pattern: str) -> list[Path]:
    return sorted(path for path in folder.glob(pattern) if path.is_file())


def _first_row(folder: Path, pattern: str, columns: list[str] | None) -> dict[str, Any]:
    tables = _tables(folder, pattern)
    if len(tables) != 1:
        raise PermanentError(
            f"the program left {len(tables)} files {pattern!r} in its output folder, not one"
        )
    with tables[0].open(newline="", encoding="utf-8-sig", errors="replace") as file:
        try:
            row = next(csv.DictReader(file), None)
        except csv.Error as error:
            raise PermanentError(f"the table {tables[0].name} cannot be read: {error}") from error
    if row is None:
        raise PermanentError(f"the table {tables[0].name} has no row")
    missing = [name for name in columns or () if name not in row]
    if missing:
        raise PermanentError(f"the table {tables[0].name} has no column {', '.join(missing)}")
    return {name: _number_or_text(row[name]) for name in (columns or row) if isinstance(row[name], str)}


def _number_or_text(cell: str) -> int | float | str | None:
    """Read a cell; what could be a name or a code, such as ``1_2`` or ``007``, stays text."""
    text = cell.strip(" \t")
    if _UNDEFINED.fullmatch(text):
        return None
    if not _NUMBER.fullmatch(text):
        return cell
    number = float(text)
    if not math.isfinite(number):
        return cell
    return int(text) if text.lstrip("+-").isdecimal() else number
