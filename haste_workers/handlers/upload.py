"""Task ``upload``: sends the object to the server's landing area."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import requests
from pydantic import BaseModel, ValidationError

from haste_core.errors import PermanentError, TransientError
from haste_core.messages import Place, TaskMessage
from haste_workers.answers import Answer
from haste_workers.context import TaskContext
from haste_workers.durable import sha256_of
from haste_workers.handlers.parameters import HandlerParameters
from haste_workers.naming import object_name
from haste_workers.web import session_for

_TIMEOUTS_S = (10.0, 120.0)  # to connect; for the server to write the file to disk and answer
_TRY_LATER = frozenset({408, 425, 429})
_OTHER_CONTENT = 400  # among other reasons: what arrived does not have the announced SHA-256


class _Landed(BaseModel):
    place: Place


def upload(_job: Mapping[str, Any], task: TaskMessage, context: TaskContext) -> Answer:
    """Stream the object to the server, which checks its SHA-256 and answers with its new place.

    Sending the same object again is no error; the server answers with the place that it has.

    Raises
    ------
    TransientError
        If the server cannot be reached, or is in trouble, or the file changes while it is sent; the task is
        tried again.
    PermanentError
        If the server refuses the object.
    """
    HandlerParameters.of(context)
    if context.settings.server_url is None:
        raise PermanentError("upload needs the server to send to: start the worker with --server-url")
    path = context.source_file()
    name = object_name(context.source_id, suffix=path.suffix)
    url = f"{context.settings.server_url}/HASTE/files/{context.stream_id}/{quote(name.as_posix())}"
    sha256 = task.place.sha256 or sha256_of(path)
    answer = _send(url, path, sha256=sha256, context=context)
    if answer.status_code == _OTHER_CONTENT and task.place.sha256 is None:
        sha256, answer = _send_as_it_is_now(url, path, refused=(sha256, answer), context=context)
    place = _place(url, answer)
    if place.sha256 not in (None, sha256):
        raise TransientError(f"{url}: the server has stored something else than what was sent")
    return Answer({"url": place.url, "sha256": sha256, "size_bytes": path.stat().st_size}, place)


def _send(url: str, path: Path, *, sha256: str, context: TaskContext) -> requests.Response:
    digest = base64.b64encode(bytes.fromhex(sha256)).decode()
    headers = {"Repr-Digest": f"sha-256=:{digest}:", "Content-Type": "application/octet-stream"}
    if context.settings.token is not None:
        headers["Authorization"] = f"Bearer {context.settings.token.get_secret_value()}"
    try:
        with path.open("rb") as file, session_for(url) as session:
            body = _CountedFile(file, path.stat().st_size, context)
            return session.put(url, data=body, headers=headers, timeout=_TIMEOUTS_S, allow_redirects=False)
    except (requests.ConnectionError, requests.Timeout) as error:
        raise TransientError(
            f"the server {context.settings.server_url} cannot be reached now: {error}"
        ) from error
    except requests.RequestException as error:
        raise TransientError(f"the answer of {context.settings.server_url} broke off: {error}") from error


def _send_as_it_is_now(
    url: str, path: Path, *, refused: tuple[str, requests.Response], context: TaskContext
) -> tuple[str, requests.Response]:
    """Send again a file that was written to between hashing and sending; return its hash and the answer."""
    announced, answer = refused
    sha256 = sha256_of(path)
    if sha256 == announced:
        return announced, answer
    answer = _send(url, path, sha256=sha256, context=context)
    if answer.status_code == _OTHER_CONTENT and sha256_of(path) != sha256:
        raise TransientError(f"{path} is still being written; it is sent again later")
    return sha256, answer


def _place(url: str, answer: requests.Response) -> Place:
    if answer.status_code in _TRY_LATER or answer.status_code >= 500:
        raise TransientError(f"the server cannot take the file now: {_detail(answer)}")
    if answer.status_code not in (200, 201):
        raise PermanentError(f"the server refused the file: {_detail(answer)}")
    try:
        return _Landed.model_validate_json(answer.content).place
    except ValidationError as error:
        raise PermanentError(f"{url} does not answer like a HASTE server") from error


def _detail(answer: requests.Response) -> str:
    """Read what the server says, in a problem document or in its status line."""
    detail = ""
    with suppress(ValueError, AttributeError):  # no JSON, or no object
        detail = str(answer.json().get("detail") or "")
    return f"{answer.status_code} {detail or answer.reason}"


class _CountedFile:
    """A file that tells its progress while it is sent, and its length beforehand."""

    def __init__(self, file: Any, size_bytes: int, context: TaskContext) -> None:
        self._file = file
        self._size_bytes = size_bytes
        self._sent_bytes = 0
        self._context = context

    def __len__(self) -> int:
        return self._size_bytes

    def read(self, count: int = -1) -> bytes:
        # Not beyond the announced length: the file may be growing.
        left_bytes = self._size_bytes - self._sent_bytes
        piece: bytes = self._file.read(left_bytes if count < 0 else min(count, left_bytes))
        self._sent_bytes += len(piece)
        self._context.progress(min(1.0, self._sent_bytes / max(1, self._size_bytes)), "sending")
        return piece
