"""Which files of a folder are images, what they are called, and which version of them is there."""

from __future__ import annotations

import fnmatch
import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from haste_client.containers import CONTAINER_SUFFIX, is_container, size_and_time
from haste_client.end_markers import NO_MARKERS, EndMarkers, FolderEnds
from haste_client.sidecars import DEFAULT_RULES, FolderSidecars, Sidecar, SidecarRules
from haste_core.errors import Problem
from haste_core.filenames import ParsedName
from haste_runtime.folders import deep_folder, spelled_on_disk

IMAGE_SUFFIXES = frozenset(
    {
        *(".tif", ".tiff", ".png", ".jpg", ".jpeg", ".jxl"),
        *(".stk", ".lsm", ".czi", ".nd2", ".lif"),
        *(".mrc", ".mrcs", ".st", ".dm3", ".dm4"),
    }
)
"""Of the formats that workers read, some with extras of theirs."""

_UNFINISHED_SUFFIXES = (".tmp", ".temp", ".part", ".partial", ".crdownload", "~")
_UNFINISHED_PREFIXES = (".", "~")  # also what macOS (._A01.tif) and editors leave beside the images
_FOREIGN_FOLDERS = frozenset({"@eadir", "#recycle", "$recycle.bin"})  # thumbnails and bins of NAS devices

_DIGITS = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class ImageFile:
    """A file, or a container, as it was seen at one moment.

    Attributes
    ----------
    path : Path
        Absolute.
    source_id : str
        Path relative to the scanned folder, with ``/``: the object's name in its stream.
    size_bytes : int
    mtime_ns : int
        Time of the last change, nanoseconds since 1970; of all that a container holds.
    sidecars : tuple of Sidecar
        Files that belong to it alone.
    shared_sidecars : tuple of Path
        Files that belong to all images of its folder.
    name : ParsedName, optional
        What its name says, if somebody has read it.
    ended : bool
        Whether an end marker names it that is not older than it and its own sidecars.
    """

    path: Path
    source_id: str
    size_bytes: int
    mtime_ns: int
    sidecars: tuple[Sidecar, ...] = ()
    shared_sidecars: tuple[Path, ...] = ()
    name: ParsedName | None = None
    ended: bool = False

    @property
    def version(self) -> str:
        """Changes whenever the file's content does: its size and time of change."""
        return f"{self.size_bytes}-{self.mtime_ns}"

    @property
    def sidecar_paths(self) -> tuple[Path, ...]:
        """All its sidecars."""
        return (*(sidecar.path for sidecar in self.sidecars), *self.shared_sidecars)

    def looks_like(self, other: ImageFile) -> bool:
        """Tell whether neither the file nor a sidecar of its own has changed between the two looks."""
        return (self.version, self.sidecars) == (other.version, other.sidecars)


@dataclass(frozen=True)
class Scan:
    """What a folder holds.

    Attributes
    ----------
    files : tuple of ImageFile
        In natural order of their source_id (``site2`` before ``site10``).
    unreadable : tuple of Problem
        Files and folders that were left out, and why; `where` is the path relative to the folder.
    sidecars : dict of FolderSidecars
        By the folders' paths relative to the folder; ``""`` is itself.
    """

    files: tuple[ImageFile, ...]
    unreadable: tuple[Problem, ...]
    sidecars: Mapping[str, FolderSidecars] = field(default_factory=dict)


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
    suffixes : frozenset of str, optional
        In place of a pattern: those of the files that count, such as ``.tif``, lower case.
    sidecars : SidecarRules
        Which files belong to images.
    end_markers : EndMarkers
        Which files say that images are finished. They are no images themselves, unless they are called so.
    """

    pattern: str | None = None
    recursive: bool = True
    sidecars: SidecarRules = DEFAULT_RULES
    suffixes: frozenset[str] | None = None
    end_markers: EndMarkers = NO_MARKERS
    _matches: Callable[[str], object] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.suffixes is not None:
            matches: Callable[[str], object] = self._has_chosen_suffix
        elif self.pattern is None:
            matches = _has_image_suffix
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
        if self.is_end_marker(name):
            return False
        return bool(self._matches(source_id if "/" in (self.pattern or "") else name))

    def is_end_marker(self, name: str) -> bool:
        """Tell whether a file of this name is an end marker, and no image."""
        markers = self.end_markers
        if not markers.patterns or _has_image_suffix(name):
            return False
        return name in markers.of_folders or any(markers.images_of(name, (CONTAINER_SUFFIX,)))

    def _has_chosen_suffix(self, name: str) -> bool:
        return PurePath(name).suffix.lower() in (self.suffixes or ())

    def takes_folder(self, name: str) -> bool:
        """Tell whether a sub-folder of this name is looked into."""
        return self.recursive and not name.startswith(".") and name.lower() not in _FOREIGN_FOLDERS


def is_temporary(name: str) -> bool:
    """Tell whether a file's name says that it is hidden or still being written."""
    return name.startswith(_UNFINISHED_PREFIXES) or name.lower().endswith(_UNFINISHED_SUFFIXES)


