"""A tier whose objects may be deleted after a period of grace."""

from __future__ import annotations

import contextlib
import os
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from haste_core.routing import file_url
from haste_workers.durable import (
    CONTAINER_SUFFIX,
    StagedFile,
    publish,
    sha256_of,
)
from haste_workers.tiers.posix import STAGING, PosixTierStorage
from haste_workers.tiers.storage import StoredObject

DAY_S = 24 * 3600.0
_LEAVING = ".haste-leaving"


@dataclass(frozen=True)
class TrashedObject:
    """What lies in the trash.

    Attributes
    ----------
    url : str
    size_bytes : int
    expires_at : float
        When it may be deleted, in seconds since the epoch.
    """

    url: str
    size_bytes: int
    expires_at: float


class TrashTierStorage(PosixTierStorage):
    """Keeps objects as `PosixTierStorage` does, and may delete those that have lain there long enough.

    A file's time is that of the last `put`, not that of its source, so that everybody can see since when it
    lies there, also after the folder was moved to another disk.

    Parameters
    ----------
    root : Path
        Made if it is missing.
    grace_s : float
        How long objects stay at least.
    """

    def __init__(self, root: Path, *, grace_s: float) -> None:
        super().__init__(root)
        self._grace_s = grace_s

    def contents(self) -> Iterator[TrashedObject]:
        """List what lies in the trash, in no order."""
        return filter(None, map(self._described, self._objects(self._root)))

    def remove_expired(self, *, now: float | None = None) -> list[TrashedObject]:
        """Delete what has lain in the trash for longer than the period of grace, and tell what it was.

        What a worker puts there again in the same moment is kept. May be interrupted at any time.

        Parameters
        ----------
        now : float, optional
            Seconds since the epoch; None: by this machine's clock.
        """
        now = time.time() if now is None else now
        for path in self._objects(self._root):
            found = self._described(path)
            if found is not None and found.expires_at < now:
                self._set_aside(path)
        # Also what a run that was killed had set aside.
        judged = [self._judge(path, now) for path in self._objects(self._root / _LEAVING)]
        return [each for each in judged if each is not None]

    def _objects(self, start: Path) -> Iterator[Path]:
        for folder, folders, files in os.walk(start):
            if folder == str(self._root):
                folders[:] = [name for name in folders if name not in (STAGING, _LEAVING)]
            containers = [name for name in folders if name.endswith(CONTAINER_SUFFIX)]
            folders[:] = [name for name in folders if name not in containers]
            paths = (Path(folder, name) for name in (*files, *containers))
            yield from (path for path in paths if not path.is_symlink())

    def _described(self, path: Path) -> TrashedObject | None:
        try:
            size_bytes, mtime_s = _size_and_time(path)
        except FileNotFoundError:  # somebody else was quicker
            return None
        url = file_url(self._root / self._name_of(path))
        return TrashedObject(url, size_bytes, mtime_s + self._grace_s)

    def _name_of(self, path: Path) -> PurePosixPath:
        leaving = self._root / _LEAVING
        start = leaving if path.is_relative_to(leaving) else self._root
        return PurePosixPath(path.relative_to(start).as_posix())

    def _set_aside(self, path: Path) -> None:
        """Move a file to where nobody puts anything, so that nobody counts on it from now on."""
        with contextlib.suppress(FileNotFoundError, FileExistsError):
            publish(path, self._root / _LEAVING / self._name_of(path))

    def _judge(self, aside: Path, now: float) -> TrashedObject | None:
        """Delete a file that was set aside, or bring it back if it was put again just before that."""
        found = self._described(aside)
        if found is not None and found.expires_at >= now:
            staged = StagedFile(aside, sha256_of(aside), found.size_bytes)
            self._give_name(staged, self._name_of(aside))
            found = None
        self._delete(aside)
        return found

    def _keep_time(self, source: Path, copy: Path) -> None:
        """Leave the copy the time at which it came."""

    def _found(self, target: Path, sha256: str) -> StoredObject:
        os.utime(target)  # fails if it was set aside meanwhile, and the task is tried again
        return super()._found(target, sha256)


def _size_and_time(path: Path) -> tuple[int, float]:
    """Return an object's size in bytes and its time, of a container the latest of all its times."""
    status = path.lstat()
    if not path.is_dir():
        return status.st_size, status.st_mtime
    inside = [each.lstat() for each in path.rglob("*")]
    sizes = (each.st_size for each in inside if not stat.S_ISDIR(each.st_mode))
    return sum(sizes), max(each.st_mtime for each in (status, *inside))
