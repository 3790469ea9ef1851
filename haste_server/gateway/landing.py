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

from haste_core.errors import InvalidError, Problem
from haste_core.messages import Place
from haste_core.uploads import SidecarNote, UploadMetadata
from haste_runtime.folders import sync_folder
from haste_runtime.removal import discard, mark_used, remove_unused

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
        if said.is_packed:  # how large it was on its way
            place = self.place_of(stream_id=said.stream, name=said.filename, sha256=sha256, size_bytes=0)
            return place.model_copy(update={"size_bytes": None})
        return self.place_of(stream_id=said.stream, name=said.filename, sha256=sha256, size_bytes=size_bytes)

    def sidecar_urls(self, said: UploadMetadata) -> list[str]:
        """Tell where the sidecars of an object are, if they were sent before it."""
        return [self._sidecar(said, note).url for note in said.sidecars]

    def check_sidecars(self, said: UploadMetadata) -> None:
        """Refuse an object whose sidecars were not sent before it.

        Raises
        ------
        InvalidError
        """
        missing = [note.name for note in said.sidecars if not self.holds(self._sidecar(said, note))]
        if missing:
            what = f"{', '.join(missing)}: not here yet; send it first, with `sidecar` yes"
            raise InvalidError([Problem("Upload-Metadata.sidecars", what)])

    def _sidecar(self, said: UploadMetadata, note: SidecarNote) -> Place:
        return self._place_of_sidecar(said, note.name, note.sha256, None)

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

    def adopt(self, whole: Path, place: Place) -> None:
        """Move a whole file or folder, whose bytes are on disk, to its place, unless it is there."""
        path = self._path(place)
        path.parent.mkdir(parents=True, exist_ok=True)
        if mark_used(path):
            self._discard(whole)
        else:
            self._move(whole, path)
        self._sync(path)

    def _move(self, whole: Path, path: Path) -> None:
        try:
            whole.replace(path)
        except OSError:
            if not (whole.is_dir() and path.is_dir()):
                raise
            self._discard(
                whole
            )  # the same folder has come there in between; unlike a file it is not replaced

    def _discard(self, whole: Path) -> None:
        """Remove what nobody needs, so that no part of it is ever taken for the whole."""
        aside = self._aside()
        whole.rename(aside)
        discard(aside)

    def _aside(self) -> Path:
        aside = self.folder / _OUTGOING / f"{secrets.token_hex(8)}.superseded"
        aside.parent.mkdir(exist_ok=True)
        return aside

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
        path = self.path_of(url)
        return remove_unused(path, since=since, aside=self._aside())

    def prepare(self) -> None:
        """Make the folders, and remove what a kill left behind long ago."""
        outgoing = self.folder / _OUTGOING
        outgoing.mkdir(parents=True, exist_ok=True)
        for path in outgoing.iterdir():
            # Another server may share the folder and clean up too, or still look.
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime < time.time() - FORGOTTEN_AFTER_S:
                    discard(path)

    def path_of(self, url: str) -> Path:
        """Tell where on this machine a file of this area is."""
        return self.folder / unquote(url.removeprefix(f"root://{ROOT_NAME}/"))

    def _path(self, place: Place) -> Path:
        return self.path_of(place.url)

    def _sync(self, path: Path) -> None:
        for folder in path.relative_to(self.folder).parents:
            sync_folder(self.folder / folder)


def suffix_of(name: str) -> str:
    """Find the suffix that a stored file gets: lower case, letters and digits only, else none."""
    found = _SUFFIX.search(name)
    return found[0].lower() if found else ""
