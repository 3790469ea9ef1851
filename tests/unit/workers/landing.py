"""The real landing area behind a server that can be made to fail."""

import json
import socket
import ssl
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from haste_core.uploads import UploadMetadata
from haste_server.api.app import create_app
from haste_server.api.services import Services
from haste_server.gateway.landing import FolderLandingArea
from haste_server.gateway.room import UploadRoom
from haste_server.gateway.uploads import FolderUploads
from tests.services.wsgi import serving

TOKEN = "a token of some length"
NOTHING = cast(Any, None)  # no job is made of what workers send
Environment = dict[str, Any]


_NO_TOKENS = SimpleNamespace(
    token_by_hash=lambda _: None,
    failed_logins=lambda *_, **__: [],
    note_failed_login=lambda *_, **__: None,
    forget_failed_logins=lambda **_: None,
)
"""Whoever shows another token than the server's own is wrong, as often as they like."""


@dataclass
class Landing:
    """What the server was sent, and what it shall answer next.

    Attributes
    ----------
    cuts : list of int
        After how many bytes of their bodies the next requests with a file are cut.
    received_bytes : int
        Of all files, what was sent twice counted twice.
    """

    folder: Path
    url: str = ""
    refusal: tuple[int, dict[str, Any]] | None = None
    nonsense: bytes | None = None
    answers_half: bool = False
    on_creation: Callable[[], object] = lambda: None
    cuts: list[int] = field(default_factory=list)
    received_bytes: int = 0
    creations: list[Environment] = field(default_factory=list)

    def __post_init__(self) -> None:
        landing = FolderLandingArea(self.folder, site="hpc")
        self.uploads = FolderUploads(
            landing=landing,
            arrivals=NOTHING,
            room=UploadRoom(landing, NOTHING, max_bytes=10**11),
            keep_s=1000,
        )
        services = Services(
            jobs=NOTHING,
            streams=NOTHING,
            objects=NOTHING,
            workers=NOTHING,
            alerts=NOTHING,
            events=NOTHING,
            trash_store=NOTHING,
            tokens=cast(Any, _NO_TOKENS),
            projects=NOTHING,
            audit=NOTHING,
            monitoring=NOTHING,
            pipelines={},
            tiers=frozenset(),
            uploads=self.uploads,
            wake=lambda: None,
            readiness=dict,
            token=TOKEN,
        )
        self._application = create_app(services)

    @property
    def files(self) -> dict[str, bytes]:
        """What has landed."""
        return {
            path.relative_to(self.folder).as_posix(): path.read_bytes()
            for path in self.folder.glob("[!.]*/??/*")
        }

    @property
    def said(self) -> list[UploadMetadata]:
        """What was said about the files."""
        return [UploadMetadata.parse(environ["HTTP_UPLOAD_METADATA"]) for environ in self.creations]

    def __call__(self, environ: Environment, start_response: Callable[..., Any]) -> Iterable[bytes]:
        environ["wsgi.input"] = _Counted(environ, self)
        if environ["REQUEST_METHOD"] == "POST":
            self.creations.append(environ)
            self.on_creation()
        if self.refusal is not None:
            status, problem = self.refusal
            return _answer(start_response, f"{status} -", json.dumps(problem).encode())
        if self.nonsense is not None:
            return _answer(start_response, "200 OK", self.nonsense)

        def start(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            longer = [(name, f"{value}0") for name, value in headers if name == "Content-Length"]
            rest = [item for item in headers if item[0] != "Content-Length"]
            return start_response(status, rest + longer if self.answers_half else headers, *more)

        return self._application(environ, start)


class _Counted:
    """A body that counts what is read of it, and breaks off where it was told to."""

    def __init__(self, environ: Environment, landing: Landing) -> None:
        self._body = environ["wsgi.input"]
        self._socket: socket.socket = environ["werkzeug.socket"]
        self._landing = landing
        has_body = environ["REQUEST_METHOD"] == "PATCH"
        self._left = landing.cuts.pop(0) if has_body and landing.cuts else None

    def read(self, size: int = -1) -> bytes:
        if self._left == 0:
            self._socket.shutdown(socket.SHUT_RDWR)
            return b""
        piece = self._body.read(size if self._left is None else min(size, self._left))
        self._left = None if self._left is None else self._left - len(piece)
        self._landing.received_bytes += len(piece)
        return piece

    def readinto(self, buffer: Any) -> int:
        piece = self.read(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)


def _answer(start_response: Callable[..., Any], status: str, body: bytes) -> list[bytes]:
    start_response(status, [("Content-Length", str(len(body)))])
    return [body]


@contextmanager
def running_landing(folder: Path, *, tls: ssl.SSLContext | None = None) -> Iterator[Landing]:
    """Serve a landing area on a free port."""
    landing = Landing(folder)
    with serving(landing, tls=tls) as landing.url:
        yield landing
