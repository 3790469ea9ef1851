"""A tier in a folder: disks, NFS and SMB mounts."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from haste_core.errors import PermanentError, SourceMissingError, TransientError
from haste_core.routing import file_url, path_from_file_url
from haste_runtime.folders import deep_folder
from haste_workers.durable import (
    CONTAINER_SUFFIX,
    CopyDamagedError,
    StagedFile,
    discard,
    has_new_content,
    make_durable_folder,
    publish,
    remove_stale_parts,
    sha256_of,
    sha256_on_disk,
    size_of,
    stage_copy,
    sync_folders,
)
from haste_workers.naming import marked, stored_name
from haste_workers.removing import remove_copied
from haste_workers.tiers.storage import StoredObject, not_covered

# Inside the root, so that the final rename stays on one file system. No stream's name starts with a dot.
STAGING = ".haste-incoming"
_MAY_NOT_WRITE = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_RIGHTS = "let the worker's user write there (and read the file), then `haste retry` it"
_TRIAL = bytes(4096)  # a full disk may still take an empty file
_TRIAL_NAME = Path("a file")  # as errors name it


class PosixTierStorage:
    """Keeps each object as ``<root>/<stream_id>/<source_id>``.

    Parameters
    ----------
    root : Path
    may_make : bool
        Whether the root is made if it is missing. The mount point of a share that is away would be filled
        else, on the disk of the system, and hidden when the share is back.
    mode : int, optional
        The rights of files; folders that are made may also be entered by those who may read. None: as the
        umask has it.
    group : str, optional
        The group of files, and of folders that are made.
    """

    def __init__(
        self, root: Path, *, may_make: bool = False, mode: int | None = None, group: str | None = None
    ) -> None:
        self._root = deep_folder(root)
        self._may_make = may_make
        self._mode = mode
        self._group = group

    def put(self, source: Path, *, stream_id: str, source_id: str, sha256: str | None = None) -> StoredObject:
        """Copy an object into the folder and verify the copy; see `TierStorage.put`."""
        suffix = CONTAINER_SUFFIX if source.is_dir() else source.suffix
        return self._put(source, stored_name(stream_id, source_id, suffix=suffix), sha256)

    def put_beside(self, source: Path, name: PurePosixPath) -> StoredObject:
        """Copy a sidecar into the folder and verify the copy; see `TierStorage.put_beside`."""
        return self._put(source, name, None)

    def _put(self, source: Path, name: PurePosixPath, sha256: str | None) -> StoredObject:
        try:
            self._be_there()
            return self._already_there(source, name, sha256) or self._copy_in(source, name, sha256)
        except CopyDamagedError as error:
            raise TransientError(f"{error}; the disk of the tier {self._root} may be failing") from error
        except OSError as error:
            raise self._explained(error, source) from error

    def try_writing(self) -> None:
        """Write a small file where copies begin, and remove it; see `TierStorage.try_writing`."""
        staging = self._root / STAGING
        trial = staging / f"{secrets.token_hex(16)}.part"
        try:
            self._be_there()
            staging.mkdir(exist_ok=True)
            try:
                trial.write_bytes(_TRIAL)
                self._give_rights(trial, self._mode)
            finally:
                trial.unlink(missing_ok=True)
        except OSError as error:
            raise self._explained(error, _TRIAL_NAME) from error

    def covers(self, url: str) -> bool:
        """Tell whether a URL names something in the tier; see `TierStorage.covers`."""
        return self._named(url) is not None

    def holds(self, url: str, sha256: str) -> bool:
        """Tell whether an object is there, with a known content; see `TierStorage.holds`."""
        path = self._covered(url)
        try:
            return self._is_like(path, path) and sha256_on_disk(path) == sha256
        except FileNotFoundError:  # removed in between
            return False
        except OSError as error:
            raise TransientError(f"{path} cannot be read now: {error.strerror or error}") from error

    def remove(self, url: str, sha256: str, *, confirm: Callable[[], None]) -> None:
        """Remove an object that has a known content; see `TierStorage.remove`."""
        path = self._covered(url)
        if path.is_symlink():
            raise PermanentError(f"{path} is a link")
        remove_copied(path, sha256=sha256, confirm=confirm, delete=self._delete)

    def _delete(self, aside: Path) -> None:
        """Delete an object that nobody counts on under its name any more."""
        if aside.is_dir():
            # What is left of a container if this is interrupted must not pass for one that was put again.
            doomed = self._root / STAGING / f"{secrets.token_hex(16)}.part"
            make_durable_folder(doomed.parent)
            aside = aside.rename(doomed)
        discard(aside)

    def _named(self, url: str) -> Path | None:
        if not url.startswith("file:"):
            return None
        path = deep_folder(Path(path_from_file_url(url)))
        is_below = path.is_relative_to(self._root) and path != self._root and ".." not in path.parts
        return path if is_below and STAGING not in path.parts else None

    def _covered(self, url: str) -> Path:
        path = self._named(url)
        if path is None:
            raise not_covered(url, self._root)
        self._check_root()
        self._refuse_detour(path)
        return path

    def _be_there(self) -> None:
        if self._may_make:
            self._make_folder(self._root)
        self._check_root()

    def _check_root(self) -> None:
        if not self._root.is_dir():
            raise TransientError(
                f"the folder {self._root} of the tier is not there now: is the share mounted? If the tier is "
                "new, make its folder; the tasks that wait go on then"
            )

    def _already_there(self, source: Path, name: PurePosixPath, expected: str | None) -> StoredObject | None:
        target = self._root / name
        self._refuse_detour(target)
        if not self._is_like(target, source) or size_of(target) != size_of(source):
            return None
        sha256 = _checked(sha256_of(source), expected, source)
        return self._found(target, sha256) if sha256_of(target) == sha256 else None

    def _copy_in(self, source: Path, name: PurePosixPath, expected: str | None) -> StoredObject:
        staging = self._root / STAGING
        remove_stale_parts(staging)
        staged = stage_copy(source, staging, sha256=expected)
        try:
            _checked(staged.sha256, expected, source)
            self._keep_time(source, staged.path)
            self._give_all_rights(staged.path)
            return self._give_name(staged, name)
        finally:
            discard(staged.path)

    def _give_name(self, staged: StagedFile, name: PurePosixPath) -> StoredObject:
        mark = staged.sha256[:16]
        # The last one is for a folder that has the name of a file, or the other way round.
        for candidate in (name, marked(name, mark), PurePosixPath(f"{staged.sha256}{name.suffix}")):
            target = self._root / candidate
            try:
                self._refuse_detour(target)
                self._make_folder(target.parent)
                publish(staged.path, target)
            except (FileExistsError, NotADirectoryError):
                if self._is_like(target, staged.path) and sha256_of(target) == staged.sha256:
                    return self._found(target, staged.sha256)
            else:
                return self._stored(target, staged.sha256)
        raise PermanentError(
            f"{self._root / name} and its other names are taken by other content; look at them"
        )

    def _keep_time(self, source: Path, copy: Path) -> None:
        for file in copy.rglob("*") if copy.is_dir() else ():
            if file.is_file():
                self._keep_time(source / file.relative_to(copy), file)
        times = source.stat()
        # Who is not the owner, as the mount of a share may have it, cannot set times.
        with contextlib.suppress(PermissionError):
            os.utime(copy, ns=(times.st_atime_ns, times.st_mtime_ns))

    def _make_folder(self, folder: Path) -> None:
        for made in make_durable_folder(folder):
            if made.is_relative_to(self._root):
                self._give_rights(made, self._folder_mode)

    @property
    def _folder_mode(self) -> int | None:
        return None if self._mode is None else 0o700 | self._mode | (self._mode & 0o444) >> 2

    def _give_all_rights(self, path: Path) -> None:
        for each in (path, *path.rglob("*")):
            self._give_rights(each, self._folder_mode if each.is_dir() else self._mode)

    def _give_rights(self, path: Path, mode: int | None) -> None:
        # The group first: changing it takes away rights of a kind that a mode may hold.
        if self._group is not None:
            try:
                shutil.chown(path, group=self._group)
            except LookupError as error:
                raise PermanentError(
                    f"the tier {self._root} is for the group {self._group!r}, which does not exist here"
                ) from error
            except PermissionError as error:
                raise PermanentError(
                    f"the tier {self._root} is for the group {self._group!r}, to which the worker's user "
                    "account may not give files; make it a member"
                ) from error
        if mode is not None:
            path.chmod(mode)

    def _refuse_detour(self, target: Path) -> None:
        if not target.parent.resolve().is_relative_to(self._root.resolve()):
            raise PermanentError(f"{target.parent} leads out of the tier {self._root} through a link")

    def _is_like(self, target: Path, source: Path) -> bool:
        """Tell whether both are files, or both containers."""
        there = target.is_dir() if source.is_dir() else target.is_file()
        return there and not target.is_symlink()

    def _found(self, target: Path, sha256: str) -> StoredObject:
        # Who put it there may have been killed before its name was on disk.
        sync_folders(target.parent, up_to=self._root)
        return self._stored(target, sha256)

    def _stored(self, target: Path, sha256: str) -> StoredObject:
        name = PurePosixPath(target.relative_to(self._root).as_posix())
        return StoredObject(file_url(target), sha256, size_of(target), name)

    def _explained(self, error: OSError, source: Path) -> TransientError | PermanentError:
        if isinstance(error, FileNotFoundError) and Path(error.filename or "").is_relative_to(source):
            return SourceMissingError(f"there is no file {error.filename}")
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return TransientError(f"the disk of the tier {self._root} is full; {source.name} waits for space")
        said = f"{source.name} cannot be put to the tier {self._root}: {error.strerror or error}"
        if error.errno in _MAY_NOT_WRITE:
            return PermanentError(f"{said}; {_RIGHTS}")
        return PermanentError(said) if error.errno == errno.ENAMETOOLONG else TransientError(said)


def _checked(sha256: str, expected: str | None, source: Path) -> str:
    if expected not in (None, sha256):
        raise has_new_content(source, since="it was decided about")
    return sha256
