"""Where in a JSON text something stands, so that an error can be shown beside it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from json import JSONDecodeError
from json.decoder import scanstring  # type: ignore[attr-defined] # the parser's own reader of texts

_BLANKS = re.compile(r"[ \t\r\n]*")
_PLAIN_VALUE = re.compile(r"[^,\]}\s]+")
_STEP = re.compile(r"\[(\d+)\]|([^.\[\]]+)")


@dataclass(frozen=True)
class JsonPlace:
    """A place in a text.

    Attributes
    ----------
    line, column : int
        From 1 on, as editors count.
    start, end : int
        The characters that are meant, as a slice of the text.
    """

    line: int
    column: int
    start: int
    end: int


def place_at(text: str, start: int, end: int | None = None) -> JsonPlace:
    """Return the place of characters of a text."""
    before = text[:start]
    column = start - (before.rfind("\n") + 1) + 1
    return JsonPlace(before.count("\n") + 1, column, start, max(start, end or start))


class JsonPlaces:
    """The places of all values in a text that is JSON.

    Parameters
    ----------
    text : str
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._known: dict[tuple[str, ...], tuple[int, int]] = {(): (0, 0)}
        with suppress(IndexError, ValueError, RecursionError):  # what is not JSON has its places up to there
            for path, start, end in _values(text, _skip(text, 0), ()):
                self._known[path] = (start, end)

    def of(self, where: str) -> JsonPlace:
        """Find what a path such as ``tasks.taskSequential[1].Task`` means, or where it belongs.

        Parameters
        ----------
        where : str
            As `haste_core.errors.Problem` has it; empty for the whole.
        """
        path = tuple(one or two for one, two in _STEP.findall(where))
        while path not in self._known:
            path = path[:-1]
        start, end = self._known[path]
        return place_at(self._text, start, end)


def place_of_error(text: str, error: JSONDecodeError) -> JsonPlace:
    """Return the place where a text stops being JSON."""
    return place_at(text, min(error.pos, len(text)))


def _values(text: str, at: int, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], int, int]]:
    """List all values with their places; each value comes after those that it holds."""
    start = at
    if text[at] == "{":
        at = _skip(text, at + 1)
        while text[at] != "}":
            name, at = scanstring(text, at + 1, True)
            at = _skip(text, _skip(text, at) + 1)
            for found in _values(text, at, (*path, name)):
                yield found
                at = found[2]
            at = _after(text, at)
        at += 1
    elif text[at] == "[":
        at, number = _skip(text, at + 1), 0
        while text[at] != "]":
            for found in _values(text, at, (*path, str(number))):
                yield found
                at = found[2]
            at, number = _after(text, at), number + 1
        at += 1
    elif text[at] == '"':
        _, at = scanstring(text, at + 1, True)
    else:
        plain = _PLAIN_VALUE.match(text, at)
        if plain is None:
            raise ValueError(at)
        at = plain.end()
    yield path, start, at


def _after(text: str, at: int) -> int:
    """Go on to the next name or value, or to the end of what holds it."""
    at = _skip(text, at)
    return _skip(text, at + 1) if text[at] == "," else at


def _skip(text: str, at: int) -> int:
    blanks = _BLANKS.match(text, at)
    return blanks.end() if blanks else at
