"""The browser that the tests of the pages look with: where it is, and how it is started."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tests.services.programs import ProgramMissingError

if TYPE_CHECKING:  # whoever only asks where the browser is need not have it
    from playwright.sync_api import Browser, Playwright

BROWSER_VARIABLE = "HASTE_TEST_BROWSER"

_PROGRAMS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
_OF_PLAYWRIGHT = Path("ms-playwright")  # in a folder for caches
_ADVICE = (
    "The tests of the pages need Chromium: install Debian's package chromium-headless-shell, elsewhere run "
    ".venv/bin/playwright install --with-deps chromium-headless-shell, or name the program in "
    f"{BROWSER_VARIABLE}."
)


def launch(playwright: Playwright) -> Browser:
    """Start a Chromium without windows."""
    # Tests may run as root, in a container that has no /dev/shm to speak of.
    options = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
    return playwright.chromium.launch(executable_path=find_browser(), args=options)


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
