"""Tiers in buckets and containers: what S3 and Swift have in common."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Protocol, Self
from urllib.parse import unquote

from haste_core.errors import PermanentError, SourceMissingError
from haste_workers.durable import (
    CONTAINER_SUFFIX,
    SUMS_SUFFIX,
    has_new_content,
    listed_files,
    sha256_of,
    sums_of,
)
from haste_workers.naming import marked, stored_name
from haste_workers.removing import has_changed
from haste_workers.tiers.storage import StoredObject, not_covered

_TRIAL_NAME = ".haste-trial"  # no stream's name starts with a dot


@dataclass(frozen=True)
class SourceFile:
    """The file that is to be put.

    Attributes
    ----------
    path : Path
    sha256 : str
        Of the content that is to be put, in hex.
    size_bytes : int
    mtime_s : float
        When it was last changed, in seconds since the epoch.
    """

    path: Path
    sha256: str
    size_bytes: int
    mtime_s: float

    @classmethod
    def of(cls, path: Path, sha256: str | None) -> Self:
        """Look at a file; its content is only read if nobody has told its hash.

        Raises
        ------
        SourceMissingError
        """
        try:
            status = path.stat()
            return cls(path, sha256 or sha256_of(path), status.st_size, status.st_mtime)
        except FileNotFoundError as error:
            raise SourceMissingError(f"there is no file {path}") from error

    def pieces(self, piece_bytes: int) -> Iterator[bytes]:
        """Read the file; at least one piece comes, and the last one only if all has the right hash.

        Raises
        ------
        BadInputError
            Instead of the last piece.
        """
        digest = hashlib.sha256()
        read_bytes = 0
        with self.path.open("rb") as file:
            while True:
                piece = file.read(piece_bytes)
                digest.update(piece)
                read_bytes += len(piece)
                if not piece or read_bytes >= self.size_bytes:
                    break
                yield piece
            if file.read(1) or digest.hexdigest() != self.sha256:
                raise has_new_content(self.path, since="it was decided about")
        yield piece


@dataclass(frozen=True)
class SourceContainer:
    """The folder that is to be put.

    Attributes
    ----------
    path : Path
    sums : bytes
        The list of its files, whose SHA-256 is the container's.
    """

    path: Path
    sums: bytes

    @classmethod
    def of(cls, path: Path, sha256: str | None) -> Self:
        """Read a folder.

        Raises
        ------
        BadInputError
            If it is not what was recorded, or has files whose names no list of files can hold.
        """
        container = cls(path, sums_of(path))
        if sha256 not in (None, container.sha256):
            raise has_new_content(path, since="it was decided about")
        return container

    @property
    def sha256(self) -> str:
        """As `durable.sha256_of` defines it, in hex."""
        return hashlib.sha256(self.sums).hexdigest()

    @property
    def size_bytes(self) -> int:
        """Of all its files."""
        return sum((self.path / name).stat().st_size for name in listed_files(self.sums))

    def files(self) -> Iterator[tuple[str, SourceFile]]:
        """Go through its files, by their paths in it."""
        for name, sha256 in listed_files(self.sums).items():
            yield name, SourceFile.of(self.path / name, sha256)

    @contextmanager
    def sums_file(self) -> Iterator[SourceFile]:
        """Have the list of its files as a file."""
        with TemporaryDirectory(prefix="haste-") as folder:
            path = Path(folder, "sums")
            path.write_bytes(self.sums)
            yield SourceFile.of(path, self.sha256)


class ObjectStore(Protocol):
    """A bucket or container. All methods raise TransientError and PermanentError.

    Attributes
    ----------
    can_claim : bool
        True if of two that store under one free name at the same time, one is refused.
    """

    can_claim: bool

    def url_of(self, key: str) -> str:
        """Return the URL by which later tasks read an object."""

    def compare(self, key: str, source: SourceFile) -> bool | None:
        """Tell whether an object has the source's content; None: there is no such object."""

    def send(self, key: str, source: SourceFile, *, claim: bool) -> bool:
        """Store an object that appears whole or not at all, and verify it.

        Parameters
        ----------
        key : str
        source : SourceFile
        claim : bool
            Only store it if there is no such object; else one is replaced.

        Returns
        -------
        bool
            False: the name cannot be had.

        Raises
        ------
        BadInputError
            If the source has another content than it should; then nothing is stored.
        """

    def holds(self, key: str, sha256: str) -> bool | None:
        """Tell whether an object has a content, by what is recorded with it; None: there is no object."""

    def remove(self, key: str) -> None:
        """Remove an object; that there is none is fine."""

    def try_writing(self, key: str) -> None:
        """Begin to store an object of this name, and take it back."""


