"""Folders as one stream, as ``tar --format=ustar`` writes it: made while it is read, from any byte on."""

from __future__ import annotations

import bisect
import hashlib
import io
import os
import stat
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from haste_core.errors import InvalidError, PermanentError, Problem, TransientError
from haste_core.windows_paths import trouble_with_name
from haste_runtime.folders import sync_folder
from haste_runtime.removal import discard

MAX_FILES = 1_000_000
"""That a folder may hold; each costs time to make and to flush to disk."""

_BLOCK = tarfile.BLOCKSIZE
_END = 2 * _BLOCK  # of zeros
_CHUNK_BYTES = 2**20
_FILES = (tarfile.REGTYPE, tarfile.AREGTYPE)


@dataclass(frozen=True)
class _Member:
    name: str
    size_bytes: int

    def header(self) -> bytes:
        info = tarfile.TarInfo(self.name)  # the same each time: no dates, no owners
        info.size = self.size_bytes
        return info.tobuf(tarfile.USTAR_FORMAT, "utf-8", "strict")

    @property
    def packed_bytes(self) -> int:
        return _BLOCK + -(-self.size_bytes // _BLOCK) * _BLOCK


class _PackedFolder(io.RawIOBase):
    """A folder's files, sorted by their paths, as a tar that is nowhere."""

    def __init__(self, folder: Path) -> None:
        self._open: tuple[str, IO[bytes]] | None = None  # first: it is closed also where the rest fails
        self.name = str(folder)
        self._folder = folder
        self._members = list(_members_of(folder))
        self._starts = [0]
        for member in self._members:
            self._starts.append(self._starts[-1] + member.packed_bytes)
        self._length = self._starts[-1] + _END
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._position = (
            offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._length}[whence]
        )
        return self._position

    def tell(self) -> int:
        return self._position

    def close(self) -> None:
        if self._open is not None:
            self._open[1].close()
            self._open = None
        super().close()

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        piece = self._piece(len(buffer))
        buffer[: len(piece)] = piece
        self._position += len(piece)
        return len(piece)

    def _piece(self, most: int) -> bytes:
        """Return the next bytes: of a header, of a file, or the zeros that fill a block."""
        index = bisect.bisect_right(self._starts, self._position) - 1
        if index >= len(self._members):
            return bytes(min(most, max(0, self._length - self._position)))
        member, within = self._members[index], self._position - self._starts[index]
        if within < _BLOCK:
            return member.header()[within : within + most]
        left = member.size_bytes - (within - _BLOCK)
        if left <= 0:
            return bytes(min(most, member.packed_bytes - within))
        file = self._opened(member.name)
        file.seek(within - _BLOCK)
        piece = file.read(min(most, left))
        if not piece:
            raise TransientError(f"{self.name}/{member.name} became shorter while it was sent")
        return piece

    def _opened(self, name: str) -> IO[bytes]:
        if self._open is None or self._open[0] != name:
            if self._open is not None:
                self._open[1].close()
            self._open = name, (self._folder / name).open("rb")
        return self._open[1]


def open_packed(folder: Path) -> IO[bytes]:
    """Open a folder to read it as one stream, which is the same each time, as long as its files are.

    Raises
    ------
    PermanentError
        If it holds a link, or a name that cannot be sent.
    """
    return io.BufferedReader(_PackedFolder(folder), _CHUNK_BYTES)


def unpack(packed: Path, folder: Path) -> str:
    """Make a folder, and flush it to disk, of the stream that was made of another.

    Parameters
    ----------
    packed : Path
        The stream, in a file.
    folder : Path
        Made; what is there is removed first. Nothing of it stays if it cannot be made.

    Returns
    -------
    str
        The SHA-256 of the list of its files as ``sha256sum`` prints it, sorted by their paths.

    Raises
    ------
    InvalidError
        If it is no such stream, or a name in it leads out of the folder, is there twice, or cannot be that of
        a file on Windows.
    OSError
        If the disk is full.
    """
    try:
        return hash_of_list(_unpack(packed, folder))
    except BaseException:
        discard(folder)
        raise


