"""Removing an object that was copied elsewhere: that content only, and only while the copy is there."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from haste_core.errors import PermanentError, TransientError
from haste_runtime.folders import sync_folder
from haste_workers.durable import CONTAINER_SUFFIX, publish, sha256_of

_PERMANENT_ERRNOS = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})


def remove_copied(
    path: Path,
    *,
    sha256: str,
    confirm: Callable[[], None],
    delete: Callable[[Path], None] = Path.unlink,
) -> None:
    """Remove a file, or a container, if it has a known content; that it is gone already is fine.

    It is first given another name in its folder, and looked at there: who writes under its own name from then
    on writes another file, and a copy that was this very file, by another way to it, is found missing. A file
    that may not be removed gets its name back. What a run that was killed has left, the next one ends.

    Parameters
    ----------
    path : Path
        No link.
    sha256 : str
        Of the content, in hex.
    confirm : callable
        Asked last; raises if the copy is not there.
    delete : callable
        Removes it under its other name, wholly or not at all.

    Raises
    ------
    PermanentError
        If it has other content, or may not be removed.
    TransientError
        If it cannot be removed now.
    """
    aside = aside_name(path)
    try:
        if os.path.lexists(aside):
            _judge(aside, path, sha256, confirm, delete)
        try:
            path.rename(aside)
        except FileNotFoundError:
            confirm()
        else:
            _judge(aside, path, sha256, confirm, delete)
    except OSError as error:
        failure = PermanentError if error.errno in _PERMANENT_ERRNOS else TransientError
        raise failure(f"{path} cannot be removed: {error.strerror or error}") from error


def aside_name(path: Path) -> Path:
    """Name the file or container as which another is looked at before it is removed."""
    ending = CONTAINER_SUFFIX if path.name.endswith(CONTAINER_SUFFIX) else ""
    return path.with_name(f".haste-leaving-{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:32]}{ending}")


def _judge(
    aside: Path, path: Path, sha256: str, confirm: Callable[[], None], delete: Callable[[Path], None]
) -> None:
    try:
        _check(aside, path, sha256, confirm)
        delete(aside)
    except BaseException as error:
        if isinstance(error, FileNotFoundError) and not os.path.lexists(aside):
            return  # another attempt was quicker
        _put_back(aside, path)
        raise
    sync_folder(path.parent)


def _check(aside: Path, path: Path, sha256: str, confirm: Callable[[], None]) -> None:
    before = _stamp(aside)
    if sha256_of(aside) != sha256:
        raise has_changed(path)
    confirm()
    if _stamp(aside) != before:
        raise PermanentError(f"{path} is still being written")


def has_changed(what: object) -> PermanentError:
    """Say that something is not removed, since it is not what was copied."""
    return PermanentError(
        f"{what} has changed since it was copied, and stays; when you have taken it elsewhere, retry"
    )


def _stamp(path: Path) -> tuple[int, int]:
    statuses = [each.stat() for each in (path, *path.rglob("*"))]
    return sum(each.st_size for each in statuses), max(each.st_mtime_ns for each in statuses)


def _put_back(aside: Path, path: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        try:
            publish(aside, path)
        except FileExistsError as error:
            raise PermanentError(
                f"{path} was written anew while its former content was to be removed, which is not what was "
                f"copied and is kept as {aside}; look at both"
            ) from error
