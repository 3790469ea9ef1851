"""Asking a service for a score by HTTP: the question as a URL, and what an answer means."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias
from urllib.parse import urlencode, urlsplit

from pydantic import AfterValidator, Field

from haste_core.errors import TransientError

MAX_URL_CHARACTERS = 4000  # gunicorn takes 4094 in a request's first line, most others 8000
MAX_ANSWER_BYTES = 65_536
DEFAULT_TIMEOUT_S = 5.0
_SHOWN_CHARACTERS = 200
_TOO_MANY_REQUESTS = 429


@dataclass(frozen=True)
class HttpAnswer:
    """What a service said.

    Attributes
    ----------
    status : int
        HTTP's code.
    body : bytes
        At most one byte more than `MAX_ANSWER_BYTES`.
    """

    status: int
    body: bytes


Get: TypeAlias = Callable[[str, float], HttpAnswer]
"""Fetches a URL within so many seconds; raises SilenceError if nobody answers."""


class SilenceError(TransientError):
    """A service did not answer; it is no use to ask it about the next object now."""


def nobody_asked(url: str, _timeout_s: float) -> HttpAnswer:
    """Stand for the net where there is none."""
    raise SilenceError(f"{url} cannot be asked here; the server's evaluator does that")


def _service(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{url!r} is no address of a service, such as http://scores.lab:8000/score")
    if "@" in parts.netloc or parts.fragment or not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError("should hold no user name, '#', space or letter beyond ASCII")
    return url


ServiceUrl = Annotated[str, Field(max_length=MAX_URL_CHARACTERS // 2), AfterValidator(_service)]


def address_of(url: str, values: Mapping[str, Any], fields: Sequence[str] | None) -> str:
    """Write what is known of an object behind a URL: ``…?plls=-1.2&metadata.well=A01``.

    Text stands as it is, everything else as JSON; what is null is left out.

    Parameters
    ----------
    url : str
    values : mapping
        JSON values; those of inner objects get dotted names.
    fields : sequence of str, optional
        The names to send; None: all.

    Raises
    ------
    ValueError
        If a name is not there, or the URL is longer than servers take.
    """
    address = f"{url}{'&' if '?' in url else '?'}{urlencode(_chosen(dict(_flat(values)), fields))}"
    if len(address) > MAX_URL_CHARACTERS:
        raise ValueError(
            f"what is known of the object makes a URL of {len(address)} characters; at most "
            f"{MAX_URL_CHARACTERS} are possible. Name in `fields` what {url} needs"
        )
    return address


def number_in(answer: HttpAnswer, url: str) -> float:
    """Read the score that a service gave: ``0.7``, ``{"score": 0.7}`` or ``{"interestingness": 0.7}``.

    Raises
    ------
    TransientError
        If the service is in trouble for now: 429 or 5xx.
    ValueError
        If it said anything else.
    """
    said = answer.body[:_SHOWN_CHARACTERS].decode(errors="replace")
    if answer.status == _TOO_MANY_REQUESTS or answer.status >= 500:
        raise TransientError(f"{url} answered {answer.status}: {said}")
    if answer.status != 200:
        raise ValueError(f"{url} answered {answer.status}, not 200: {said}")
    value = _json_in(answer, url, said)
    if isinstance(value, dict):
        value = value.get("score", value.get("interestingness"))
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f'{url} answered neither a number nor {{"score": number}}: {said!r}')  # noqa: TRY004
    return value


def _json_in(answer: HttpAnswer, url: str, said: str) -> Any:
    if len(answer.body) > MAX_ANSWER_BYTES:
        raise ValueError(f"{url} answered with more than {MAX_ANSWER_BYTES} bytes")
    try:
        return json.loads(answer.body)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{url} answered with no JSON: {said!r}") from error


def timeout_of(parameters: Mapping[str, Any]) -> float:
    """Tell how long a service may take, by the parameters of `rest`, in seconds."""
    return float(parameters.get("timeout_s", DEFAULT_TIMEOUT_S))


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        match value:
            case None:
                continue
            case Mapping():
                yield from _flat(value, f"{prefix}{name}.")
            case str():
                yield f"{prefix}{name}", value
            case _:
                yield f"{prefix}{name}", json.dumps(value, separators=(",", ":"))


def _chosen(known: dict[str, str], fields: Sequence[str] | None) -> dict[str, str]:
    if fields is None:
        return known
    if missing := [name for name in fields if name not in known]:
        raise ValueError(f"the object has no {', '.join(missing)}")
    return {name: known[name] for name in fields}
