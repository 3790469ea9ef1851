"""Folders for temporary files: one for each living worker, removed with it, or by the next one."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

_LOCK_NAME = "lock"


@contextmanager
def scratch_folder(work_dir: Path, worker_id: str) -> Iterator[Path]:
    """Make a folder for temporary files, and remove those of workers that died without doing so.

    Parameters
    ----------
    work_dir : Path
    worker_id : str
    """
    parent = work_dir / "tmp"
    parent.mkdir(parents=True, exist_ok=True)
    folder = parent / worker_id
    with ExitStack() as stack:
        # One worker at a time: a folder whose lock is not taken yet looks like that of a dead worker.
        with (parent / _LOCK_NAME).open("wb") as gate:
            _lock(gate.fileno(), wait=True)
            _remove_orphans(parent)
            folder.mkdir()
            lock = stack.enter_context((folder / _LOCK_NAME).open("wb"))
            _lock(lock.fileno())
        yield folder
    shutil.rmtree(folder, ignore_errors=True)


def _remove_orphans(parent: Path) -> None:
    for folder in parent.iterdir():
        try:
            with (folder / _LOCK_NAME).open("rb+") as lock:
                if not _lock(lock.fileno()):
                    continue  # its worker lives
        except OSError:
            continue  # no folder of a worker
        shutil.rmtree(folder, ignore_errors=True)


def _lock(descriptor: int, *, wait: bool = False) -> bool:
    """Lock a file for as long as this process has it open; False if somebody else has."""
    try:
        if sys.platform == "win32":
            import msvcrt  # each system has one of the two

            msvcrt.locking(descriptor, msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
