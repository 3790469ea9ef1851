"""The `haste` command, run as a user runs it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def haste(*arguments: str, url: str, roots: dict[str, Path]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "haste_apps.cli", *arguments],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
        env=environment(url, roots),
    )


def environment(url: str, roots: dict[str, Path]) -> dict[str, str]:
    named = {name: str(path) for name, path in roots.items()}
    return {**os.environ, "HASTE_SERVER_URL": url, "HASTE_ROOTS": json.dumps(named)}


# The command as it is, but for how long it lets somebody wait who is away.
_IMPATIENT = """
from haste_apps.cli import app
from haste_client import holdups, watching
watching._AWAY_PAUSE_S = holdups.QUIET_S = 0.5
holdups.LOOK_EVERY_S = 1.0
app(prog_name="haste")
"""


def impatient_haste(*arguments: str) -> list[str]:
    return [sys.executable, "-c", _IMPATIENT, *arguments]


@contextmanager
def watching(
    folder: Path, said: Path, *, url: str, roots: dict[str, Path]
) -> Iterator[subprocess.Popen[str]]:
    """Run `haste watch`, its words in a file, until the end of the block at the latest."""
    arguments = ["watch", str(folder), "--stream", folder.name, "--settle", "0.3"]
    with said.open("w") as stream:
        watcher = subprocess.Popen(
            impatient_haste(*arguments),
            stderr=stream,
            text=True,
            env=environment(url, roots),
        )
    try:
        yield watcher
    finally:
        watcher.kill()
        watcher.wait()
