"""What pydantic finds wrong with an input, in the words of a person."""

from __future__ import annotations

from collections.abc import Mapping, Sized
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from haste_core.errors import Problem

_SHOWN_CHARACTERS = 60
_KEY = "[key]"  # ends pydantic's path to a name in an object that is itself wrong

_PLAIN = {
    "extra_forbidden": "is not a field that is known here",
    "missing": "is required",
    "string_type": "should be text",
    "int_type": "should be a whole number",
    "int_parsing": "should be a whole number",
    "int_from_float": "should be a whole number, without a fraction",
    "int_parsing_size": "is a number with too many digits",
    "float_type": "should be a number",
    "float_parsing": "should be a number",
    "finite_number": "should be a finite number",
    "bool_type": "should be true or false",
    "bool_parsing": "should be true or false",
    "dict_type": "should be an object: names with values",
    "mapping_type": "should be an object: names with values",
    "model_type": "should be an object: names with values",
    "list_type": "should be a list",
    "tuple_type": "should be a list",
    "sequence_str": "should be a list",
    "missing_keyword_only_argument": "is required",
    "callable_type": "is not a field that is known here",
    "unexpected_keyword_argument": "is not a field that is known here",
    "byte_size": "should be a number of bytes, or text such as 500 GB",
    "byte_size_unit": "should be a number of bytes, or text such as 500 GB",
}
_BOUNDS = {
    "greater_than": ("gt", "it should be more than"),
    "greater_than_equal": ("ge", "the least that is possible is"),
    "less_than": ("lt", "it should be less than"),
    "less_than_equal": ("le", "the most that is possible is"),
}
_TOO_LONG = frozenset({"string_too_long", "too_long"})
_TOO_SHORT = frozenset({"string_too_short", "too_short"})


def wording(finding: ErrorDetails) -> str:
    """Tell one finding: what is wrong, and what would be right.

    Inputs are quoted only where they are numbers or names; others may be passwords.
    """
    kind, given, limits = finding["type"], finding["input"], finding.get("ctx", {})
    if kind in _PLAIN:
        return _PLAIN[kind]
    if kind in _TOO_LONG:
        return f"{_length(given, limits)}; at most {limits['max_length']} are possible"
    if kind in _TOO_SHORT:
        return _too_short(given, limits)
    if kind in _BOUNDS:
        limit, words = _BOUNDS[kind]
        return f"is {_shown(given)}; {words} {limits[limit]}"
    if kind in ("literal_error", "enum"):
        return f"is {_shown(given)}; it should be {limits['expected']}"
    if kind == "string_pattern_mismatch":
        return f"is {_shown(given)}; it should have the form {limits['pattern']}"
    return finding["msg"].removeprefix("Value error, ")


def _too_short(given: Any, limits: Mapping[str, Any]) -> str:
    least = limits["min_length"]
    return "may not be empty" if least == 1 else f"{_length(given, limits)}; at least {least} are needed"


def _length(given: Any, limits: Mapping[str, Any]) -> str:
    length = limits.get("actual_length")
    if length is None:
        length = len(given)
    return f"is {length} characters long" if isinstance(given, str) else f"has {length} entries"


def _shown(given: Any) -> str:
    text = repr(given)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"


def problems_of(error: ValidationError) -> list[Problem]:
    """Tell pydantic's findings in the words and paths of the JSON that the user wrote."""
    findings = [one for one in error.errors(include_url=False) if not _is_only_counted(one)]
    return [Problem(_path(finding["loc"]), wording(finding)) for finding in findings]


def unwritten(form: str) -> str:
    """Mark the tag of a form in a union: it stands in pydantic's paths, but not in what the user wrote."""
    return f"<{form}>"


def _is_only_counted(finding: ErrorDetails) -> bool:
    """Tell whether a list is said to be too short because some of its items are wrong, which is said, too."""
    given, least = finding["input"], finding.get("ctx", {}).get("min_length", 0)
    return finding["type"] == "too_short" and isinstance(given, Sized) and len(given) >= least


def _path(location: tuple[int | str, ...]) -> str:
    path: list[str] = []
    for part in location:
        if part == _KEY or (isinstance(part, str) and part == unwritten(part[1:-1])):
            continue
        if isinstance(part, int):
            path[-1:] = [f"{path[-1] if path else ''}[{part}]"]
        elif not path or path[-1] != part:
            path.append(part)
    return ".".join(path)
