"""Checked fields, of which job specs and pipelines are made."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, FiniteFloat

from haste_core.expressions import parse_expression
from haste_core.routing import SOURCE_SCHEMES, normalise_name

_STREAM_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_CONTROL_CHARACTERS = re.compile(r"[\x00-\x1f\x7f]")


def _not_a_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("should be a number, not true or false")  # noqa: TRY004 - pydantic wants it
    return value


def _plain_text(text: str) -> str:
    stripped = text.strip()
    if not stripped:
        raise ValueError("may not be empty")
    if _CONTROL_CHARACTERS.search(stripped):
        raise ValueError("may not contain control characters")
    return stripped


def _stream_name(name: str) -> str:
    if not _STREAM_NAME.fullmatch(name):
        raise ValueError(
            f"{name[:100]!r} is not the name of a stream: at most 100 letters, digits, '.', '-' and '_', "
            "a letter or digit first"
        )
    return name


def _safe_relative_name(name: str) -> str:
    parts = re.split(r"[/\\]", name)
    if parts[0] == "" or ".." in parts or re.match(r"[A-Za-z]:", name):
        raise ValueError(f"{name!r} names an object in its stream: no leading '/', no drive, no '..'")
    return name


def _unmistakable_url(url: str) -> str:
    """Accept only what every reader of URLs takes for the same place."""
    parts = urlsplit(url)
    if parts.scheme.lower() not in SOURCE_SCHEMES:
        raise ValueError(
            f"{url!r} has no scheme that is offered ({', '.join(sorted(SOURCE_SCHEMES))}); "
            "a local file is file:///folder/name.tif or root://NAME/name.tif"
        )
    if "\\" in url or "@" in parts.netloc:
        raise ValueError("may hold neither a backslash nor a user name")
    if parts.scheme.lower() in ("root", "file") and ("#" in url or "?" in url):
        raise ValueError("holds '#' or '?', which end a path in a URL; write them as %23 and %3F")
    return url


def _plain_json(value: dict[str, Any]) -> dict[str, Any]:
    try:
        json.dumps(value, allow_nan=False)
    except TypeError:
        raise ValueError("may hold only what JSON can: objects, lists, text, numbers, true, false") from None
    except ValueError:
        raise ValueError("may not hold numbers that are infinite or not a number") from None
    return value


def _readable_expression(text: str) -> str:
    return parse_expression(text).text


def _readable_conditions(conditions: str | dict[str, str]) -> str | dict[str, str]:
    if isinstance(conditions, str):
        return _readable_expression(conditions)
    return {_plain_text(reason): _readable_expression(text) for reason, text in conditions.items()}


Name = Annotated[str, AfterValidator(normalise_name)]
PlainText = Annotated[str, AfterValidator(_plain_text)]
StreamName = Annotated[
    str, AfterValidator(_stream_name), Field(json_schema_extra={"pattern": f"^{_STREAM_NAME.pattern}$"})
]
SourceName = Annotated[PlainText, Field(max_length=255), AfterValidator(_safe_relative_name)]
Number = Annotated[FiniteFloat, BeforeValidator(_not_a_bool)]
Index = Annotated[int, BeforeValidator(_not_a_bool), Field(ge=0, lt=2**62)]
Priority = Annotated[Number, Field(ge=-1e9, le=1e9)]
JsonObject = Annotated[dict[str, Any], AfterValidator(_plain_json)]
Condition = Annotated[str, AfterValidator(_readable_expression)]
Conditions = Annotated[str | dict[str, str], AfterValidator(_readable_conditions)]
SourceUrl = Annotated[PlainText, Field(max_length=2000), AfterValidator(_unmistakable_url)]


class Strict(BaseModel):
    """An immutable object that has no other fields than these."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)
