"""The `haste` command, run as a user runs it."""

import json
import os
import subprocess
import sys
from pathlib import Path


def haste(*arguments: str, url: str, roots: dict[str, Path]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "haste_apps.cli", *arguments],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
        env=environment(url, roots),
    )


def environment(url: str, roots: dict[str, Path]) -> dict[str, str]:
    named = {name: str(path) for name, path in roots.items()}
    return {**os.environ, "HASTE_SERVER_URL": url, "HASTE_ROOTS": json.dumps(named)}