class ObjectTierStorage:
    """Keeps each object as ``<prefix>/<stream_id>/<source_id>``, marked with its hash where that is safer.

    Parameters
    ----------
    store : ObjectStore
    prefix : str
        Without a slash at its ends; may be empty.
    """

    def __init__(self, store: ObjectStore, *, prefix: str) -> None:
        self._store = store
        self._prefix = f"{prefix}/" if prefix else ""

    def put(self, source: Path, *, stream_id: str, source_id: str, sha256: str | None = None) -> StoredObject:
        """Send an object and verify what was stored; see `TierStorage.put`."""
        if source.is_dir():
            name = stored_name(stream_id, source_id, suffix=CONTAINER_SUFFIX)
            return self._put_container(SourceContainer.of(source, sha256), name)
        name = stored_name(stream_id, source_id, suffix=source.suffix)
        return self._put(SourceFile.of(source, sha256), name, plain=self._store.can_claim)

    def put_beside(self, source: Path, name: PurePosixPath) -> StoredObject:
        """Send a sidecar and verify what was stored; see `TierStorage.put_beside`."""
        return self._put(SourceFile.of(source, None), name, plain=True)

    def _put(self, file: SourceFile, name: PurePosixPath, *, plain: bool) -> StoredObject:
        own_names = _own_names(name, file.sha256)
        for candidate in (name, *own_names) if plain else own_names:
            key = f"{self._prefix}{candidate}"
            if self._is_there(key, file, claim=self._store.can_claim and candidate == name):
                return StoredObject(self._store.url_of(key), file.sha256, file.size_bytes, candidate)
        raise self._taken(name)

    def _put_container(self, container: SourceContainer, name: PurePosixPath) -> StoredObject:
        for candidate in _own_names(name, container.sha256):
            key = f"{self._prefix}{candidate}"
            if self._has_all(key, container):
                return StoredObject(
                    self._store.url_of(key), container.sha256, container.size_bytes, candidate
                )
        raise self._taken(name)

    def _has_all(self, key: str, container: SourceContainer) -> bool:
        with container.sums_file() as sums:
            same = self._store.compare(f"{key}{SUMS_SUFFIX}", sums)
            if same is not None:
                return same
            # The list of files comes last: without it nobody takes what is there for a whole container.
            files = ((f"{key}/{name}", file) for name, file in container.files())
            ordered = itertools.chain(files, [(f"{key}{SUMS_SUFFIX}", sums)])
            return all(self._is_there(key, source, claim=False) for key, source in ordered)

    def _taken(self, name: PurePosixPath) -> PermanentError:
        return PermanentError(
            f"{self._store.url_of(f'{self._prefix}{name}')} and its other names are taken by other content; "
            "look at them"
        )

    def try_writing(self) -> None:
        """Begin to store an object, and take it back; see `TierStorage.try_writing`."""
        self._store.try_writing(f"{self._prefix}{_TRIAL_NAME}")

    def covers(self, url: str) -> bool:
        """Tell whether a URL names something in the tier; see `TierStorage.covers`."""
        # Some gateways follow the ".." of a key, which no name in a tier has.
        return url.startswith(self._store.url_of(self._prefix)) and ".." not in self._key_of(url).split("/")

    def holds(self, url: str, sha256: str) -> bool:
        """Tell whether an object is there, with a known content; see `TierStorage.holds`."""
        key = self._covered(url)
        return bool(
            self._store.holds(f"{key}{SUMS_SUFFIX}" if key.endswith(CONTAINER_SUFFIX) else key, sha256)
        )

    def remove(self, url: str, sha256: str, *, confirm: Callable[[], None]) -> None:
        """Remove an object that has a known content; see `TierStorage.remove`."""
        key = self._covered(url)
        same = self._store.holds(key, sha256)
        if same is False:
            raise has_changed(url)
        confirm()
        if same:
            self._store.remove(key)

    def _covered(self, url: str) -> str:
        if not self.covers(url):
            raise not_covered(url, self._store.url_of(self._prefix))
        return self._key_of(url)

    def _key_of(self, url: str) -> str:
        return unquote(url.removeprefix(self._store.url_of("")))

    def _is_there(self, key: str, source: SourceFile, *, claim: bool) -> bool:
        same = self._store.compare(key, source)
        if same is None:
            # If the name is taken now, another worker was quicker, perhaps with the same object.
            sent = self._store.send(key, source, claim=claim)
            return sent or bool(self._store.compare(key, source))
        return same


def _own_names(name: PurePosixPath, sha256: str) -> tuple[PurePosixPath, PurePosixPath]:
    """Make names that hold the content's hash, so that nothing else is ever stored there.

    The second one is for stores that keep files and folders, which cannot have the same name.
    """
    return marked(name, sha256[:16]), PurePosixPath(f"{sha256}{name.suffix}")
