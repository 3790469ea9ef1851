"""Sidecars: files beside images that belong to one of them, or to all images of a folder."""

from __future__ import annotations

import fnmatch
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from haste_core.jobspec import MAX_SIDECARS
from haste_runtime.folders import name_key

_MOVIE = re.compile(r"_(fractions|eer)\Z", re.IGNORECASE)  # EPU: X_fractions.tiff has X.xml


class SidecarRules(BaseModel):
    """Which files are sidecars; upper and lower case of what is given here are the same.

    Attributes
    ----------
    of_images : tuple of str
        Endings: ``A01.xml`` and ``A01.tif.xml`` belong to ``A01.tif``.
    of_folders : tuple of str
        Globs for names of files that belong to all images of their folder and of the folders below it. If
        there are several of one ending, each belongs to the images whose names begin like its own.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    of_images: tuple[str, ...] = (".mdoc", ".xml")
    of_folders: tuple[str, ...] = ("*.HTD", "*.xdce", "Index.idx.xml")

    @cached_property
    def _endings(self) -> tuple[str, ...]:
        return tuple(ending.lower() for ending in self.of_images)

    @cached_property
    def _globs(self) -> re.Pattern[str]:
        return re.compile("|".join(map(fnmatch.translate, self.of_folders)) or r"(?!)", re.IGNORECASE)

    def keys_for(self, image: str) -> Iterator[str]:
        """List the keys that sidecars of an image of this name have."""
        stem = os.path.splitext(image)[0]  # noqa: PTH122 - a Path per name is slow
        for start in dict.fromkeys((image, stem, _MOVIE.sub("", stem))):
            yield from (start + ending for ending in self._endings)

    def key_of(self, name: str) -> str | None:
        """Return a file's name with its ending in lower case; None if it is no image's sidecar."""
        lowered = name.lower()
        if not lowered.endswith(self._endings):
            return None
        ending = next(ending for ending in self._endings if lowered.endswith(ending))
        return name[: -len(ending)] + ending

    def is_of_folder(self, name: str) -> bool:
        """Tell whether a file of this name belongs to all images of its folder."""
        return self._globs.match(name) is not None


DEFAULT_RULES = SidecarRules()


@dataclass(frozen=True)
class Sidecar:
    """A sidecar of one image, as it was seen at one moment."""

    path: Path
    size_bytes: int
    mtime_ns: int


@dataclass(frozen=True)
class FolderSidecars:
    """The sidecars of one folder.

    Attributes
    ----------
    folder : Path
    rules : SidecarRules
    names : dict of str
        Of images' sidecars that were seen, by their keys, as `name_key` writes these.
    shared : tuple of Path
        Those of the folder, or of the nearest one above it that has any.
    """

    folder: Path
    rules: SidecarRules = DEFAULT_RULES
    names: dict[str, str] = field(default_factory=dict)
    shared: tuple[Path, ...] = ()

    @classmethod
    def among(
        cls, names: Iterable[str], folder: Path, rules: SidecarRules, above: tuple[Path, ...]
    ) -> FolderSidecars:
        """Find them among the names of a folder's files."""
        shared = tuple(folder / name for name in sorted(names) if rules.is_of_folder(name))
        keys = {rules.key_of(name): name for name in names}
        known = {name_key(key): name for key, name in keys.items() if key}
        return cls(folder, rules, known, shared or above)

    def seen(self, image: str) -> tuple[Sidecar, ...]:
        """Look at the sidecars of an image that were there when the folder was listed."""
        if not self.names:
            return ()
        keys = [name_key(key) for key in self.rules.keys_for(image)]
        return _looked_at(self.folder / self.names[key] for key in keys if key in self.names)

    def probed(self, image: str) -> tuple[Sidecar, ...]:
        """Look for the sidecars of an image, also those that came since the folder was listed."""
        return _looked_at(self._there(key) for key in self.rules.keys_for(image))

    def shared_with(self, image: str) -> tuple[Path, ...]:
        """List the folder's sidecars that belong to this image."""
        endings = Counter(path.suffix.lower() for path in self.shared)
        fitting = (
            path
            for path in self.shared
            if endings[path.suffix.lower()] == 1 or image.lower().startswith(path.stem.lower())
        )
        return tuple(fitting)[: MAX_SIDECARS // 2]

    def _there(self, key: str) -> Path:
        # A name that was seen comes first: where a.xml and a.XML are one file, it keeps one name.
        known = self.names.get(name_key(key))
        if known is not None:
            return self.folder / known
        stem, dot, ending = key.rpartition(".")
        upper = self.folder / f"{stem}{dot}{ending.upper()}"
        return upper if upper.is_file() else self.folder / key


def _looked_at(paths: Iterable[Path]) -> tuple[Sidecar, ...]:
    found = []
    for path in paths:
        try:
            status = path.stat()
        except OSError:
            continue
        if path.is_file():
            found.append(Sidecar(path, status.st_size, status.st_mtime_ns))
    return tuple(found[: MAX_SIDECARS // 2])
