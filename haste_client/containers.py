"""Containers: folders of OME-Zarr, each of which is one image."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

CONTAINER_SUFFIX = ".zarr"
_METADATA = ("zarr.json", ".zgroup", ".zattrs", ".zarray")
_UNFINISHED = (".partial", ".tmp", ".part", "~")  # zarr-python and others write chunks under such names first


def is_container(name: str) -> bool:
    """Tell whether a folder of this name is one image."""
    return name.lower().endswith(CONTAINER_SUFFIX)


def container_of(path: str) -> str | None:
    """Return the container that a path, with ``/``, names or leads into; None if there is none."""
    parts = path.split("/")
    depth = next((depth for depth, part in enumerate(parts, start=1) if is_container(part)), None)
    return None if depth is None else "/".join(parts[:depth])


def size_and_time(container: Path) -> tuple[int, int]:
    """Return the size of all files in bytes, and the latest time of a change, nanoseconds since 1970.

    Raises
    ------
    OSError
        If a part of it cannot be read, or is removed meanwhile.
    """
    inside = [entry.stat(follow_symlinks=False) for entry in _walk(container)]
    times = (status.st_mtime_ns for status in (container.stat(), *inside))
    return sum(status.st_size for status in inside if not _is_folder(status)), max(times)


def missing_in_container(container: Path) -> str | None:
    """Say what a half-written container lacks, as far as one can tell from outside."""
    if not any((container / name).is_file() for name in _METADATA):
        return f"it has no {' or '.join(_METADATA)} yet"
    unfinished = (entry.name for entry in _walk(container) if entry.name.endswith(_UNFINISHED))
    name = next(unfinished, None)
    return None if name is None else f"{name} in it is still being written"


def _walk(folder: Path | str) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            yield entry
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(entry.path)


def _is_folder(status: os.stat_result) -> bool:
    return stat.S_ISDIR(status.st_mode)
