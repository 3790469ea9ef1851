"""Files and containers that are either wholly there, checked and on disk, or not there at all."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import shutil
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from haste_core.errors import BadInputError
from haste_runtime.folders import sync_folder

_CHUNK_BYTES = 1 << 20
CONTAINER_SUFFIX = ".zarr"
"""Of folders that are one object."""
SUMS_SUFFIX = ".sha256sums"
"""Of the list of a container's files, which lies beside it where there are no folders."""
# Whoever has the list makes these files below a folder of his own, perhaps on Windows.
_UNSAFE_PATH = re.compile(r"[\x00-\x1f\x7f\\:]|(^|/)(\.{0,2})(/|$)")
_SUM_LINE = re.compile(r"([0-9a-f]{64})  (.+)")
_STALE_S = 24 * 3600.0  # no copy takes this long: its process died


class CopyDamagedError(OSError):
    """What was written does not read back as it was."""


@dataclass(frozen=True)
class StagedFile:
    """A complete copy under a temporary name.

    Attributes
    ----------
    path : Path
    sha256 : str
        Of the content, in hex.
    size_bytes : int
    """

    path: Path
    sha256: str
    size_bytes: int


def has_new_content(path: Path, *, since: str) -> BadInputError:
    """Say that an object is not the one that was recorded, and what to do."""
    return BadInputError(
        f"{path} has changed since {since}: its SHA-256 is not the one that was recorded. Submit it again, "
        "and its new content becomes a job of its own; or put the former file back, and retry this job"
    )


def sha256_of(path: Path) -> str:
    r"""Hash an object's content without holding it in memory.

    Parameters
    ----------
    path : Path
        A file, or a folder that is a container, such as an OME-Zarr.

    Returns
    -------
    str
        In hex. Of a file, the SHA-256 of its bytes. Of a folder, that of a list as ``sha256sum`` prints
        it: for each file in it and in its sub-folders a line ``<SHA-256>  <path>\n`` in UTF-8, the path
        relative to the folder, with ``/``, sorted by the paths' code points. Empty folders and times do
        not count.

    Raises
    ------
    BadInputError
        The folder holds a link, or what is neither file nor folder: its content would lie elsewhere.
    """
    if not path.is_dir():
        return _sha256_of_file(path)
    return hashlib.sha256(sums_of(path)).hexdigest()


def sums_of(folder: Path) -> bytes:
    """Make the list of a container's files whose SHA-256 is the container's; see `sha256_of`."""
    return _sums(folder, _sha256_of_file)


def listed_files(sums: bytes) -> dict[str, str]:
    """Read the list of a container's files: their SHA-256, by their paths in it.

    Raises
    ------
    BadInputError
        If it is no such list, or a path could lead out of the container.
    """
    try:
        lines = sums.decode().removesuffix("\n").split("\n") if sums else []
    except UnicodeDecodeError as error:
        raise BadInputError("a file in the folder has a name that is not valid Unicode; rename it") from error
    files = {}
    for line in lines:
        found = _SUM_LINE.fullmatch(line)
        if not found or _UNSAFE_PATH.search(found[2]):
            raise BadInputError(f"{line[:200]!r} names no file that a container in a tier may have")
        files[found[2]] = found[1]
    return files


def _sums(folder: Path, hash_file: Callable[[Path], str]) -> bytes:
    lines = (f"{hash_file(folder / name)}  {name}\n" for name in _files_of(folder))
    return b"".join(line.encode(errors="surrogateescape") for line in lines)


def size_of(path: Path) -> int:
    """Return an object's size in bytes: a file's, or that of all files of a folder.

    Raises
    ------
    BadInputError
        As of `sha256_of`.
    """
    if not path.is_dir():
        return path.stat().st_size
    return sum((path / name).stat().st_size for name in _files_of(path))


def version_of(path: Path) -> tuple[int, int] | None:
    """Tell a file's size in bytes and when it was changed, in ns since 1970; None of a folder."""
    if path.is_dir():
        return None
    found = path.stat()
    return found.st_size, found.st_mtime_ns


def _sha256_of_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _files_of(folder: Path) -> list[str]:
    """List the files of a folder by their paths relative to it, with ``/``."""
    names = []
    for parent, folders, files in os.walk(folder, onerror=_raise):
        for inside in (Path(parent, name) for name in (*folders, *files)):
            mode = inside.lstat().st_mode
            name = inside.relative_to(folder).as_posix()
            if stat.S_ISREG(mode):
                names.append(name)
            elif not stat.S_ISDIR(mode):
                raise BadInputError(f"{folder} holds {name}, a link or no file; copy its content there")
    return sorted(names)


def _raise(error: OSError) -> None:
    raise error


