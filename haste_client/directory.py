"""Which files of a folder are images, what they are called, and which version of them is there."""

from __future__ import annotations

import fnmatch
import os
import re
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from haste_core.errors import Problem
from haste_core.filenames import ParsedName

IMAGE_SUFFIXES = frozenset(
    {
        *(".tif", ".tiff", ".png", ".jpg", ".jpeg"),
        *(".stk", ".lsm", ".czi", ".nd2", ".lif"),
        *(".mrc", ".mrcs", ".st", ".dm3", ".dm4"),
    }
)
"""Of the formats that workers read, some with extras of theirs."""

_UNFINISHED_SUFFIXES = (".tmp", ".temp", ".part", ".partial", ".crdownload", "~")
_UNFINISHED_PREFIXES = (".", "~")  # also what macOS (._A01.tif) and editors leave beside the images
_FOREIGN_FOLDERS = frozenset({"@eadir", "#recycle", "$recycle.bin"})  # thumbnails and bins of NAS devices

_DIGITS = re.compile(r"(\d+)")


@dataclass(frozen=True)
class ImageFile:
    """A file as it was seen at one moment.

    Attributes
    ----------
    path : Path
        Absolute.
    source_id : str
        Path relative to the scanned folder, with ``/``: the object's name in its stream.
    size_bytes : int
    mtime_ns : int
        Time of the last change, nanoseconds since 1970.
    name : ParsedName, optional
        What its name says, if somebody has read it.
    """

    path: Path
    source_id: str
    size_bytes: int
    mtime_ns: int
    name: ParsedName | None = None

    @property
    def version(self) -> str:
        """Changes whenever the file's content does: its size and time of change."""
        return f"{self.size_bytes}-{self.mtime_ns}"


@dataclass(frozen=True)
class Scan:
    """What a folder holds.

    Attributes
    ----------
    files : tuple of ImageFile
        In natural order of their source_id (``site2`` before ``site10``).
    unreadable : tuple of Problem
        Files and folders that were left out, and why; `where` is the path relative to the folder.
    """

    files: tuple[ImageFile, ...]
    unreadable: tuple[Problem, ...]


@dataclass(frozen=True)
class Selection:
    """Which names of a folder count as images.

    Attributes
    ----------
    pattern : str, optional
        A glob such as ``*_DAPI.tif``, matched with the file's name, or with the path relative to the
        folder if it contains a ``/``. Default: all names with the suffix of an image, in any case.
    recursive : bool
        Look into sub-folders, too.
    """

    pattern: str | None = None
    recursive: bool = True
    _matches: Callable[[str], object] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.pattern is None:
            matches: Callable[[str], object] = _has_image_suffix
        else:
            matches = re.compile(fnmatch.translate(self.pattern)).match
        object.__setattr__(self, "_matches", matches)

    def takes_file(self, source_id: str) -> bool:
        """Tell whether a relative path (with ``/``) names a finished image."""
        folders, _, name = source_id.rpartition("/")
        if is_temporary(name) or not all(
            self.takes_folder(folder) for folder in folders.split("/") if folder
        ):
            return False
        return bool(self._matches(source_id if "/" in (self.pattern or "") else name))

    def takes_folder(self, name: str) -> bool:
        """Tell whether a sub-folder of this name is looked into."""
        return self.recursive and not name.startswith(".") and name.lower() not in _FOREIGN_FOLDERS


def is_temporary(name: str) -> bool:
    """Tell whether a file's name says that it is hidden or still being written."""
    return name.startswith(_UNFINISHED_PREFIXES) or name.lower().endswith(_UNFINISHED_SUFFIXES)


