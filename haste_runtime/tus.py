"""Sending files to a server by the tus protocol; it knows how far it has come, the sender needs no notes."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

import requests

from haste_core.errors import PermanentError, TransientError
from haste_core.messages import Place
from haste_core.uploads import metadata_header
from haste_runtime.packing import open_packed

FILES = "/HASTE/files/"

Listener = Callable[[int, int], None]
"""Is told how many bytes are sent, and of how many."""


@dataclass(frozen=True)
class Sent:
    """What the server has made of a file.

    Attributes
    ----------
    place : Place, optional
        Where it is there. None if it was there before, has a job, and is elsewhere by now.
    job_id : int, optional
        Of the server's job; None if none was wanted.
    duration_s : float
        What sending it took, since it was last begun or gone on with.
    """

    place: Place | None
    job_id: int | None
    duration_s: float = 0.0


class Call(Protocol):
    """Asks the server for something; raises what its refusal means."""

    def __call__(
        self, method: str, path: str, *, headers: Mapping[str, str], data: Any = None
    ) -> requests.Response:
        """Return the answer, whose status tells success."""


def send_file(call: Call, source: Path, *, metadata: Mapping[str, Any], on_sent: Listener) -> Sent:
    """Send what the server does not have of a file yet, and return what it has made of it.

    Called again after it failed, it goes on where the server lost it.

    Parameters
    ----------
    call : Call
    source : Path
        A file, or a folder, which is packed on the way. If it grows meanwhile, it is sent as long as it is
        now.
    metadata : mapping
        For `haste_core.uploads.UploadMetadata`; with ``sha256``, by which the server finds what it has.
    on_sent : callable
        Is told how many of how many bytes the server has.

    Raises
    ------
    PermanentError
        If no HASTE server answers.
    TransientError
        If the file becomes shorter.
    """
    with open_packed(source) if source.is_dir() else source.open("rb") as file:
        length = file.seek(0, os.SEEK_END)
        headers = {
            "Tus-Resumable": "1.0.0",
            "Upload-Length": str(length),
            "Upload-Metadata": metadata_header(metadata),
        }
        answer = call("POST", FILES, headers=headers)
        path = FILES + answer.headers.get("Location", "").rpartition("/")[2]
        offset = _offset(answer)
        on_sent(offset, length)
        if offset < length:
            headers = {
                "Tus-Resumable": "1.0.0",
                "Upload-Offset": str(offset),
                "Content-Type": "application/offset+octet-stream",
            }
            piece = _Rest(file, offset=offset, length=length, on_sent=on_sent)
            answer = call("PATCH", path, headers=headers, data=piece)
        return _sent(answer)


class _Rest:
    """What is left of a file: tells its size beforehand, and how far it is while it is read."""

    def __init__(self, file: IO[bytes], *, offset: int, length: int, on_sent: Listener) -> None:
        file.seek(offset)
        self._file = file
        self._offset = offset
        self._length = length
        self._on_sent = on_sent

    def __len__(self) -> int:
        return self._length - self._offset

    def read(self, count: int = -1) -> bytes:
        left = len(self)  # not beyond the announced length: the file may be growing
        piece = self._file.read(left if count < 0 else min(count, left))
        if left and count and not piece:
            raise TransientError(
                f"{self._file.name} became shorter while it was sent; it is sent again later"
            )
        self._offset += len(piece)
        self._on_sent(self._offset, self._length)
        return piece


def _offset(answer: requests.Response) -> int:
    try:
        return int(answer.headers["Upload-Offset"])
    except (KeyError, ValueError) as error:
        raise _no_server(answer) from error


def _sent(answer: requests.Response) -> Sent:
    place, job_id = answer.headers.get("HASTE-Place"), answer.headers.get("HASTE-Job-Id")
    if place is None and job_id is None:
        raise _no_server(answer)
    try:
        return Sent(
            place=None if place is None else Place.model_validate_json(place),
            job_id=None if job_id is None else int(job_id),
        )
    except ValueError as error:
        raise _no_server(answer) from error


def _no_server(answer: requests.Response) -> PermanentError:
    return PermanentError(f"{answer.url} does not answer like a HASTE server")
