"""A tier whose objects may be deleted after a period of grace."""

from __future__ import annotations

import os
import time
from datetime import datetime
from pathlib import Path

from haste_core.errors import PermanentError
from haste_workers.removing import aside_name
from haste_workers.tiers.posix import PosixTierStorage
from haste_workers.tiers.storage import StoredObject


class InGraceError(PermanentError):
    """An object may not be deleted yet."""


class TrashTierStorage(PosixTierStorage):
    """Keeps objects as `PosixTierStorage` does, and may delete those that have lain there long enough.

    A file's time is that of the last `put`, not that of its source, so that everybody can see since when it
    lies there, also after the folder was moved to another disk.

    Parameters
    ----------
    root : Path
    may_make : bool
        Whether the root is made if it is missing.
    grace_s : float
        How long objects stay at least.
    """

    def __init__(self, root: Path, *, grace_s: float, may_make: bool = False) -> None:
        super().__init__(root, may_make=may_make)
        self._grace_s = grace_s

    def check_expired(self, url: str, *, now: float | None = None) -> None:
        """Find whether an object may be deleted; one that is gone may.

        Parameters
        ----------
        url : str
            As `put` answered it.
        now : float, optional
            Seconds since the epoch; None: by this machine's clock.

        Raises
        ------
        InGraceError
            If it was put there too short a time ago.
        PermanentError
            If the trash does not cover the URL, or has no such folder, as when its disk is not mounted.
        """
        self._check_time(self._covered(url), time.time() if now is None else now)

    def delete(self, url: str, sha256: str, *, now: float | None = None) -> None:
        """Delete an object that has a known content, if it has lain there long enough; gone already is fine.

        What a worker puts there again in the same moment is kept. May be interrupted at any time.

        Parameters
        ----------
        url, sha256 : str
            As `put` answered them.
        now : float, optional
            As for `check_expired`.

        Raises
        ------
        InGraceError, TransientError, PermanentError
            Also if it has other content. Then it is where it was.
        """
        path, at = self._covered(url), time.time() if now is None else now
        self._check_time(path, at)
        self.remove(url, sha256, confirm=lambda: self._check_time(path, at))

    def _check_time(self, path: Path, now: float) -> None:
        if not path.parent.is_dir():
            raise PermanentError(
                f"{path.parent} is not there, so that nobody can tell whether {path.name} is deleted; is the "
                "disk mounted? If somebody has removed the folder, make it, empty, and retry"
            )
        aside = aside_name(path)
        looked_at = aside if os.path.lexists(aside) else path
        try:
            expires_at = _time_of(looked_at) + self._grace_s
        except FileNotFoundError:
            return
        if expires_at >= now:
            until = datetime.fromtimestamp(expires_at).astimezone().isoformat(" ", "seconds")
            raise InGraceError(f"{path} stays until {until}, by its time and the grace of its trash")

    def _keep_time(self, source: Path, copy: Path) -> None:
        """Leave the copy the time at which it came."""

    def _found(self, target: Path, sha256: str) -> StoredObject:
        os.utime(target)  # fails if it was set aside meanwhile, and the task is tried again
        return super()._found(target, sha256)


def _time_of(path: Path) -> float:
    """Return an object's time, of a container the latest of all its times."""
    inside = [*path.rglob("*")] if path.is_dir() else []
    return max(each.lstat().st_mtime for each in (path, *inside))
