"""The landing area: where uploaded files are kept, each under the SHA-256 of its content."""

from __future__ import annotations

import contextlib
import re
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

from haste_core.messages import Place
from haste_core.uploads import UploadMetadata
from haste_runtime.folders import sync_folder
from haste_runtime.removal import mark_used, remove_unused

ROOT_NAME = "landing"
"""The root under which all sites that can read the landing area know it."""

FORGOTTEN_AFTER_S = 3600  # removing a file takes no time: who began it was killed

# No stream can be called so.
_OUTGOING = ".outgoing"
_UPLOADS = ".uploads"
_SIDECARS = "sidecars"  # longer than the two digits that files lie below
_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,10}\Z")


@dataclass(frozen=True)
class FolderLandingArea:
    """A folder that takes files as ``<stream_id>/<sha256[:2]>/<sha256><suffix>``.

    Sidecars are called as their senders call them: ``<stream_id>/sidecars/<sha256>/<name>``.

    Attributes
    ----------
    folder : Path
    site : str
        Where the folder can be read.
    """

    folder: Path
    site: str

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

    def place_for(self, said: UploadMetadata, sha256: str, size_bytes: int) -> Place:
        """Tell where a file of which this was said is kept, or would be."""
        if said.is_sidecar:
            return self._place_of_sidecar(said, said.filename, sha256, size_bytes)
        return self.place_of(stream_id=said.stream, name=said.filename, sha256=sha256, size_bytes=size_bytes)

    def sidecars_of(self, said: UploadMetadata) -> dict[str, Place]:
        """Tell by their names where the sidecars of an object are, if they were sent before it."""
        return {
            note.name: self._place_of_sidecar(said, note.name, note.sha256, None) for note in said.sidecars
        }

    def _place_of_sidecar(
        self, said: UploadMetadata, name: str, sha256: str, size_bytes: int | None
    ) -> Place:
        relative = f"{said.stream}/{_SIDECARS}/{sha256}/{quote(name)}"
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
        aside = self.folder / _OUTGOING / f"{secrets.token_hex(8)}.superseded"
        aside.parent.mkdir(exist_ok=True)
        return remove_unused(path, since=since, aside=aside)

    def prepare(self) -> None:
        """Make the folders, and remove what a kill left behind long ago."""
        outgoing = self.folder / _OUTGOING
        outgoing.mkdir(parents=True, exist_ok=True)
        for path in outgoing.iterdir():
            # Another server may share the folder and clean up too, or still look.
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime < time.time() - FORGOTTEN_AFTER_S:
                    path.unlink()

    def _path(self, place: Place) -> Path:
        return self._path_of(place.url)

    def _path_of(self, url: str) -> Path:
        return self.folder / unquote(url.removeprefix(f"root://{ROOT_NAME}/"))

    def _sync(self, path: Path) -> None:
        for folder in path.relative_to(self.folder).parents:
            sync_folder(self.folder / folder)


def suffix_of(name: str) -> str:
    """Find the suffix that a stored file gets: lower case, letters and digits only, else none."""
    found = _SUFFIX.search(name)
    return found[0].lower() if found else ""