def stage_copy(source: Path, staging: Path, *, sha256: str | None = None) -> StagedFile:
    """Copy an object to a temporary name, flush it to disk, and verify it by reading it back.

    Parameters
    ----------
    source : Path
        A file, or a folder that is a container.
    staging : Path
        A folder on the file system of the final place; made if it is missing.
    sha256 : str, optional
        What the content should be, in hex. Then it is not hashed as it is read, but only as it is read back;
        a source with other content is copied all the same.

    Raises
    ------
    CopyDamagedError
        If the copy differs from what was read.
    OSError
        If the disk is full, for example. No temporary file is left.
    """
    staging.mkdir(parents=True, exist_ok=True)
    temporary = staging / f"{secrets.token_hex(16)}.part"
    try:
        copied_sha256 = None
        if source.is_dir():
            _copy_container(source, temporary)
        else:
            copied_sha256 = _copy(source, temporary, hashed=sha256 is None)
        staged = StagedFile(temporary, sha256_on_disk(temporary), size_of(temporary))
        if staged.sha256 != sha256:
            _verify(staged, copied_sha256 or sha256_of(source))
    except BaseException:
        discard(temporary)
        raise
    return staged


def discard(path: Path) -> None:
    """Remove a file, or a folder with all that is in it, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _copy_container(source: Path, temporary: Path) -> None:
    temporary.mkdir()
    for name in _files_of(source):
        copy = temporary / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        _copy(source / name, copy, hashed=False)
    for folder, _, _ in os.walk(temporary):
        sync_folder(Path(folder))


def _verify(staged: StagedFile, source_sha256: str) -> None:
    if staged.sha256 != source_sha256:
        raise CopyDamagedError(f"the copy in {staged.path.parent} does not read back as it was written")


def _copy(source: Path, temporary: Path, *, hashed: bool) -> str | None:
    """Copy content to disk, and return its SHA-256 if that is wanted."""
    digest = hashlib.sha256()
    with source.open("rb") as reader, temporary.open("xb") as writer:
        while chunk := reader.read(_CHUNK_BYTES):
            if hashed:
                digest.update(chunk)
            writer.write(chunk)
            # Also begins to write them to disk, so that in the end there is little to wait for.
            _forget_cached_pages(writer.fileno())
        writer.flush()
        os.fsync(writer.fileno())
    return digest.hexdigest() if hashed else None


def sha256_on_disk(path: Path) -> str:
    """Hash what the disk holds, and not what memory holds of it."""
    if path.is_dir():
        return hashlib.sha256(_sums(path, sha256_on_disk)).hexdigest()
    with path.open("rb") as file:
        _forget_cached_pages(file.fileno())
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        # Nobody reads it again soon. Copies should not push what is still to be read out of memory.
        _forget_cached_pages(file.fileno())
    return sha256


def _forget_cached_pages(descriptor: int) -> None:
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)


def sync_file(path: Path) -> None:
    """Flush a file's content to disk."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def publish(temporary: Path, target: Path) -> None:
    """Give a complete file or container its final name, durably, unless something else has that name.

    Raises
    ------
    FileExistsError
        If the name is taken; neither file is changed.
    """
    make_durable_folder(target.parent)
    if temporary.is_dir():
        _rename_container(temporary, target)
    else:
        _link(temporary, target)
    sync_folder(target.parent)


def _rename_container(temporary: Path, target: Path) -> None:
    if os.path.lexists(target):  # an empty folder, too, which a rename would replace
        raise FileExistsError(target)
    try:
        temporary.rename(target)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            raise FileExistsError(target) from error
        raise


def _link(temporary: Path, target: Path) -> None:
    try:
        # A hard link is the one atomic step that does not replace what somebody else just put there.
        os.link(temporary, target)
    except FileExistsError:
        raise
    except OSError:  # no hard links on this file system (FAT, some SMB shares)
        _rename_to_free_name(temporary, target)
    else:
        temporary.unlink()


def _rename_to_free_name(temporary: Path, target: Path) -> None:
    """Rename in two steps, look and move, while no other worker does so with the same target."""
    # Named by the way to the target, which is the same however the file system is mounted. It lies with the
    # temporary files, so that a killed worker's is removed with these; until then the name counts as taken.
    way = os.path.relpath(target, temporary.parent)
    reservation = temporary.with_name(f"{hashlib.sha256(os.fsencode(way)).hexdigest()}.part")
    with reservation.open("xb"):
        pass
    try:
        if os.path.lexists(target):
            raise FileExistsError(target)
        temporary.rename(target)
    finally:
        reservation.unlink()


def make_durable_folder(folder: Path) -> list[Path]:
    """Make a folder and its parents so that they are still there after a power cut; return those made."""
    missing = [folder, *folder.parents]
    missing = missing[: next((i for i, parent in enumerate(missing) if parent.is_dir()), len(missing))]
    folder.mkdir(parents=True, exist_ok=True)
    for made in missing:
        sync_folder(made.parent)
    return missing


def sync_folders(folder: Path, *, up_to: Path) -> None:
    """Flush a folder's entries to disk, and those of the folders above it up to and with a given one.

    Raises
    ------
    ValueError
        If `folder` is not below `up_to`.
    """
    depth = len(folder.relative_to(up_to).parts)
    for each in (folder, *folder.parents[:depth]):
        sync_folder(each)


def remove_stale_parts(staging: Path, *, now: float | None = None) -> None:
    """Remove temporary files and folders whose copying was interrupted more than a day ago."""
    for part in staging.glob("*.part"):
        try:
            if (now or time.time()) - part.stat().st_mtime > _STALE_S:
                discard(part)
        except FileNotFoundError:
            continue  # another worker was quicker
