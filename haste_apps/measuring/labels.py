"""Images that a person has called good or bad, in a CSV file."""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from haste_core.errors import InvalidError, Problem

GOOD = frozenset(
    {"good", "sharp", "in focus", "focused", "focussed", "ok", "keep", "pass", "yes", "true", "1"}
)
BAD = frozenset(
    {
        "bad",
        "blurred",
        "blurry",
        "unsharp",
        "out of focus",
        "unfocused",
        "unfocussed",
        "defocused",
        "defocussed",
    }
    | {"reject", "fail", "no", "false", "0"}
)

IMAGE, LABEL = "image", "label"

_DELIMITERS = ",;\t"  # Excel writes ';' where the comma stands in numbers
_SHOWN = 20  # of problems, or of labels


class _Reader(Protocol):
    """What `csv.reader` returns."""

    line_num: int

    def __iter__(self) -> Iterator[list[str]]: ...


@dataclass(frozen=True)
class LabelledImage:
    """One line of the file.

    Attributes
    ----------
    line : int
        From 1, the heads.
    image : str
        As written.
    path : pathlib.Path
        From where the program runs.
    good : bool
    cells : mapping of str
        The other columns, by their names in lower case.
    """

    line: int
    image: str
    path: Path
    good: bool
    cells: Mapping[str, str]

    def number(self, column: str, *, decimal_comma: bool) -> float | None:
        """Read a number; None where the cell is empty.

        Raises
        ------
        ValueError
            If it is no finite number.
        """
        text = self.cells[column]
        if not text:
            return None
        value = float(text.replace(",", ".") if decimal_comma else text)
        if not math.isfinite(value):
            raise ValueError(f"{text} is not finite")
        return value


@dataclass(frozen=True)
class Labels:
    """What the file says.

    Attributes
    ----------
    columns : tuple of str
        In lower case.
    images : tuple of LabelledImage
        Each once.
    decimal_comma : bool
        Numbers may be written as ``0,5``.
    """

    columns: tuple[str, ...]
    images: tuple[LabelledImage, ...]
    decimal_comma: bool

    def numbers(self, column: str) -> list[float | None]:
        """Read a column of numbers, None where a cell is empty.

        Raises
        ------
        InvalidError
            With the lines that hold something else.
        """
        problems, values = [], []
        for image in self.images:
            try:
                values.append(image.number(column, decimal_comma=self.decimal_comma))
            except ValueError:
                what = f"{image.cells[column]!r} in the column {column!r} is no finite number"
                problems.append(Problem(f"line {image.line}", what))
        _refuse(problems)
        return values


def read_labels(path: Path) -> Labels:
    """Read a CSV file with the columns ``image`` and ``label``.

    Parameters
    ----------
    path : pathlib.Path
        Text in UTF-8, with commas, semicolons or tabs between the columns. Images are named from its folder.

    Raises
    ------
    InvalidError
        With every line that is not clear: no image, no label that is known, an image that was there before.
        Or if all images have the same label.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidError([Problem(str(path), "it is no text in UTF-8; save it as CSV UTF-8")]) from error
    delimiter = max(_DELIMITERS, key=text.partition("\n")[0].count)
    rows = csv.reader(io.StringIO(text), delimiter=delimiter)
    problems: list[Problem] = []
    try:
        heads = tuple(head.strip().lower() for head in next(rows, ()))
        lacking = [name for name in (IMAGE, LABEL) if name not in heads]
        if lacking:
            problems.append(Problem(str(path), f"it has no column {' and no column '.join(lacking)}"))
        images = () if lacking else tuple(_images(rows, heads, path.parent, problems))
    except csv.Error as error:
        raise InvalidError([Problem(str(path), f"it cannot be read as CSV: {error}")]) from error
    if not images and not problems:
        problems.append(Problem(str(path), "it names no image"))
    if not problems and len({image.good for image in images}) == 1:
        only = "good" if images[0].good else "bad"
        problems.append(Problem(str(path), f"all its images are {only}; a comparison needs some of both"))
    _refuse(problems)
    return Labels(heads, images, decimal_comma=delimiter != ",")


def _images(
    rows: _Reader, heads: tuple[str, ...], folder: Path, problems: list[Problem]
) -> Iterator[LabelledImage]:
    lines_of: dict[str, int] = {}
    unknown: dict[str, list[int]] = {}
    for row in rows:
        cells = dict.fromkeys(heads, "") | dict(zip(heads, (cell.strip() for cell in row), strict=False))
        if not any(cells.values()):
            continue
        name, label, line = cells[IMAGE], _plain(cells[LABEL]), rows.line_num
        path = folder / name
        first = lines_of.setdefault(os.path.normcase(path.absolute()), line) if name else line
        if not name:
            problems.append(Problem(f"line {line}", "it names no image"))
        elif first != line:
            problems.append(Problem(f"line {line}", f"{name} was there before, in line {first}; keep one"))
        elif label in GOOD | BAD:
            yield LabelledImage(line, name, path, label in GOOD, cells)
        else:
            unknown.setdefault(cells[LABEL], []).append(line)
    if unknown:
        problems.append(Problem("label", _unknown_text(unknown)))


def _unknown_text(unknown: Mapping[str, list[int]]) -> str:
    listed = [f"{text!r} ({len(lines)} times, first in line {lines[0]})" for text, lines in unknown.items()]
    more = [f"and {len(listed) - _SHOWN} more"] if len(listed) > _SHOWN else []
    return (
        f"not known: {', '.join(listed[:_SHOWN] + more)}. Write good or bad (or sharp and blurred, ok and "
        "reject, yes and no, 1 and 0)"
    )


def _plain(label: str) -> str:
    """Write In-Focus and in_focus alike."""
    return " ".join(label.casefold().replace("_", " ").replace("-", " ").split())


def _refuse(problems: list[Problem]) -> None:
    if len(problems) > _SHOWN:
        more = len(problems) - _SHOWN
        problems = [*problems[:_SHOWN], Problem("", f"and {more} more lines like these")]
    if problems:
        raise InvalidError(problems)