def _has_image_suffix(name: str) -> bool:
    suffix = os.path.splitext(name)[1].lower()  # noqa: PTH122 - a Path per name is slow
    return suffix in IMAGE_SUFFIXES or suffix == CONTAINER_SUFFIX


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
    walk = _Walk(deep_folder(directory.resolve()), selection or Selection())
    with os.scandir(walk.root):  # its own error is the caller's; those below are listed
        files = sorted(walk.images(), key=lambda file: _natural_key(file.source_id))
    return Scan(tuple(files), tuple(walk.unreadable), walk.sidecars)


def look_at(
    root: Path,
    source_id: str,
    sidecars: FolderSidecars | None = None,
    end_markers: EndMarkers = NO_MARKERS,
) -> ImageFile | None:
    """Look at one image again; None if it is gone, cannot be read, or is neither file nor container there.

    Parameters
    ----------
    root : Path
        The folder, resolved.
    source_id : str
        Relative to it, with ``/``.
    sidecars : FolderSidecars, optional
        What was known of its folder's sidecars.
    end_markers : EndMarkers
        By which its end is known.
    """
    if trouble_with_name(source_id):
        return None
    path = root / source_id
    try:
        is_folder = is_container(path.name) and path.is_dir() and not path.is_symlink()
        if not (is_folder or path.is_file()):
            return None
        resolved = path.resolve()
        if not resolved.is_relative_to(root):
            return None
        end_ns = end_markers.end_ns_below(root, source_id)  # before it: what comes after a marker is newer
        size_bytes, mtime_ns = _size_and_time(path)
    except OSError:
        # It is being written, renamed or removed right now; the next look will tell.
        return None
    source_id = spelled_on_disk(source_id, folder=root, resolved=resolved)
    path = root / source_id
    beside = sidecars or FolderSidecars(path.parent)
    own = beside.probed(path.name)
    return ImageFile(
        path,
        source_id,
        size_bytes,
        mtime_ns,
        own,
        beside.shared_with(path.name),
        ended=_has_ended(end_ns, mtime_ns, own),
    )


