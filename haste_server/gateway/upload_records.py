"""What is known about an upload, in a file of its own: who has it locked, has the upload."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from haste_core.errors import NotFoundError
from haste_core.messages import Place
from haste_core.uploads import Upload, UploadHeldError, UploadMetadata
from haste_runtime.locks import try_lock

FINISHED_KEPT_S = 3600.0
"""How long a finished upload can be asked about, by senders that have not heard the answer."""

RECORD_SUFFIX = ".upload"

UNKNOWN = "there is no such upload; it may have been removed: send the file as a new one"


def upload_id_of(said: UploadMetadata, length: int, projects: Sequence[str] | None) -> str:
    """Name an upload by all that was said about it, so that its sender finds it again without notes."""
    whose = [] if projects is None else [projects[0]]
    identity = json.dumps([length, said.model_dump(mode="json"), *whose], sort_keys=True)
    return hashlib.sha256(identity.encode()).hexdigest()[:32]


def upload_of(upload_id: str, known: Mapping[str, Any], part: Path, *, keep_s: float) -> Upload:
    """Tell how an upload stands.

    Parameters
    ----------
    upload_id : str
    known : mapping
        What its record says.
    part : Path
        Its bytes, as far as they have arrived.
    keep_s : float
        How long it may be silent.
    """
    place = None if known.get("place") is None else Place.model_validate(known["place"])
    finished_at = known.get("finished_at")
    if place is not None or finished_at is not None:
        offset, changed_at = known["length"], 0.0
    else:
        offset, changed_at = _arrived(part)
        checked_to = known.get("checked_to")
        offset = min(offset, known["length"] if checked_to is None else checked_to)
    kept_until = max(changed_at, known["began_at"]) + keep_s
    return Upload(
        upload_id=upload_id,
        length=known["length"],
        offset=offset,
        header=known["header"],
        expires_at=kept_until if finished_at is None else finished_at + FINISHED_KEPT_S,
        place=place,
        job_id=known.get("job_id"),
        is_finished=finished_at is not None,
    )


def _arrived(part: Path) -> tuple[int, float]:
    try:
        status = part.stat()
    except FileNotFoundError:
        return 0, 0.0
    return status.st_size, status.st_mtime


class UploadRecord:
    """The locked file of one upload: lines of JSON objects, of which later ones add to and replace earlier.

    A line is written in one piece. One that a crash has cut short is not read, and overwritten by nobody.
    """

    def __init__(self, file: IO[bytes], path: Path) -> None:
        self._file = file
        self._path = path
        self.known = _fields(file.read())

    def add(self, **fields: Any) -> None:
        """Write down something new.

        Raises
        ------
        OSError
            If the disk is full.
        """
        line = b"\n" + json.dumps(fields).encode() + b"\n"  # after one that was cut short, too
        if self._file.write(line) < len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path))
        self.known = {**self.known, **fields}

    def note(self, **fields: Any) -> None:
        """Write down what is not known yet."""
        if any(self.known.get(name) != value for name, value in fields.items()):
            self.add(**fields)

    def begin(self, **fields: Any) -> None:
        """Forget all, and write down the beginning."""
        self._file.truncate(0)
        self.known = {}
        self.add(**fields)

    def remove(self) -> None:
        """Remove the file; whoever waits for its lock finds it gone."""
        self._path.unlink(missing_ok=True)
        self.known = {}


def check_owner(known: Mapping[str, Any], projects: Sequence[str] | None) -> None:
    """Refuse who may know of these projects only, if the upload belongs to another or to none.

    Raises
    ------
    NotFoundError
    """
    if projects is not None and (known.get("projects") or [None])[0] not in projects:
        raise NotFoundError(UNKNOWN)


def read_record(path: Path) -> Mapping[str, Any]:
    """Read what is known about an upload, whoever has it.

    Raises
    ------
    NotFoundError
    """
    try:
        known = _fields(path.read_bytes())
    except FileNotFoundError:
        known = {}
    if not known:
        raise NotFoundError(UNKNOWN)
    return known


@contextmanager
def locked_record(path: Path, *, make: bool = False) -> Iterator[UploadRecord]:
    """Hold an upload; the lock ends with this process, however that ends.

    Parameters
    ----------
    path : Path
    make : bool
        Make it if it is not there; it is empty then.

    Raises
    ------
    NotFoundError
    UploadHeldError
        If another holds it.
    """
    while True:
        with _opened(path, make=make) as file:
            if not try_lock(file):
                raise UploadHeldError("this upload is being received or finished now: ask again in a moment")
            if not _is_there(file, path):
                continue  # it was removed between opening and locking
            record = UploadRecord(file, path)
            if not record.known and not make:
                raise NotFoundError(UNKNOWN)
            yield record
            return


def _opened(path: Path, *, make: bool) -> IO[bytes]:
    flags = os.O_RDWR | os.O_APPEND | (os.O_CREAT if make else 0) | getattr(os, "O_BINARY", 0)
    try:
        return os.fdopen(os.open(path, flags, 0o666), "r+b", buffering=0)
    except FileNotFoundError as error:
        raise NotFoundError(UNKNOWN) from error


def _is_there(file: IO[bytes], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _fields(content: bytes) -> dict[str, Any]:
    known: dict[str, Any] = {}
    for line in content.splitlines():
        try:
            known.update(json.loads(line) if line else {})
        except ValueError:
            continue  # cut short by a crash
    return known
