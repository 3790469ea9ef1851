"""What the programs say: data on stdout, everything else on stderr."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import sys
from collections.abc import Container, Iterable, Sequence
from pathlib import Path
from textwrap import wrap
from typing import IO, Any

from haste_runtime.quantities import number_text as number_text
from haste_runtime.quantities import size_text as size_text

_WIDEST = 10_000
"""Characters of a line, where no terminal sets a limit."""

_USUAL = 80
"""Of a terminal that does not tell."""

_READABLE = 10
"""Characters of a column that can be read; in fewer, every word is broken."""

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""Characters that are orders to a terminal; ends of lines and tabs are none that matter."""

_BORDER = 3
"""Characters beside a cell: a line, and a blank on either side."""


def visible(text: str) -> str:
    """Write control characters so that a terminal shows them instead of obeying them."""
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def say(message: str) -> None:
    """Tell the user something, on stderr."""
    print(visible(message), file=sys.stderr, flush=True)  # noqa: T201


def print_json(value: Any) -> None:
    """Print one JSON object as one line on stdout."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    print(_CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text), flush=True)  # noqa: T201


def without_nothing(value: Any) -> Any:
    """Leave out of JSON, at all depths, the fields of objects that are null: what nobody has said."""
    if isinstance(value, dict):
        return {name: without_nothing(item) for name, item in value.items() if item is not None}
    return [without_nothing(item) for item in value] if isinstance(value, list) else value


def print_line(text: str) -> None:
    """Print one line of data on stdout."""
    print(visible(text), flush=True)  # noqa: T201


def line_width(file: IO[str] | None = None) -> int:
    """Tell how many characters a line may have: as ``COLUMNS`` says, or as wide as the terminal is.

    Parameters
    ----------
    file : text file, optional
        Where the line goes; default: stdout. A file or a pipe takes lines of any length.
    """
    told = os.environ.get("COLUMNS", "")
    if told.isdecimal() and int(told):
        return int(told)
    try:
        return os.get_terminal_size((file or sys.stdout).fileno()).columns or _USUAL
    except (OSError, ValueError):
        return _WIDEST


def print_table(
    heads: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    numbers: Container[str] = (),
    file: IO[str] | None = None,
) -> None:
    """Print a table for people, by default on stdout; the columns named in `numbers` are set right.

    It is as wide as `line_width` tells, and long cells are folded; where that would leave a column few
    characters, each row becomes lines of its own, one a cell. Nothing is cut off.
    """
    target = file or sys.stdout
    width, listed = line_width(target), [list(map(visible, row)) for row in rows]
    if _needed_width(heads, listed) > width:
        _print_one_below_another(heads, listed, width, target)
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table()
    for head in heads:
        table.add_column(head, justify="right" if head in numbers else "left", overflow="fold")
    for row in listed:
        # Names of files may hold what rich takes for markup.
        table.add_row(*(Text(cell) for cell in row))
    # On a terminal it is rich that knows best: some need a column for the cursor.
    Console(file=target, width=None if target.isatty() else width).print(table)


def _needed_width(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> int:
    """Tell how wide a table has to be to be read, borders included."""
    widest = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    return sum(min(width, _READABLE) + _BORDER for width in widest) + 1


def _print_one_below_another(
    heads: Sequence[str], rows: Iterable[Sequence[str]], width: int, target: IO[str]
) -> None:
    margin = max(map(len, heads)) + 2
    for row in rows:
        for head, cell in zip(heads, row, strict=True):
            lines = wrap(cell, max(width - margin, _READABLE), break_on_hyphens=False) or [""]
            folded = f"\n{' ' * margin}".join(line.rstrip() for line in lines)
            print(f"{head:<{margin}}{folded}".rstrip(), file=target)
        print(file=target)


def as_called(program: str) -> str:
    """Write one of our programs as the user can call it: its name, or its path where the name is not enough.

    After ``make demo`` the programs are in ``.venv/bin``, which is not on the PATH.
    """
    found = shutil.which(program, path=str(Path(sys.executable).parent))
    on_path = shutil.which(program)
    if found is None or (on_path is not None and Path(on_path).samefile(found)):
        return program
    own, here = Path(found), Path.cwd()
    if own.parent == here:
        return shlex.quote(f".{os.sep}{own.name}")  # a shell would look for the bare name on the PATH
    return shlex.quote(str(own.relative_to(here) if own.is_relative_to(here) else own))
