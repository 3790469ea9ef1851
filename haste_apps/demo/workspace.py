"""The demo's own folder, and the promise to touch no other."""

from __future__ import annotations

import shutil
from pathlib import Path

from haste_core.errors import ConflictError

DEFAULT_WORK_DIR = Path("haste-demo")
MARKER = ".haste-demo"
_MARKER_TEXT = "This folder was made by `haste demo`, which replaces everything in it at its next run.\n"


def prepare_work_dir(work_dir: Path, *, images: Path | None = None) -> Path:
    """Make an empty folder for the demo; what an earlier demo left there is removed.

    Parameters
    ----------
    work_dir : Path
    images : Path, optional
        A folder of the user's that must survive.

    Raises
    ------
    ConflictError
        If the folder holds anything that is not known to be the demo's.
    """
    folder = work_dir.resolve()
    if images is not None and images.resolve().is_relative_to(folder):
        raise ConflictError(
            f"{images} lies in {folder}, which the demo would empty; choose another folder with --work-dir"
        )
    if folder.exists():
        _empty(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARKER).write_text(_MARKER_TEXT, encoding="utf-8")
    return folder


def _empty(folder: Path) -> None:
    if not folder.is_dir():
        raise ConflictError(f"{folder} is a file; choose another folder for the demo with --work-dir")
    entries = list(folder.iterdir())
    if entries and not (folder / MARKER).is_file():
        raise ConflictError(
            f"{folder} holds files that are not the demo's; choose another folder with --work-dir"
        )
    for entry in entries:
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        elif (
            entry.name != MARKER
        ):  # the marker goes last, so that a removal that was cut off goes on next time
            entry.unlink()
