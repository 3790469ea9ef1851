"""A client that sends files by the tus protocol, and what has become of them."""

from __future__ import annotations

import errno
import hashlib
import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from werkzeug.test import TestResponse

from haste_core.uploads import metadata_header

if TYPE_CHECKING:
    from tests.integration.api.conftest import Api


CONTENT = os.urandom(300_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
HALF = len(CONTENT) // 2


class Tus(NamedTuple):
    """A client that says just what it is told to."""

    api: Api

    def call(
        self, method: str, path: str = "/HASTE/files/", *, body: Any = None, **headers: Any
    ) -> TestResponse:
        named = {name.replace("_", "-"): str(value) for name, value in headers.items()}
        stream = io.BytesIO(body) if isinstance(body, bytes) else body
        length = len(body) if isinstance(body, bytes) else None
        sent = {"Tus-Resumable": "1.0.0"} | named
        if body is not None:
            sent = {"Content-Type": "application/offset+octet-stream"} | sent
        return self.api.client.open(
            path,
            method=method,
            headers=sent,
            input_stream=stream,
            content_length=length,
            environ_overrides={"wsgi.input_terminated": length is None},
        )

    def create(self, length: int = len(CONTENT), **metadata: Any) -> TestResponse:
        return self.call("POST", Upload_Length=length, Upload_Metadata=metadata_header(metadata))

    def begin(self, **metadata: Any) -> str:
        answer = self.create(**metadata)
        assert answer.status_code == 201, answer.text
        return answer.headers["Location"]

    def patch(self, url: str, body: Any, offset: int, **headers: Any) -> TestResponse:
        return self.call("PATCH", url, body=body, Upload_Offset=offset, **headers)

    def offset(self, url: str) -> int:
        answer = self.call("HEAD", url)
        assert answer.status_code == 200, answer.status
        return int(answer.headers["Upload-Offset"])


def landed(api: Api) -> list[Path]:
    return [path for path in api.landing_folder.glob("[!.]*/??/*") if path.is_file()]


def unfinished(api: Api) -> list[Path]:
    return sorted(api.landing_folder.glob(".uploads/*"))


class BreakingOff(io.RawIOBase):
    """A body whose connection ends before its time."""

    def __init__(self, body: bytes) -> None:
        self._body = io.BytesIO(body)

    def tell(self) -> int:
        return 0

    def seek(self, *_: int) -> int:
        return 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count = self._body.readinto(buffer)
        if not count:
            raise ConnectionResetError(errno.ECONNRESET, "reset by peer")
        return count
