"""Locks on files: held by one process at a time, and given up when it ends, however it ends."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from typing import IO

_HELD_WINERRORS = frozenset({32, 33})  # ERROR_SHARING_VIOLATION, ERROR_LOCK_VIOLATION
_BEYOND = 2**30  # Windows keeps others from reading what is locked; nothing is that far behind


def _posix_lock(file: IO[bytes]) -> None:
    import fcntl

    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _windows_lock(file: IO[bytes]) -> None:
    import msvcrt

    file.seek(_BEYOND)
    msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
    file.seek(0)


def _posix_lock_when_free(file: IO[bytes]) -> None:
    import fcntl

    fcntl.flock(file, fcntl.LOCK_EX)


def _windows_lock_when_free(file: IO[bytes]) -> None:
    while not try_lock(file):
        time.sleep(0.005)


_lock: Callable[[IO[bytes]], None] = _windows_lock if os.name == "nt" else _posix_lock


_lock_when_free: Callable[[IO[bytes]], None] = (
    _windows_lock_when_free if os.name == "nt" else _posix_lock_when_free
)


def lock_when_free(file: IO[bytes]) -> None:
    """Lock an open file until it is closed, as soon as nobody else holds it."""
    _lock_when_free(file)


def try_lock(file: IO[bytes]) -> bool:
    """Lock an open file until it is closed; False if somebody else holds it."""
    with suppress(OSError):
        _lock(file)
        return True
    return False


def is_held_elsewhere(error: BaseException) -> bool:
    """Tell whether a file could not be used since another program of Windows has it open for itself."""
    return isinstance(error, PermissionError) and getattr(error, "winerror", None) in _HELD_WINERRORS
