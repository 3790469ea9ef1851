"""Expressions that take for ever, told from those that do not."""

from __future__ import annotations

import re
import time

import pytest

from haste_core.backtracking import explosive_repeat

EXPLOSIVE = [
    r"(a+)+$",
    r"(?:a*)*$",
    r"(?:(?:a+))+$",
    r"(?P<plate>a+)*b",
    r"(a|aa)+$",
    r"(a?){50}$",
    r"((?:a+)b?)+c",
    r"(?:x|(?:a{1,3})+)$",
    r"(a+){2,}$",
    r"(?=(a+)+b)",
    r"([ab)]+)+$",
    r"(\(+a+)+?$",
]
HARMLESS = [
    r"^(?:.*/)?(?P<plate>[^/]+)_(?P<well>[A-Z]{1,2}\d\d)$",
    r"(?:-[0-9A-F]{4}){3}",
    r"(?:_s(?P<site>\d+))?(?:_w\d+)?",
    r"(?:a|b)c*",
    r"(a+)?b",
    r"(a+){0,1}b",
    r"(a+){1}b",
    r"[(a+)+]+",
    r"\(a+\)+",
    r"(?P<c>\w+) - (?P=c)+",
    r"(?<=a)b+(?!c)",
    r"(?i:ab)+c",
    r"a{2,3}{",
]


@pytest.mark.parametrize("pattern", EXPLOSIVE)
def test_what_can_explode_is_found(pattern: str) -> None:
    re.compile(pattern)
    found = explosive_repeat(pattern)
    assert found
    assert pattern.startswith(found)


@pytest.mark.parametrize("pattern", HARMLESS)
def test_what_cannot_is_let_through(pattern: str) -> None:
    re.compile(pattern)
    assert explosive_repeat(pattern) is None


def test_what_is_found_does_explode() -> None:
    """The time of the classic one doubles with each character; the harmless form's does not."""

    def seconds(pattern: str, length: int) -> float:
        began = time.perf_counter()
        assert re.search(pattern, "a" * length + "b") is None
        return time.perf_counter() - began

    assert seconds(r"^(a+)+$", 20) > 16 * seconds(r"^(a+)+$", 12)
    assert explosive_repeat(r"^(a+)+$") == "^(a+)+"
