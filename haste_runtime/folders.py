"""Folders: as settings name them, and on their disk."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict


def _absolute(path: Path) -> Path:
    return path.expanduser().absolute()


LocalPath = Annotated[Path, AfterValidator(_absolute)]


class PosixTier(BaseModel):
    """A tier that is a folder of a mounted file system.

    Attributes
    ----------
    root : Path
        It is made if it is missing.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    driver: Literal["posix"] = "posix"
    root: LocalPath


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries to disk; Windows cannot open folders, and keeps renames in its journal."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
