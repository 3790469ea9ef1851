"""The real programs as child processes: servers and workers that a test may stop or kill."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import requests

_START_LIMIT_S = 40
_STOP_LIMIT_S = 30


class Program:
    """One of our programs, with its output in a file beside its data."""

    def __init__(self, name: str, *arguments: str, folder: Path, environ: Mapping[str, str] | None = None):
        folder.mkdir(parents=True, exist_ok=True)
        self.log = folder / f"{name}.log"
        clean = {key: value for key, value in os.environ.items() if not key.startswith("HASTE_")}
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *arguments],
                env={**clean, **(environ or {})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def stop(self) -> int:
        """End it as an administrator would, and return its exit code."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(_STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.log.name} did not stop:\n{self.log_tail()}") from None

    def wait(self) -> int:
        """Wait for its end, and return its exit code."""
        return self._process.wait(_STOP_LIMIT_S)

    def kill(self) -> None:
        """End it with SIGKILL."""
        self._process.kill()
        self._process.wait()

    def log_tail(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")[-3000:]


class Server(Program):
    """A haste-server on a free port."""

    def __init__(self, folder: Path, *arguments: str, environ: Mapping[str, str] | None = None):
        self._url_file = folder / "url"
        super().__init__(
            "server",
            "haste_server.cli",
            *("--data-dir", str(folder / "data"), "--port", "0", "--url-file", str(self._url_file)),
            *arguments,
            folder=folder,
            environ=environ,
        )
        self.url = self._wait_until_it_answers()

    def _wait_until_it_answers(self) -> str:
        deadline = time.monotonic() + _START_LIMIT_S
        while time.monotonic() < deadline and self._process.poll() is None:
            if self._url_file.exists():
                url = self._url_file.read_text(encoding="utf-8").strip()
                if requests.get(f"{url}/readyz", timeout=5).ok:
                    return url
            time.sleep(0.05)
        tail = self.log_tail()
        self.kill()
        raise AssertionError(f"the server did not start:\n{tail}")


def upgrade_database(folder: Path, url: str) -> None:
    """Run ``haste-server db upgrade``."""
    environ = {"HASTE_DATABASE_URL": url, "HASTE_DATA_DIR": str(folder)}
    program = Program("upgrade", "haste_server.cli", "db", "upgrade", folder=folder, environ=environ)
    assert program.wait() == 0, program.log_tail()
