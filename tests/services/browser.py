"""Where the browser is that the tests of the pages look with."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from tests.services.programs import ProgramMissingError

BROWSER_VARIABLE = "HASTE_TEST_BROWSER"

_PROGRAMS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
_OF_PLAYWRIGHT = Path("ms-playwright")  # in a folder for caches
_ADVICE = (
    "The tests of the pages need Chromium: install Debian's package chromium-headless-shell, elsewhere run "
    ".venv/bin/playwright install --with-deps chromium-headless-shell, or name the program in "
    f"{BROWSER_VARIABLE}."
)


def find_browser(environ: Mapping[str, str] = os.environ) -> str:
    """Return the path of a Chromium.

    Raises
    ------
    ProgramMissingError
        If there is none; the message says what to install.
    """
    given = environ.get(BROWSER_VARIABLE)
    names = (given,) if given else _PROGRAMS
    found = next(filter(None, (shutil.which(name, path=environ.get("PATH")) for name in names)), None)
    found = found or (None if given else _installed_by_playwright(environ))
    if found is None:
        raise ProgramMissingError(f"{_ADVICE} (Not found here: {given or _PROGRAMS[0]}.)")
    return found


def _installed_by_playwright(environ: Mapping[str, str]) -> str | None:
    home = Path(environ.get("HOME") or "/nonexistent")
    caches = (home / ".cache", home / "Library" / "Caches")
    folders = [Path(environ.get("PLAYWRIGHT_BROWSERS_PATH") or cache / _OF_PLAYWRIGHT) for cache in caches]
    names = ("headless_shell", "chrome-headless-shell")
    shells = [path for folder in folders for name in names for path in folder.glob(f"chromium*/*/{name}")]
    return str(max(shells)) if shells else None
