"""Wells of microplates: a letter or two for the row, two digits for the column, ``A01`` to ``AF48``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

ROWS, COLUMNS = 32, 48
"""Of a plate of 1536 wells, the largest with an ANSI/SLAS standard (ANSI/SLAS 4-2004)."""

_NAME = re.compile(r"([A-Z]{1,2})\s*-?\s*(\d{1,3})", re.IGNORECASE)


@dataclass(frozen=True, order=True)
class Well:
    """One well of a plate.

    Attributes
    ----------
    row, column : int
        From 1, at most 32 and 48.

    Raises
    ------
    ValueError
        If no plate has such a well.
    """

    row: int
    column: int

    def __post_init__(self) -> None:
        if not (1 <= self.row <= ROWS and 1 <= self.column <= COLUMNS):
            raise ValueError(f"no plate has a well in row {self.row}, column {self.column}")

    def __str__(self) -> str:
        tens, ones = divmod(self.row - 1, 26)
        return f"{_letter(tens - 1) if tens else ''}{_letter(ones)}{self.column:02d}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a well as microscopes write it: ``A01``, ``a1``, ``A001``, ``A - 1``, ``AF48``.

        Raises
        ------
        ValueError
            If it is none.
        """
        found = _NAME.fullmatch(text.strip())
        if not found:
            raise ValueError(f"{text!r} is no well; wells are A01 to AF48")
        return cls(row_number(found[1]), int(found[2]))

    @classmethod
    def numbered(cls, number: int, columns: int) -> Self:
        """Find a well by its number from 1, counted along the rows of a plate with so many columns."""
        row, column = divmod(number - 1, columns)
        return cls(row + 1, column + 1)


def row_number(text: str) -> int:
    """Read a row, from 1: ``B``, ``AF``, or ``02``; ValueError if it is none."""
    if text.isdecimal():
        return int(text)
    if not re.fullmatch("[A-Za-z]{1,2}", text):
        raise ValueError(f"{text!r} is no row of a plate; rows are A to AF")
    number = 0
    for letter in text.upper():
        number = 26 * number + ord(letter) - ord("A") + 1
    return number


def _letter(index: int) -> str:
    return chr(ord("A") + index)
