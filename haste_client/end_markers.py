"""End markers: files by which a microscope's program says that an image, or a whole folder, is finished."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from haste_runtime.folders import name_key

_HOLE = re.compile(r"\{(name|stem)\}")


@dataclass(frozen=True)
class EndMarkers:
    """How end markers are called.

    Attributes
    ----------
    patterns : tuple of str
        File names. ``{name}.done`` stands beside ``A01.tif`` as ``A01.tif.done``, ``{stem}.done`` as
        ``A01.done``. A name without braces, such as ``acquisition.done``, ends all that lies in its folder
        and in those below it.

    Raises
    ------
    ValueError
        If one is no file name, or names the image itself.
    """

    patterns: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for pattern in self.patterns:
            _check(pattern)

    @property
    def of_folders(self) -> frozenset[str]:
        """Names of the files that end their folder."""
        return frozenset(pattern for pattern in self.patterns if not _HOLE.search(pattern))

    def names_for(self, image: str) -> Iterator[str]:
        """List the names that an image's own markers have."""
        words = {"name": image, "stem": os.path.splitext(image)[0]}  # noqa: PTH122 - a Path per name is slow
        for pattern in self.patterns:
            name = _HOLE.sub(lambda hole: words[hole[1]], pattern)
            if _HOLE.search(pattern) and name != image:
                yield name

    def images_of(self, marker: str, suffixes: Iterable[str]) -> Iterator[str]:
        """List the names of images that a file of this name may be the marker of."""
        for pattern in self.patterns:
            hole = _HOLE.search(pattern)
            if hole is None:
                continue
            start, end = pattern[: hole.start()], pattern[hole.end() :]
            word = marker[len(start) : len(marker) - len(end)]
            if not word or f"{start}{word}{end}" != marker:
                continue
            yield from [word] if hole[1] == "name" else (f"{word}{suffix}" for suffix in suffixes)

    def end_ns(self, folder: Path, image: str, *, among: frozenset[str] | None = None) -> int:
        """Tell when an image's own markers were written, in nanoseconds since 1970; 0 if there are none.

        Parameters
        ----------
        folder : Path
        image : str
            Its name.
        among : frozenset of str, optional
            The names of the folder's files, as `name_key` writes them, if they were listed.
        """
        return _latest_ns(folder, self.names_for(image), among) if self.patterns else 0

    def folder_end_ns(self, folder: Path, *, among: frozenset[str] | None = None) -> int:
        """Tell when markers were written that end a folder, as `end_ns` does."""
        return _latest_ns(folder, self.of_folders, among) if self.patterns else 0

    def end_ns_below(self, root: Path, source_id: str) -> int:
        """Tell when any markers were written that name an image, its own and those of its folders."""
        if not self.patterns:
            return 0
        relative = PurePosixPath(source_id)
        folders = [root / parent for parent in relative.parents]
        return max(
            self.end_ns(root / relative.parent, relative.name),
            *(self.folder_end_ns(folder) for folder in folders),
        )


NO_MARKERS = EndMarkers()


@dataclass(frozen=True)
class FolderEnds:
    """The end markers of a folder that was listed.

    Attributes
    ----------
    markers : EndMarkers
    folder : Path
    names : frozenset of str
        Of its files, as `name_key` writes them.
    folder_end_ns : int
        When it, or one above it, was ended, in nanoseconds since 1970; 0: not yet.
    """

    markers: EndMarkers
    folder: Path
    names: frozenset[str]
    folder_end_ns: int

    @classmethod
    def of(cls, markers: EndMarkers, folder: Path, names: Iterable[str], *, above_ns: int) -> FolderEnds:
        """Look at them; `above_ns` is when the folder above was ended."""
        listed = frozenset(map(name_key, names)) if markers.patterns else frozenset[str]()
        return cls(markers, folder, listed, max(above_ns, markers.folder_end_ns(folder, among=listed)))

    def end_ns(self, image: str) -> int:
        """Tell when an image was ended, by its own markers or by those of its folders."""
        return max(self.folder_end_ns, self.markers.end_ns(self.folder, image, among=self.names))


def _latest_ns(folder: Path, names: Iterable[str], among: frozenset[str] | None) -> int:
    latest = 0
    for name in names:
        if among is None or name_key(name) in among:
            with suppress(OSError):
                latest = max(latest, (folder / name).stat().st_mtime_ns)
    return latest


def _check(pattern: str) -> None:
    rest = _HOLE.sub("", pattern)
    if "{" in rest or "}" in rest or len(_HOLE.findall(pattern)) > 1:
        raise ValueError(f"{pattern!r}: in braces stands name or stem, once")
    if not rest or rest != rest.strip() or any(char in rest for char in "/\\\0") or rest in (".", ".."):
        raise ValueError(
            f"{pattern!r} is no name of a file beside the images, such as {{name}}.done or acquisition.done"
        )
