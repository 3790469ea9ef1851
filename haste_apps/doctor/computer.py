"""What `haste doctor` finds on this computer: settings, folders, and how many folders can be watched."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from watchdog.events import FileSystemEventHandler
from watchdog.observers import Observer

from haste_apps.doctor.findings import Finding, ok, warning, wrong
from haste_client.settings import CONFIG_VARIABLE, ClientSettings, config_path
from haste_core.errors import InvalidError
from haste_runtime.configuration import Gathered

INOTIFY = Path("/proc/sys/fs/inotify")
"""Where Linux tells its limits; other systems have none like these."""

FEW_WATCHES = 65_536
"""A watch is taken for each folder, and a plate can have one for each well and time."""

_TOLD_FIRST = ("server_url", "token")

_RAISE = (
    "Ask the administrator of this computer to put the line fs.inotify.max_user_watches=524288 into "
    "/etc/sysctl.d/60-haste.conf, and to run: sudo sysctl --system"
)


def examine_settings(gathered: Gathered[ClientSettings] | InvalidError) -> Iterator[Finding]:
    """Look at the settings of this user, and at the folders that they name."""
    config = config_path()
    if isinstance(gathered, InvalidError):
        remedy = f"Correct it on the command line, in the environment (HASTE_…), or in {config}."
        yield wrong("settings", str(gathered), remedy)
        return
    if CONFIG_VARIABLE in os.environ and not config.is_file():
        yield warning(
            "settings",
            f"{CONFIG_VARIABLE} names the file {config}, which is not there",
            f"Make the file, or take {CONFIG_VARIABLE} out of the environment.",
        )
    yield ok("settings", _settings_text(gathered))
    yield from _examine_roots(gathered.settings)


def _settings_text(gathered: Gathered[ClientSettings]) -> str:
    def origin(name: str) -> str:
        return gathered.origins.get(name, "the default")

    settings = gathered.settings
    token = "no token" if settings.token is None else f"token from {origin('token')}"
    others = [f"{name} from {where}" for name, where in gathered.origins.items() if name not in _TOLD_FIRST]
    return "; ".join([f"server {settings.server_url} from {origin('server_url')}", token, *others])


def _examine_roots(settings: ClientSettings) -> Iterator[Finding]:
    missing = [(name, path) for name, path in settings.roots.items() if not Path(path).is_dir()]
    for name, path in missing:
        yield wrong(
            "folders",
            f"the root {name} is {path}, which is no folder here",
            "Mount the share, or correct the path under roots.",
        )
    if settings.roots and not missing:
        yield ok("folders", f"the roots are there: {', '.join(sorted(settings.roots))}")


def examine_watching(limits: Path = INOTIFY) -> Finding:
    """Look whether this computer tells at once which files are written, and of how many folders.

    Parameters
    ----------
    limits : Path
        The folder of Linux' limits.
    """
    trouble = _watching_trouble()
    if trouble:
        return warning(
            "watching",
            f"this computer does not tell when files are written: {trouble}. haste watch and haste-agent "
            "look through the folder again and again instead, and see new images later",
            _RAISE if limits.is_dir() else "To see images sooner, watch fewer folders.",
        )
    try:
        watches = int((limits / "max_user_watches").read_text())
    except (OSError, ValueError):
        return ok("watching", "this computer tells when files are written")
    if watches < FEW_WATCHES:
        return warning("watching", f"only {watches} folders can be watched by all programs together", _RAISE)
    return ok("watching", f"{watches} folders can be watched")


def _watching_trouble() -> str:
    observer = Observer()
    try:
        with tempfile.TemporaryDirectory(prefix="haste-") as folder:
            observer.schedule(FileSystemEventHandler(), folder)
            observer.start()
    except OSError as error:
        return str(error)
    else:
        observer.stop()
        observer.join()
    return ""
