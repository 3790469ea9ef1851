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

_TIMEOUTS_S = (10.0, 120.0)  # to connect; for the server to write the file to disk and answer
_TRY_LATER = frozenset({408, 425, 429})


class _Landed(BaseModel):
    place: Place


def upload(_job: Mapping[str, Any], task: TaskMessage, context: TaskContext) -> Answer:
    """Stream the object to the server, which checks its SHA-256 and answers with its new place.

    Sending the same object again is no error; the server answers with the place that it has.

    Raises
    ------
    TransientError
        If the server cannot be reached, or is in trouble; the task is tried again.
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
        with path.open("rb") as file:
            body = _CountedFile(file, path.stat().st_size, context)
            return requests.put(url, data=body, headers=headers, timeout=_TIMEOUTS_S, allow_redirects=False)
    except (requests.ConnectionError, requests.Timeout) as error:
        raise TransientError(
            f"the server {context.settings.server_url} cannot be reached now: {error}"
        ) from error


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
        piece: bytes = self._file.read(count)
        self._sent_bytes += len(piece)
        self._context.progress(min(1.0, self._sent_bytes / max(1, self._size_bytes)), "sending")
        return piece