def _has_image_suffix(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES  # noqa: PTH122 - a Path per name is slow


def scan(directory: Path, selection: Selection | None = None) -> Scan:
    """List the images of a folder.

    Links to folders are not followed, links to files only if they stay in the folder.

    Parameters
    ----------
    directory : Path
    selection : Selection, optional
        Default: all images, in sub-folders too.

    Raises
    ------
    NotADirectoryError, PermissionError, OSError
        If the folder itself cannot be read.
    """
    root = directory.resolve()
    unreadable: list[Problem] = []
    with os.scandir(root):  # its own error is the caller's; those below are listed
        found = _walk(root, "", selection or Selection(), unreadable)
        files = sorted(found, key=lambda file: _natural_key(file.source_id))
    return Scan(tuple(files), tuple(unreadable))


def look_at(root: Path, source_id: str) -> ImageFile | None:
    """Look at one file again; None if it is gone, cannot be read, or is no regular file of the folder.

    Parameters
    ----------
    root : Path
        The folder, resolved.
    source_id : str
        Relative to it, with ``/``.
    """
    if trouble_with_name(source_id):
        return None
    path = root / source_id
    try:
        if not path.is_file() or not path.resolve().is_relative_to(root):
            return None
        status = path.stat()
    except OSError:
        # It is being written, renamed or removed right now; the next look will tell.
        return None
    return ImageFile(path, source_id, status.st_size, status.st_mtime_ns)


def _walk(root: Path, relative: str, selection: Selection, unreadable: list[Problem]) -> Iterator[ImageFile]:
    folder = root / relative
    try:
        with os.scandir(folder) as listing:
            entries = list(listing)
    except OSError as error:
        unreadable.append(Problem(relative, f"this folder cannot be read: {error.strerror}"))
        return
    for entry in entries:
        source_id = f"{relative}/{entry.name}" if relative else entry.name
        if entry.is_dir(follow_symlinks=False):
            yield from _walk_below(root, source_id, selection, unreadable)
        elif entry.is_symlink() and Path(entry.path).is_dir():
            if selection.takes_folder(entry.name):
                unreadable.append(
                    Problem(source_id, "this is a link to a folder; such links are not followed")
                )
        elif selection.takes_file(source_id):
            image = _image_of(root, entry, source_id, unreadable)
            if image is not None:
                yield image


def _walk_below(
    root: Path, relative: str, selection: Selection, unreadable: list[Problem]
) -> Iterator[ImageFile]:
    """Look into a sub-folder. One that is named like an image, and holds none, is told of."""
    holds_images = False
    if selection.takes_folder(PurePath(relative).name):
        for image in _walk(root, relative, selection, unreadable):
            holds_images = True
            yield image
    if not holds_images and _has_image_suffix(relative) and selection.takes_file(relative):
        where = relative.encode(errors="replace").decode()
        unreadable.append(Problem(where, "this is a folder, though it is named like an image"))


def _image_of(
    root: Path, entry: os.DirEntry[str], source_id: str, unreadable: list[Problem]
) -> ImageFile | None:
    trouble = _trouble_with(root, entry, source_id)
    if trouble:
        unreadable.append(Problem(source_id.encode(errors="replace").decode(), trouble))
        return None
    try:
        status = entry.stat()
    except FileNotFoundError:
        return None  # removed since the folder was listed
    except OSError as error:
        unreadable.append(Problem(source_id, f"this file cannot be looked at: {error.strerror}"))
        return None
    if not stat.S_ISREG(status.st_mode):
        unreadable.append(Problem(source_id, "this is no regular file"))
        return None
    return ImageFile(root / source_id, source_id, status.st_size, status.st_mtime_ns)


def _trouble_with(root: Path, entry: os.DirEntry[str], source_id: str) -> str | None:
    if entry.is_symlink() and not Path(entry.path).exists():  # also a link to itself, which has no end
        return "this link leads to nothing"
    if entry.is_symlink() and not Path(entry.path).resolve().is_relative_to(root):
        return "this is a link out of the folder; such links are not followed"
    return trouble_with_name(source_id)


def trouble_with_name(source_id: str) -> str | None:
    """Say why a relative path cannot name an object; None if it can."""
    try:
        source_id.encode()
    except UnicodeEncodeError:
        # On POSIX a name is bytes; Python shows undecodable ones as lone surrogates.
        return "this name is not valid Unicode; rename the file"
    if source_id != source_id.strip():
        return "this path begins or ends with a space; rename it"
    return None


def _natural_key(source_id: str) -> tuple[list[tuple[int, str]], str]:
    parts = _DIGITS.split(source_id.lower())
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts if part], source_id


def stream_id_for(directory: PurePath) -> str:
    """Make a valid stream name of a folder's name: ``Plate 7 (new)`` becomes ``Plate-7-new``."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", directory.name).strip("-._")
    return name[:100] or "stream"
