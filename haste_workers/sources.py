"""From an object's place to a local file that this site allows to be read."""

from __future__ import annotations

import errno
import os
import re
import stat
from pathlib import Path

from haste_core.errors import BadInputError, SourceDeniedError, SourceMissingError, TransientError
from haste_core.routing import NoFileNameError, OutsideRootsError, Roots
from haste_runtime.folders import deep_folder, openable
from haste_runtime.tiers import PosixTier, TrashTier
from haste_workers.settings import WORK_ROOT, WorkerSettings

LANDING_ROOT = "landing"  # by this name a server's own workers are told where uploads are
_TIER_ROOT = "haste-tier-{}"
_OWN_ROOTS = re.compile(rf"{WORK_ROOT}|{LANDING_ROOT}|{_TIER_ROOT.format('[0-9]+')}")


def named_roots(settings: WorkerSettings) -> Roots:
    """Return the folders by whose names new places are told: the site's roots, and the worker's own."""
    return Roots.parse({**settings.roots, WORK_ROOT: settings.work_dir})


def readable_roots(settings: WorkerSettings) -> Roots:
    """Return all folders that handlers may read: the named ones, and what was put to tiers."""
    tiers = {
        _TIER_ROOT.format(number): tier.root
        for number, tier in enumerate(settings.tiers.values())
        if isinstance(tier, PosixTier | TrashTier) and tier.root is not None  # else it is in work_dir
    }
    return Roots.parse({**settings.roots, WORK_ROOT: settings.work_dir, **tiers})


def local_path(url: str, roots: Roots) -> Path:
    """Find the file or folder that a ``root://`` or ``file://`` URL names here, all links resolved.

    Raises
    ------
    SourceDeniedError
        If it lies outside the roots, directly or through a link, or may not be read.
    SourceMissingError
        If it is not there.
    TransientError
        If its whole root is not there, as with a share that is not mounted.
    BadInputError
        If it is neither a file nor a folder.
    """
    try:
        path = Path(roots.path_of(url))
        resolved = openable(path).resolve()
    except NoFileNameError as error:
        raise SourceDeniedError(str(error)) from error
    except OutsideRootsError as error:
        raise SourceDeniedError(_outside(url, roots)) from error
    except (OSError, RuntimeError, ValueError) as error:  # a loop of links; a NUL in the name
        raise SourceDeniedError(f"{url} names no file: {error}") from error
    folders = [Path(folder) for folder in roots.folders.values()]
    if not any(deep_folder(resolved).is_relative_to(deep_folder(folder.resolve())) for folder in folders):
        raise SourceDeniedError(_outside(f"{path} is a link to {resolved}, which", roots))
    _refuse_unreadable(path, resolved, folders)
    return resolved


def _outside(what: str, roots: Roots) -> str:
    """Say what lies outside, naming the folders that an administrator has chosen, not the program's own."""
    chosen = {name: folder for name, folder in roots.folders.items() if not _OWN_ROOTS.fullmatch(name)}
    return (
        f"{what} is outside the folders that may be read here ({Roots(chosen)}). To allow its folder, name "
        "it under `roots:` in the settings, or start haste-server (haste-worker, where workers run apart) "
        "with --root NAME=FOLDER"
    )


def _refuse_unreadable(path: Path, resolved: Path, folders: list[Path]) -> None:
    try:
        mode = resolved.stat().st_mode
    except (FileNotFoundError, NotADirectoryError) as error:
        for folder in folders:
            if path.is_relative_to(folder) and not folder.exists():
                raise TransientError(
                    f"the folder {folder} is not there now: is the share mounted?"
                ) from error
        raise SourceMissingError(f"there is no file {path}") from error
    except PermissionError as error:
        raise SourceDeniedError(f"{path} may not be read by the worker's user account") from error
    except OSError as error:
        if error.errno == errno.ELOOP:  # from Python 3.13 on, resolving such a path does not raise
            raise SourceDeniedError(f"{path} names no file: {error}") from error
        if error.errno == errno.ENAMETOOLONG:
            raise SourceMissingError(f"there is no file {path}: the name is too long for its disk") from error
        raise
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise BadInputError(f"{path} is neither a file nor a folder")
    if not os.access(resolved, os.R_OK):
        raise SourceDeniedError(f"{path} may not be read by the worker's user account")
