"""Folders: as settings name them, and on their disk."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator

from haste_core import windows_paths


def _absolute(path: Path) -> Path:
    return path.expanduser().absolute()


LocalPath = Annotated[Path, AfterValidator(_absolute)]


IS_WINDOWS = os.name == "nt"


def openable(path: Path) -> Path:
    """Write an absolute path so that it can be opened, on Windows also if it is long."""
    return Path(windows_paths.openable(str(path))) if IS_WINDOWS else path


def deep_folder(folder: Path) -> Path:
    """Write a folder's absolute path so that what is far below it can be opened, on Windows too."""
    return Path(windows_paths.extended(str(folder))) if IS_WINDOWS else folder


def shown(path: Path) -> str:
    """Write a path as a user knows it."""
    return windows_paths.plain(str(path)) if IS_WINDOWS else str(path)


def name_key(name: str) -> str:
    """Write a file's name so that two that this system takes for one are equal."""
    return windows_paths.folded(name) if IS_WINDOWS else name


def spelled_on_disk(source_id: str, *, folder: Path, resolved: Path) -> str:
    """Write a path below a folder, with ``/``, as the disk has it; another spelling would be another object.

    Parameters
    ----------
    source_id : str
    folder, resolved : Path
        The folder, and what the path leads to, links resolved.
    """
    if not IS_WINDOWS:
        return source_id
    return windows_paths.respelled(source_id, resolved.relative_to(folder).as_posix())


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries to disk; Windows cannot open folders, and keeps renames in its journal."""
    if IS_WINDOWS:
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