class _Walk:
    """Goes through a folder and those below it, and remembers what it has met besides images."""

    def __init__(self, root: Path, selection: Selection) -> None:
        self.root = root
        self.unreadable: list[Problem] = []
        self.sidecars: dict[str, FolderSidecars] = {}
        self._selection = selection

    def images(
        self, relative: str = "", above: tuple[Path, ...] = (), above_end_ns: int = 0
    ) -> Iterator[ImageFile]:
        """Find the images of a folder.

        Parameters
        ----------
        relative : str
        above : tuple of Path
            The sidecars of the nearest folder that has any.
        above_end_ns : int
            When the folders above were ended, in nanoseconds since 1970; 0: not yet.
        """
        try:
            with os.scandir(self.root / relative) as listing:
                entries = list(listing)
        except OSError as error:
            self._leave_out(relative, f"this folder cannot be read: {error.strerror}")
            return
        beside = self._sidecars_of(relative, entries, above)
        names = (entry.name for entry in entries)
        ends = FolderEnds.of(self._selection.end_markers, self.root / relative, names, above_ns=above_end_ns)
        for entry in entries:
            source_id = f"{relative}/{entry.name}" if relative else entry.name
            if entry.is_dir(follow_symlinks=False) and is_container(entry.name):
                yield from self._container(entry, source_id, beside)
            elif entry.is_dir(follow_symlinks=False):
                yield from self._images_below(source_id, beside.shared, ends.folder_end_ns)
            elif entry.is_symlink() and Path(entry.path).is_dir():
                if self._selection.takes_folder(entry.name):
                    self._leave_out(source_id, "this is a link to a folder; such links are not followed")
            elif self._selection.takes_file(source_id):
                image = self._image_of(entry, source_id, beside, ends)
                if image is not None:
                    yield image

    def _container(
        self, entry: os.DirEntry[str], source_id: str, beside: FolderSidecars
    ) -> Iterator[ImageFile]:
        """Take a container for one image; nobody looks into it for others."""
        trouble = trouble_with_name(source_id)
        if not self._selection.takes_file(source_id):
            return
        if trouble:
            self._leave_out(source_id, trouble)
            return
        image = look_at(self.root, source_id, beside, self._selection.end_markers)
        if image is not None:
            yield image
        elif Path(entry.path).is_dir():
            self._leave_out(source_id, "this folder, or one in it, cannot be read")

    def _sidecars_of(
        self, relative: str, entries: list[os.DirEntry[str]], above: tuple[Path, ...]
    ) -> FolderSidecars:
        names = [entry.name for entry in entries if not trouble_with_name(entry.name)]
        beside = FolderSidecars.among(names, self.root / relative, self._selection.sidecars, above)
        self.sidecars[relative] = beside
        return beside

    def _images_below(self, relative: str, above: tuple[Path, ...], above_end_ns: int) -> Iterator[ImageFile]:
        """Look into a sub-folder. One that is named like an image, and holds none, is told of."""
        holds_images = False
        if self._selection.takes_folder(PurePath(relative).name):
            for image in self.images(relative, above, above_end_ns):
                holds_images = True
                yield image
        if not holds_images and _has_image_suffix(relative) and self._selection.takes_file(relative):
            self._leave_out(relative, "this is a folder, though it is named like an image")

    def _image_of(
        self, entry: os.DirEntry[str], source_id: str, beside: FolderSidecars, ends: FolderEnds
    ) -> ImageFile | None:
        trouble = _trouble_with(self.root, entry, source_id)
        if trouble:
            self._leave_out(source_id, trouble)
            return None
        end_ns = ends.end_ns(entry.name)
        try:
            # What Windows tells of a listed file may be older than its marker.
            status = Path(entry.path).stat() if end_ns else entry.stat()
        except FileNotFoundError:
            return None  # removed since the folder was listed
        except OSError as error:
            self._leave_out(source_id, f"this file cannot be looked at: {error.strerror}")
            return None
        if not stat.S_ISREG(status.st_mode):
            self._leave_out(source_id, "this is no regular file")
            return None
        own = beside.seen(entry.name)
        return ImageFile(
            self.root / source_id,
            source_id,
            status.st_size,
            status.st_mtime_ns,
            own,
            beside.shared_with(entry.name),
            ended=_has_ended(end_ns, status.st_mtime_ns, own),
        )

    def _leave_out(self, source_id: str, why: str) -> None:
        self.unreadable.append(Problem(source_id.encode(errors="replace").decode(), why))


def _has_ended(end_ns: int, mtime_ns: int, sidecars: tuple[Sidecar, ...]) -> bool:
    return end_ns >= max(mtime_ns, *(sidecar.mtime_ns for sidecar in sidecars), 1)


def _size_and_time(path: Path) -> tuple[int, int]:
    if path.is_dir():
        return size_and_time(path)
    status = path.stat()
    return status.st_size, status.st_mtime_ns


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


def _natural_key(source_id: str) -> tuple[str, str]:
    # One text, not a list of its parts: a folder may hold 100,000 names.
    return _DIGITS.sub(lambda digits: f"\0{int(digits[0]):020}", source_id.lower()), source_id


def stream_id_for(directory: PurePath) -> str:
    """Make a valid stream name of a folder's name: ``Plate 7 (new)`` becomes ``Plate-7-new``."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", directory.name).strip("-._")
    return name[:100] or "stream"
