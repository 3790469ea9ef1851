"""An embedded server of a program's own, for as long as a block of code runs."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml

from haste_apps.exits import RunFailedError
from haste_client import HasteClient, ServerUnreachableError, TransientError
from haste_core.pipelines import Pipeline
from haste_runtime.exit_codes import ExitCode
from haste_runtime.served import page_of

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 40.0  # the server itself gives running tasks 20
_RETRY_S = 10.0  # it is on this machine: what is away for longer does not come back
_LAST_LINES = 15
_URL_FILES = "url-"


class OwnServerError(RunFailedError):
    """The program's own server did not start, or has ended."""

    exit_code = ExitCode.TRY_AGAIN


def write_pipelines(pipelines: Iterable[Pipeline], folder: Path) -> Path:
    """Write pipelines as a server reads them, a YAML file each, beside what the folder holds.

    Returns
    -------
    Path
        The folder, for ``pipelines_dir``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for pipeline in pipelines:
        text = yaml.safe_dump(pipeline.to_json(), sort_keys=False)
        (folder / f"{pipeline.name}.yaml").write_text(text, encoding="utf-8")
    return folder


def as_environment(settings: Mapping[str, Any]) -> dict[str, str]:
    """Write a server's settings, by their names, as the variables of its environment."""
    return {
        f"HASTE_{name.upper()}": value if isinstance(value, str) else json.dumps(value, default=str)
        for name, value in settings.items()
    }


class EmbeddedServer:
    """A `haste-server` of one's own: on a free port of this machine, with its data in one folder.

    Parameters
    ----------
    data_dir : Path
    roots : mapping of str to Path
        The folders that it may read, by name.
    settings : mapping of str, optional
        More of its settings, by their names.
    token : str, optional
        What it is to be shown; None: a random one, for this machine's other users have no business with it.
    whose : str
        Who has it, as messages say.

    Attributes
    ----------
    data_dir : Path
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
        settings: Mapping[str, Any] | None = None,
        token: str | None = None,
        whose: str = "demo",
    ) -> None:
        self.data_dir = data_dir
        self._roots = dict(roots)
        # Of its own: what a killed program has left of its server may still be starting, and write one.
        self.url_file = data_dir / f"{_URL_FILES}{secrets.token_hex(4)}"
        self._log = data_dir / "server.log"
        self._arguments = [
            *("--data-dir", str(data_dir), "--port", "0", "--url-file", str(self.url_file)),
            *("--parent", str(os.getpid())),  # should we be killed, it ends by itself
            *(part for name, path in roots.items() for part in ("--root", f"{name}={path}")),
        ]
        self.token = token or secrets.token_urlsafe(32)
        self._environment = as_environment({**(settings or {}), "token": self.token})
        self._whose = whose
        self._process: subprocess.Popen[bytes] | None = None
        self.url = ""

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> Self:
        """Start its process; `wait_until_ready` tells when it answers."""
        self.data_dir.mkdir(parents=True, exist_ok=True)
        for left in self.data_dir.glob(f"{_URL_FILES}*"):  # by those that were killed
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

    def connect(self) -> HasteClient:
        """Open a connection to it, with the same roots."""
        return HasteClient(self.url, self.token, roots=self._roots, retry_for_s=_RETRY_S)

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

    def wait_for_workers(self, keys: Collection[str], pause: Callable[[float], object]) -> None:
        """Wait until its workers can work as well: a task that comes now is begun at once.

        Parameters
        ----------
        keys : collection of str
            The task keys that somebody has to take.
        pause : callable
            Waits some seconds; what it raises ends the waiting.

        Raises
        ------
        OwnServerError
            If it has ended, or has no workers in time.
        """
        deadline = time.monotonic() + START_TIMEOUT_S
        with self.connect() as client:
            while lacking := set(keys) - {key for worker in client.workers().workers for key in worker.keys}:
                self.check()
                if time.monotonic() > deadline:
                    missing = " and ".join(sorted(lacking))
                    late = f"the workers for {missing} did not start within {START_TIMEOUT_S:g} s"
                    raise OwnServerError(f"{late}:\n{self.last_words()}")
                pause(0.05)

    def _is_ready(self) -> bool:
        self.url = self.url_file.read_text(encoding="utf-8").strip() if self.url_file.exists() else ""
        if not self.url:
            return False
        try:
            with self.connect() as client:
                return client.check_ready(once=True).ready
        except TransientError:
            return False
