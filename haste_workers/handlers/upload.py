"""Task ``upload``: sends the object to the server's landing area."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import requests

from haste_core.errors import PermanentError, TransientError
from haste_core.messages import Place, TaskMessage
from haste_core.uploads import ChecksumMismatchError
from haste_runtime.tus import send_file
from haste_workers.answers import Answer
from haste_workers.context import TaskContext
from haste_workers.durable import sha256_of
from haste_workers.handlers.parameters import HandlerParameters
from haste_workers.naming import object_name
from haste_workers.web import session_for

_TIMEOUTS_S = (10.0, 120.0)  # to connect; for the server to write the file to disk and answer
_TRY_LATER = frozenset({408, 425, 429})
_GO_ON = frozenset({404, 409, 410})  # the upload is not as it was: asked again, the server tells how it is
_HELD = 423
_OTHER_CONTENT = 460
HELD_S = 60.0  # longer than the server waits for a connection that has gone silent
_ASK_EVERY_S = 0.5


class _InterruptedError(TransientError):
    """The server has to be asked how far the upload is."""


class _HeldError(TransientError):
    """Somebody sends this upload: an attempt before, whose connection the server believes to be alive."""


def upload(_job: Mapping[str, Any], task: TaskMessage, context: TaskContext) -> Answer:
    """Stream the object to the server, which checks its SHA-256 and answers with its new place.

    What the server has is not sent again: neither the same object, nor the beginning of one whose upload
    broke off, in this attempt or in an earlier one.

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
    sha256 = task.place.sha256 or sha256_of(path)
    try:
        place = _send(path, sha256, context)
    except ChecksumMismatchError as error:
        if task.place.sha256 is not None:
            raise PermanentError(str(error)) from error
        sha256, place = _send_as_it_is_now(path, sha256, context, refused=error)
    if place.sha256 not in (None, sha256):
        raise TransientError(
            f"{context.settings.server_url}: the server has stored something else than what was sent"
        )
    return Answer({"url": place.url, "sha256": sha256, "size_bytes": path.stat().st_size}, place)


def _send(path: Path, sha256: str, context: TaskContext) -> Place:
    """Send the object, and go on after each interruption as long as it is farther than at the last one."""
    name = object_name(context.source_id, suffix=path.suffix)
    said = {"stream_id": context.stream_id, "filename": name.as_posix(), "sha256": sha256, "job": "no"}
    gives_up_at = time.monotonic() + HELD_S
    begun_at = -1
    while True:
        with session_for(str(context.settings.server_url)) as session:
            sending = _Sending(session, context)
            try:
                return send_file(sending.call, path, metadata=said, on_sent=sending.on_sent)
            except _HeldError:
                if time.monotonic() > gives_up_at:
                    raise
                time.sleep(_ASK_EVERY_S)
            except _InterruptedError:
                if sending.begun_at <= begun_at:
                    raise
                begun_at = sending.begun_at


def _send_as_it_is_now(
    path: Path, announced: str, context: TaskContext, *, refused: ChecksumMismatchError
) -> tuple[str, Place]:
    """Send again a file that was written to between hashing and sending; return its hash and place."""
    sha256 = sha256_of(path)
    if sha256 == announced:
        raise PermanentError(str(refused)) from refused
    try:
        return sha256, _send(path, sha256, context)
    except ChecksumMismatchError as error:
        if sha256_of(path) != sha256:
            raise TransientError(f"{path} is still being written; it is sent again later") from error
        raise PermanentError(str(error)) from error


class _Sending:
    """One try to send a file.

    Attributes
    ----------
    begun_at : int
        How many bytes the server had before; -1 before it was asked.
    """

    def __init__(self, session: requests.Session, context: TaskContext) -> None:
        self._session = session
        self._context = context
        self.begun_at = -1

    def on_sent(self, sent_bytes: int, size_bytes: int) -> None:
        self.begun_at = sent_bytes if self.begun_at < 0 else self.begun_at
        self._context.progress(min(1.0, sent_bytes / max(1, size_bytes)), "sending")

    def call(
        self, method: str, path: str, *, headers: Mapping[str, str], data: Any = None
    ) -> requests.Response:
        settings = self._context.settings
        url = f"{settings.server_url}{path}"
        token = {} if settings.token is None else _authorization(settings.token.get_secret_value())
        try:
            answer = self._session.request(
                method,
                url,
                data=data,
                headers={**headers, **token},
                timeout=_TIMEOUTS_S,
                allow_redirects=False,
            )
        except (requests.ConnectionError, requests.Timeout) as error:
            raise _InterruptedError(
                f"the server {settings.server_url} cannot be reached now: {error}"
            ) from error
        except requests.RequestException as error:
            raise _InterruptedError(f"the answer of {settings.server_url} broke off: {error}") from error
        _check(answer, goes_on=method == "PATCH")
        return answer


def _authorization(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _check(answer: requests.Response, *, goes_on: bool) -> None:
    """Refuse an answer that is no success, by the error that it means."""
    status = answer.status_code
    if status == _HELD:
        raise _HeldError(f"the server cannot take the file now: {_detail(answer)}")
    if goes_on and status in _GO_ON:
        raise _InterruptedError(f"the server cannot take the file now: {_detail(answer)}")
    if status in _TRY_LATER or status >= 500:
        raise TransientError(f"the server cannot take the file now: {_detail(answer)}")
    if status == _OTHER_CONTENT:
        raise ChecksumMismatchError(f"the server refused the file: {_detail(answer)}")
    if status not in (200, 201, 204):
        raise PermanentError(f"the server refused the file: {_detail(answer)}")


def _detail(answer: requests.Response) -> str:
    """Read what the server says, in a problem document or in its status line."""
    detail = ""
    with suppress(ValueError, AttributeError):  # no JSON, or no object
        detail = str(answer.json().get("detail") or "")
    return f"{answer.status_code} {detail or answer.reason}"
