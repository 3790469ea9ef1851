"""Checked fields, of which job specs and pipelines are made."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    FiniteFloat,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    Tag,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema
from pydantic_core.core_schema import no_info_after_validator_function

from haste_core.expressions import parse_expression
from haste_core.findings import unwritten
from haste_core.routing import SOURCE_SCHEMES, normalise_name

_CONTROL_CHARACTERS = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True)
class Form:
    """Text of a certain form, as an annotation of a field.

    Attributes
    ----------
    pattern : str
        A regular expression for the whole text; the schema shows it.
    unlike : str
        What to say of a text that is unlike it, after the text itself.
    """

    pattern: str
    unlike: str

    def _check(self, text: str) -> str:
        if not re.fullmatch(self.pattern, text):
            raise ValueError(f"{text[:100]!r} {self.unlike}")
        return text

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Check what is text."""
        return no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Show the pattern."""
        return {**handler(schema), "pattern": f"^{self.pattern}$"}


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
    str,
    Form(
        r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}",
        "is not the name of a stream: at most 100 letters, digits, '.', '-' and '_', a letter or digit first",
    ),
]
SourceName = Annotated[PlainText, Field(max_length=255), AfterValidator(_safe_relative_name)]
Number = Annotated[FiniteFloat, BeforeValidator(_not_a_bool)]
# Bounds stand before what looks at the value first, or the schema does not show them.
Index = Annotated[int, Field(ge=0, lt=2**62), BeforeValidator(_not_a_bool)]
Priority = Annotated[FiniteFloat, Field(ge=-1e9, le=1e9), BeforeValidator(_not_a_bool)]
JsonObject = Annotated[dict[str, Any], AfterValidator(_plain_json)]
Condition = Annotated[str, AfterValidator(_readable_expression)]
Conditions = Annotated[
    Annotated[str, Tag(unwritten("one"))] | Annotated[dict[str, str], Tag(unwritten("several"))],
    Discriminator(lambda value: unwritten("several" if isinstance(value, Mapping) else "one")),
    AfterValidator(_readable_conditions),
]
TierName = Annotated[
    str,
    Form(
        r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}",
        "is not the name of a tier: at most 100 letters, digits, '-' and '_', a letter or digit first",
    ),
]
SourceUrl = Annotated[PlainText, Field(max_length=2000), AfterValidator(_unmistakable_url)]


class Strict(BaseModel):
    """An immutable object that has no other fields than these."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)
