"""An embedded server of a program's own, for as long as a block of code runs."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from haste_apps.exits import RunFailedError
from haste_client import HasteClient, ServerUnreachableError, TransientError
from haste_runtime.exit_codes import ExitCode
from haste_runtime.served import page_of

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 40.0  # the server itself gives running tasks 20
_READY_S = 1.0  # one try to ask it; the next try waits no longer than needed
_LAST_LINES = 15
_URL_FILES = "url-"


class OwnServerError(RunFailedError):
    """The program's own server did not start, or has ended."""

    exit_code = ExitCode.TRY_AGAIN


class EmbeddedServer:
    """A `haste-server` of one's own: on a free port of this machine, with its data in one folder.

    Parameters
    ----------
    data_dir : Path
    roots : mapping of str to Path
        The folders that it may read, by name.
    environment : mapping of str, optional
        More of its settings, as ``HASTE_…``.
    token : str, optional
        What it is to be shown; None: a random one, for this machine's other users have no business with it.
    whose : str
        The program, as messages call it.

    Attributes
    ----------
    url : str
        Where it answers, after `wait_until_ready`.
    token : str
        What it is shown.
    url_file : Path
        Where the server writes that.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        roots: Mapping[str, Path],
        environment: Mapping[str, str] | None = None,
        token: str | None = None,
        whose: str = "demo",
    ) -> None:
        self._data_dir = data_dir
        # Of its own: what a killed program has left of its server may still be starting, and write one.
        self.url_file = data_dir / f"{_URL_FILES}{secrets.token_hex(4)}"
        self._log = data_dir / "server.log"
        self._arguments = [
            *("--data-dir", str(data_dir), "--port", "0", "--url-file", str(self.url_file)),
            *("--parent", str(os.getpid())),  # should we be killed, it ends by itself
            *(part for name, path in roots.items() for part in ("--root", f"{name}={path}")),
        ]
        self.token = token or secrets.token_urlsafe(32)
        self._environment = {**(environment or {}), "HASTE_TOKEN": self.token}
        self._whose = whose
        self._process: subprocess.Popen[bytes] | None = None
        self.url = ""

    def __enter__(self) -> Self:
        self._data_dir.mkdir(parents=True, exist_ok=True)
        for left in self._data_dir.glob(f"{_URL_FILES}*"):  # by those that were killed
            left.unlink(missing_ok=True)
        # What a lab has set up for its own server must not lead this one to its database and broker.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("HASTE_")}
        environment |= self._environment
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own program
                [sys.executable, "-m", "haste_server.cli", *self._arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,  # Ctrl-C reaches us first; we stop it when the results are safe
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def page(self) -> str:
        """The address of its pages, with the token that opens them."""
        return page_of(self.url, self.token)

    def check(self) -> None:
        """Raise OwnServerError, with the last lines of its log, if the server has ended."""
        if self._process is not None and self._process.poll() is not None:
            raise OwnServerError(
                f"the {self._whose}'s server ended with code {self._process.returncode}:\n{self.last_words()}"
            )

    def last_words(self) -> str:
        """Read the last lines of the server's log."""
        lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(lines[-_LAST_LINES:])

    def stop(self) -> None:
        """Let the server finish what it does, and end it if it takes too long; workers end with it."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def wait_until_ready(self, pause: Callable[[float], object]) -> None:
        """Wait until it can work.

        Parameters
        ----------
        pause : callable
            Waits some seconds; what it raises ends the waiting.

        Raises
        ------
        OwnServerError
            If it has ended.
        ServerUnreachableError
            If it takes too long.
        """
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._is_ready():
            self.check()
            if time.monotonic() > deadline:
                raise ServerUnreachableError(
                    f"the {self._whose}'s own address",
                    f"it did not start within {START_TIMEOUT_S:g} s:\n{self.last_words()}",
                )
            pause(0.05)

    def _is_ready(self) -> bool:
        self.url = self.url_file.read_text(encoding="utf-8").strip() if self.url_file.exists() else ""
        if not self.url:
            return False
        try:
            with HasteClient(self.url, self.token, retry_for_s=_READY_S) as client:
                return client.check_ready().ready
        except TransientError:
            return False
