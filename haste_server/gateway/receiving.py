"""Bytes from a connection to a file: what has arrived stays, whatever becomes of the connection."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from haste_core.errors import InvalidError, Problem
from haste_core.uploads import Checksum, ChecksumMismatchError

READ_BYTES = 2**16
ROOM_EVERY_BYTES = 2**24  # on a share, asking takes as long as writing a chunk
SLOW_READ_BYTES = 2**12  # of a slow connection that goes silent, what is less than this may be lost


def receive(
    body: IO[bytes],
    path: Path,
    *,
    offset: int,
    limit_bytes: int,
    expected_bytes: int | None = None,
    checksum: Checksum | None = None,
    check_room: Callable[[int], None] = lambda _: None,
) -> str | None:
    """Append a body to a file; each piece is written before the next is read.

    Parameters
    ----------
    body : binary file
    path : Path
    offset : int
        The file's size.
    limit_bytes : int
        A longer body is refused, and cut off.
    expected_bytes : int, optional
        How long the body must be. A connection that ends in the middle is seen by nothing else.
    checksum : Checksum, optional
        What the body must be. If it is something else, or breaks off, what came of it has to be cut off.
    check_room : callable
        Asked now and then whether so many bytes more can be taken; raises OSError if not.

    Returns
    -------
    str or None
        The SHA-256 of the file, if the body began with its first byte.

    Raises
    ------
    ChecksumMismatchError
    InvalidError
        If the body is too long, or the connection broke.
    OSError
        If the disk is full.
    """
    whole = hashlib.sha256()
    piece = hashlib.new(checksum.algorithm if checksum else "sha256", usedforsecurity=False)
    received = 0
    with path.open("ab", buffering=0) as file:
        for chunk in _chunks(body):
            received += len(chunk)
            if received > limit_bytes:
                file.truncate(offset)
                what = f"is longer than the {limit_bytes:,} bytes that are missing"
                raise InvalidError([Problem("body", what)])
            if received // ROOM_EVERY_BYTES > (received - len(chunk)) // ROOM_EVERY_BYTES:
                check_room(len(chunk))
            _write(file, chunk)
            whole.update(chunk)
            if checksum is not None:
                piece.update(chunk)
        if expected_bytes is not None and received < expected_bytes:
            raise _broken_off(f"after {received:,} of {expected_bytes:,} bytes")
        if checksum is not None and piece.digest() != checksum.digest:
            raise ChecksumMismatchError(
                f"the {received:,} bytes have another {checksum.algorithm} than Upload-Checksum says; "
                "they were damaged on the way: send them again"
            )
    return whole.hexdigest() if offset == 0 else None


def flush_to_disk(path: Path) -> None:
    """Return only when a file's bytes are on disk."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _chunks(body: IO[bytes]) -> Iterator[bytes]:
    """Read a body; a read returns only when it has all it asks for, so that of slow ones less is asked."""
    is_slow = True
    while True:
        wanted = SLOW_READ_BYTES if is_slow else READ_BYTES
        began = time.monotonic()
        try:
            chunk = body.read(wanted)
        except TimeoutError:
            raise
        except OSError as error:  # not to be taken for the disk's
            raise _broken_off(str(error)) from error
        if not chunk:
            return
        is_slow = time.monotonic() - began > wanted / READ_BYTES  # less than READ_BYTES a second
        yield chunk


def _broken_off(how: str) -> InvalidError:
    return InvalidError([Problem("body", f"the connection broke: {how}")])


def _write(file: IO[bytes], chunk: bytes) -> None:
    left = memoryview(chunk)
    while left:
        left = left[file.write(left) :]  # less than all where the disk becomes full
