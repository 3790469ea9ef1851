"""Removing files that others may be about to use again."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path


def mark_used(path: Path) -> bool:
    """Protect a file from `remove_unused` for another while; False if it is not there."""
    try:
        os.utime(path)
        # The system may have found the file before it was moved aside, and marked it after `remove_unused`
        # had looked for the mark: then the mark went to a file without a name.
        path.stat()
    except FileNotFoundError:
        return False
    return True


def remove_unused(path: Path, *, since: float, aside: Path) -> bool:
    """Remove a file, or a folder, unless it was written or marked since a moment.

    It is looked at again out of the way: who marks it before finds it put back, who comes after finds nothing
    to mark and writes it anew. So nobody who was told that the file is there loses it.

    Parameters
    ----------
    path : Path
    since : float
        Seconds since 1970, by the clock of the file system.
    aside : Path
        A free name on the same file system, where a file that was left by a crash is cleared away.

    Returns
    -------
    bool
        False if it stays, or was gone.
    """
    try:
        if path.stat().st_mtime >= since:
            return False
        path.rename(aside)
    except FileNotFoundError:  # somebody else was quicker
        return False
    if aside.stat().st_mtime < since:
        discard(aside)
        return True
    _put_back(aside, path)
    return False


def discard(path: Path) -> None:
    """Remove a file, or a folder with all that is in it, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _put_back(aside: Path, path: Path) -> None:
    """Give back its name to what was moved aside, unless it was written anew in the meantime."""
    if aside.is_dir():
        with contextlib.suppress(OSError):  # a folder that is not empty is not replaced
            aside.rename(path)
        discard(aside)
        return
    with contextlib.suppress(FileExistsError):
        os.link(aside, path)
    aside.unlink()
