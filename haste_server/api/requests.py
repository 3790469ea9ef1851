"""Reading requests: strict JSON bodies, numbers in paths."""

from __future__ import annotations

import json
import math
import select
import socket
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, NoReturn

from flask import Request, request
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.routing import BaseConverter

from haste_core.errors import InvalidError, Problem
from haste_server.api.problem_codes import ProblemCode, RefusedError

MAX_NESTING = 24  # MariaDB refuses JSON deeper than 32, and a job's parts are stored inside others
MAX_ID = 10**18 - 1  # fits the database's BIGINT, and a path of digits can be judged by its length


class StrictRequest(Request):
    """A request whose JSON body is one object that every JSON reader understands alike.

    Attributes
    ----------
    json_body : bytes
        What was read of it; empty before.
    """

    json_body = b""

    def get_json(self, *_: Any, **__: Any) -> Any:
        """Read the body; there is no way to have it read less strictly.

        Raises
        ------
        RefusedError
            If the request does not say that it carries JSON. A web page of another origin can send a request
            without asking first only as long as it does not say so.
            Or if it is too large.
        InvalidError
        """
        if self.mimetype != "application/json":
            raise RefusedError(
                ProblemCode.WRONG_CONTENT_TYPE, "send the body as JSON, with 'Content-Type: application/json'"
            )
        self.json_body = self._whole_body()
        return parse_json_object(self.json_body)

    def _whole_body(self) -> bytes:
        try:
            body = self.get_data()
            self.stream.read(1)  # one that comes in chunks is only cut off where it becomes too large
        except RequestEntityTooLarge as error:
            raise RefusedError(
                ProblemCode.TOO_LARGE,
                f"the body is larger than the {self.max_content_length:,} bytes that this server takes "
                "(`max_body_bytes`): send fewer jobs at a time",
            ) from error
        return body


class IdConverter(BaseConverter):
    """The number of a job or a task; an address with one that no database row can have is not found."""

    regex = r"[0-9]{1,18}"

    def to_python(self, value: str) -> int:
        """Read the number."""
        return int(value)


def bound_silence(silence_s: float) -> None:
    """Let the present request's body fail if nothing of it comes for so long; a later one begins anew."""
    connection = request.environ.get("gunicorn.socket")
    if connection is not None:
        connection.settimeout(silence_s)


def body_ender() -> Callable[[], None]:
    """Return what ends the present request's body, from any thread; its answer can still be sent."""
    connection = request.environ.get("gunicorn.socket")

    def end() -> None:
        if connection is not None:
            with suppress(OSError):  # it is closed already
                connection.shutdown(socket.SHUT_RD)

    return end


def hang_up_watcher() -> Callable[[], bool]:
    """Return what tells, from any thread, whether the present request's client has closed its connection."""
    connection = request.environ.get("gunicorn.socket")

    def has_hung_up() -> bool:
        if connection is None:
            return False
        try:
            ready = select.poll()
            ready.register(connection, select.POLLIN)
            # A client that waits for an answer says nothing: what can be read is its end, or a next request.
            return bool(ready.poll(0)) and not connection.recv(1, socket.MSG_PEEK)
        except (OSError, ValueError):  # it broke, or is closed here, too
            return True

    return has_hung_up


def parse_json_object(body: bytes) -> dict[str, Any]:
    """Read a JSON object.

    Raises
    ------
    InvalidError
        If it is no JSON object, or one that readers take differently: names given twice, numbers that are not
        finite, halves of surrogate pairs, nesting without measure.
    """
    try:
        value = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_object_of_distinct_names,
            parse_constant=_refuse_constant,
            parse_float=_finite,
        )
    except RecursionError:
        _refuse(f"the body is nested more than {MAX_NESTING} deep")
    except ValueError as error:  # JSON and Unicode errors are ValueErrors
        _refuse(f"the body is not JSON: {error}")
    if not isinstance(value, dict):
        _refuse("the body should be a JSON object")
    _check_nesting(value)
    if b"\\u" in body:
        _check_surrogates(value)
    return value


def _object_of_distinct_names(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        ((name, _),) = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"the name {name[:100]!r} is given twice in one object")
    return value


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a JSON number")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"the number {text[:40]} is too large")
    return number


def _check_nesting(value: Any) -> None:
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > MAX_NESTING:
            _refuse(f"the body is nested more than {MAX_NESTING} deep")
        level = [item for node in level for item in _children(node)]


def _children(node: Any) -> Iterable[Any]:
    children = node.values() if isinstance(node, dict) else node
    return (child for child in children if isinstance(child, dict | list))


def _check_surrogates(value: Any) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        _refuse(r"the body is not JSON: it holds half of a surrogate pair (\ud800 to \udfff)")


def _refuse(what: str) -> NoReturn:
    raise InvalidError([Problem("", what)]) from None
