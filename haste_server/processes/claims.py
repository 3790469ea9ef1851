"""What a server claims while it runs: its data folder, and the file that tells its URL."""

from __future__ import annotations

import logging
import os
import sys
import time
from pathlib import Path

from haste_core.errors import TransientError
from haste_runtime.locks import try_lock
from haste_runtime.served import forget_token, page_of, tell_token

logger = logging.getLogger(__name__)

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
    """Tells the server's URL while the server answers, and the token that it has made, if any.

    Parameters
    ----------
    path : Path, optional
        The file with the URL. None: nothing is written.
    token : str, optional
        Stands in a file for programs of this user, and is said at a terminal.
    """

    def __init__(self, path: Path | None, token: str | None = None) -> None:
        self._path = path
        self._token = token

    def write(self, url: str) -> None:
        """Let the files appear, whole."""
        if self._token is not None:
            _tell(url, self._token)
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self._path, f"{url}\n".encode())

    def remove(self, url: str) -> None:
        """Let the files disappear."""
        if self._token is not None and url:
            forget_token(url, self._token)
        if self._path is not None:
            self._path.unlink(missing_ok=True)


def _tell(url: str, token: str) -> None:
    try:
        told_in = tell_token(url, token)
    except OSError as error:
        logger.error(  # noqa: TRY400 - the reason is all that there is to say
            "the server's token cannot be told: give it one (token_file), or set open_on_loopback",
            extra={"action": "token_not_told", "why": str(error)},
        )
        return
    if sys.stderr.isatty():  # else it is a log, which is kept, and read by others than this user
        sys.stderr.write(f"Open {page_of(url, token)}\n")
    else:
        logger.info(
            "the address with the token is in a file", extra={"action": "token_told", "file": str(told_in)}
        )


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file, so that who reads it sees the old or the new content, never a part."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
