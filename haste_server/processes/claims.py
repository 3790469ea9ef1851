"""What a server claims while it runs: its data folder, and the file that tells its URL."""

from __future__ import annotations

import os
import time
from pathlib import Path

from haste_core.errors import TransientError
from haste_runtime.locks import try_lock

LOCK_WAIT_S = 5.0  # a server that was killed leaves processes that notice within two seconds
_POLL_S = 0.1


class DataFolderClaim:
    """The right to write in a data folder, held by one server: two on one SQLite file would harm it.

    It is held by the process that took it and by all that this one forks, until the last of them has ended.

    Parameters
    ----------
    folder : Path
        Made if it is missing, readable by its owner only.

    Raises
    ------
    TransientError
        If another server holds it.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._file = (folder / "server.lock").open("a+b")
        deadline = time.monotonic() + LOCK_WAIT_S
        while not try_lock(self._file):
            if time.monotonic() > deadline:
                self._file.close()
                raise TransientError(
                    f"another haste-server is at work in {folder}: stop it, or give this one another data_dir"
                )
            time.sleep(_POLL_S)

    def release(self) -> None:
        """Give the folder up."""
        self._file.close()


class UrlFile:
    """A file that tells the server's URL while the server answers.

    Parameters
    ----------
    path : Path, optional
        None: nothing is written.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path

    def write(self, url: str) -> None:
        """Let the file appear, whole."""
        if self._path is None:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self._path, f"{url}\n".encode())

    def remove(self) -> None:
        """Let the file disappear."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file, so that who reads it sees the old or the new content, never a part."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
