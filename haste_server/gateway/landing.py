"""The landing area: where uploaded files are kept, each under the SHA-256 of its content."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from haste_core.errors import InvalidError, Problem
from haste_core.messages import Place
from haste_runtime.folders import sync_folder
from haste_runtime.removal import mark_used, remove_unused

ROOT_NAME = "landing"
"""The root under which all sites that can read the landing area know it."""

CHUNK_BYTES = 2**20
FORGOTTEN_AFTER_S = 3600  # of silence; an upload that goes on writes at least each minute

_INCOMING = ".incoming"
_UPLOADS = ".uploads"  # no stream can be called so
_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,10}\Z")


@dataclass(frozen=True)
class FolderLandingArea:
    """A folder that takes files as ``<stream_id>/<sha256[:2]>/<sha256><suffix>``.

    Attributes
    ----------
    folder : Path
    site : str
        Where the folder can be read.
    """

    folder: Path
    site: str

    def receive(self, body: IO[bytes], *, stream_id: str, name: str, sha256: str) -> tuple[Place, bool]:
        """Store a file once; it appears under its name only when it is whole and on disk.

        Parameters
        ----------
        body : binary file
            Read in pieces, so that memory does not grow with the file.
        stream_id : str
            A checked stream name.
        name : str
            What the sender calls the file. Only its suffix is kept, which tells readers the format.
        sha256 : str
            What the content must have, in hex.

        Returns
        -------
        place : Place
        is_new : bool
            False if the same content was there.

        Raises
        ------
        InvalidError
            If the content has another SHA-256, for example because the connection broke.
        OSError
            If the disk is full.
        """
        relative = f"{stream_id}/{sha256[:2]}/{sha256}{suffix_of(name)}"
        target = self.folder / relative
        is_new = not mark_used(target)  # an old file may be about to be removed as superseded
        size_bytes = self._write(body, target, sha256) if is_new else _read_through(body, sha256)
        # Also of a file that was there: who wrote it may have been killed before its name was on disk.
        for folder in (target.parent, target.parent.parent, self.folder):
            sync_folder(folder)
        place = Place(
            url=f"root://{ROOT_NAME}/{relative}", site=self.site, sha256=sha256, size_bytes=size_bytes
        )
        return place, is_new

    @property
    def uploads_folder(self) -> Path:
        """Where files are kept before they are whole, on the same file system."""
        return self.folder / _UPLOADS

    def place_of(self, *, stream_id: str, name: str, sha256: str, size_bytes: int) -> Place:
        """Tell where a file is kept, or would be; only the suffix of its name counts, for readers' sake."""
        relative = f"{stream_id}/{sha256[:2]}/{sha256}{suffix_of(name)}"
        return Place(
            url=f"root://{ROOT_NAME}/{relative}", site=self.site, sha256=sha256, size_bytes=size_bytes
        )

    def holds(self, place: Place) -> bool:
        """Tell whether a file is there; then it stays for a while, and is on disk."""
        path = self._path(place)
        if not mark_used(path):  # an old file may be about to be removed as superseded
            return False
        # Who wrote it may have been killed before its name was on disk.
        self._sync(path)
        return True

    def adopt(self, file: Path, place: Place) -> None:
        """Move a whole file, whose bytes are on disk, to its place; the same content may be there."""
        path = self._path(place)
        path.parent.mkdir(parents=True, exist_ok=True)
        if mark_used(path):
            file.unlink()
        else:
            file.replace(path)
        self._sync(path)

    def streams(self) -> list[str]:
        """List the streams of which there are files."""
        if not self.folder.is_dir():
            return []
        return sorted(path.name for path in self.folder.iterdir() if path.name[0] != "." and path.is_dir())

    def unused(self, stream_id: str, *, since: float) -> Iterator[str]:
        """Find the URLs of a stream's files that were not sent since a moment (seconds since 1970)."""
        for path in (self.folder / stream_id).glob("??/*"):
            with contextlib.suppress(FileNotFoundError):  # removed meanwhile
                if path.stat().st_mtime < since:
                    yield f"root://{ROOT_NAME}/{path.relative_to(self.folder).as_posix()}"

    def remove(self, url: str, *, since: float) -> bool:
        """Remove a file that `unused` has found; False if it was sent again since, or is gone."""
        path = self._path_of(url)
        aside = self.folder / _INCOMING / f"{secrets.token_hex(8)}.superseded"
        return remove_unused(path, since=since, aside=aside)

    def prepare(self) -> None:
        """Make the folders, and remove what uploads left behind that broke off long ago."""
        incoming = self.folder / _INCOMING
        incoming.mkdir(parents=True, exist_ok=True)
        for path in incoming.iterdir():
            # Another server may share the folder and clean up too, or still write.
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime < time.time() - FORGOTTEN_AFTER_S:
                    path.unlink()

    def _path(self, place: Place) -> Path:
        return self._path_of(place.url)

    def _path_of(self, url: str) -> Path:
        return self.folder / url.removeprefix(f"root://{ROOT_NAME}/")

    def _sync(self, path: Path) -> None:
        for folder in (path.parent, path.parent.parent, self.folder):
            sync_folder(folder)

    def _write(self, body: IO[bytes], target: Path, sha256: str) -> int:
        with self._temporary_file() as file:
            size_bytes = _copy(body, file, sha256)
            file.flush()
            os.fsync(file.fileno())
            target.parent.mkdir(parents=True, exist_ok=True)
            Path(file.name).replace(target)
        return size_bytes

    @contextlib.contextmanager
    def _temporary_file(self) -> Iterator[IO[bytes]]:
        incoming = self.folder / _INCOMING
        incoming.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=incoming, delete=False) as file:
            try:
                yield file
            finally:
                # It is gone already if it was moved to its target.
                Path(file.name).unlink(missing_ok=True)


def suffix_of(name: str) -> str:
    """Find the suffix that a stored file gets: lower case, letters and digits only, else none."""
    found = _SUFFIX.search(name)
    return found[0].lower() if found else ""


def _read_through(body: IO[bytes], sha256: str) -> int:
    """Take a file that is there already: a client that is not listened to takes that for a failure."""
    return _copy(body, None, sha256)


def _copy(body: IO[bytes], file: IO[bytes] | None, sha256: str) -> int:
    digest, size_bytes = hashlib.sha256(), 0
    while chunk := body.read(CHUNK_BYTES):
        digest.update(chunk)
        size_bytes += len(chunk)
        if file is not None:
            file.write(chunk)
    if digest.hexdigest() != sha256:
        arrived = f"the {size_bytes} bytes that arrived have SHA-256 {digest.hexdigest()}"
        raise InvalidError([Problem("Repr-Digest", f"{arrived}, not {sha256}; send the file again")])
    return size_bytes