def _unpack(packed: Path, folder: Path) -> dict[str, str]:
    discard(folder)
    folder.mkdir()
    hashes: dict[str, str] = {}
    with packed.open("rb") as stream:
        for member in _read_members(stream, packed.stat().st_size):
            _refuse_hostile(member.name)
            if len(hashes) >= MAX_FILES:
                raise _invalid(f"holds more than {MAX_FILES:,} files")
            hashes[member.name] = _unpack_one(stream, member, folder)
    for parent, _, _ in os.walk(folder):
        sync_folder(Path(parent))
    return hashes


def hash_of_list(hashes: Mapping[str, str]) -> str:
    """Hash the list of a folder's files: their SHA-256, by their paths in it."""
    lines = (f"{hashes[name]}  {name}\n" for name in sorted(hashes))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _members_of(folder: Path) -> Iterator[_Member]:
    """List the files of a folder, by their paths; a folder may hold very many."""
    for name, status in sorted(_files_below(folder)):
        if not stat.S_ISREG(status.st_mode):
            raise PermanentError(f"{folder} cannot be sent: {name!r} in it is a link, or no file")
        member = _Member(name, status.st_size)
        try:
            _refuse_hostile(name)
            member.header()
        except (ValueError, InvalidError) as error:  # too long a path, or too large a file, for this form
            raise PermanentError(f"{folder} cannot be sent, for {name!r} in it cannot: {error}") from error
        yield member


def _files_below(folder: Path, start: str = "") -> Iterator[tuple[str, os.stat_result]]:
    with os.scandir(folder / start) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _files_below(folder, f"{start}{entry.name}/")
            else:
                yield f"{start}{entry.name}", entry.stat(follow_symlinks=False)


def _read_members(stream: IO[bytes], size_bytes: int) -> Iterator[_Member]:
    """Read the headers of a tar one by one; between them, the caller reads the files."""
    position = 0
    while True:
        stream.seek(position)
        block = stream.read(_BLOCK)
        if block == bytes(_BLOCK):
            return
        member, is_file = _read_header(block)
        if not 0 <= member.size_bytes <= size_bytes - position - _BLOCK:
            raise _invalid("ends within a file")
        if is_file:
            yield member
        position += member.packed_bytes


def _read_header(block: bytes) -> tuple[_Member, bool]:
    # One block is looked at, and no extension of the format: these may ask for any amount of memory.
    try:
        info = tarfile.TarInfo.frombuf(block, "utf-8", "strict")
    except (tarfile.HeaderError, UnicodeDecodeError) as error:
        raise _invalid(f"is no tar as `tar --format=ustar` writes it: {error}") from error
    if info.type not in _FILES and not (info.isdir() and info.size == 0):
        raise _invalid(f"holds {info.name[:100]!r}, which is neither file nor folder")
    return _Member(info.name.removeprefix("./"), info.size), not info.isdir()


def _refuse_hostile(name: str) -> None:
    for part in name.split("/"):
        trouble = trouble_with_name(part)
        if trouble is not None or not part.isprintable():
            raise _invalid(
                f"holds {name[:100]!r}, which no file may be called: {trouble or 'control characters'}"
            )


def _unpack_one(stream: IO[bytes], member: _Member, folder: Path) -> str:
    path = folder / member.name
    digest, left = hashlib.sha256(), member.size_bytes
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("xb")
    except (FileExistsError, NotADirectoryError) as error:
        raise _invalid(f"holds {member.name[:100]!r} twice") from error
    with file:
        while left:
            chunk = stream.read(min(left, _CHUNK_BYTES))
            if not chunk:
                raise _invalid("ends within a file")
            digest.update(chunk)
            file.write(chunk)
            left -= len(chunk)
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest()


def _invalid(what: str) -> InvalidError:
    return InvalidError([Problem("body", f"the folder {what}")])
