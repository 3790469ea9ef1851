"""Servers and workers as their users start them, with all processes that belong to them."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from tests.waiting import PATIENCE_S, wait_for

PROC = Path("/proc")


@dataclass
class ServerProcess:
    """A running server; its processes share a session that is the server's own."""

    process: subprocess.Popen[str]
    data_dir: Path
    log: Path
    token: str | None = None

    @property
    def url_file(self) -> Path:
        return self.data_dir / "url"

    @property
    def url(self) -> str:
        return wait_for(self._url)

    def _url(self) -> str | None:
        assert self.process.poll() is None, self.log.read_text()
        return self.url_file.read_text().strip() if self.url_file.exists() else None

    def call(self, method: str, path: str, **options: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        headers |= options.pop("headers", {})
        return requests.request(method, self.url + path, headers=headers, timeout=30, **options)

    def is_ready(self) -> bool:
        try:
            return self.call("GET", "/readyz").status_code == 200
        except requests.ConnectionError:
            return False

    def wait_until_ready(self) -> None:
        wait_for(self.is_ready)

    def submit(self, source: Path, tasks: Any, **fields: Any) -> int:
        spec = {"source_url": source.as_uri(), "source_id": source.name, "tasks": tasks, **fields}
        answer = self.call("POST", "/HASTE/job/", json=spec)
        assert answer.status_code in (200, 201), answer.text
        return int(answer.json()["job_id"])

    def job(self, job_id: int) -> dict[str, Any]:
        answer = self.call("GET", f"/HASTE/job/{job_id}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def wait_for_job(self, job_id: int, *, timeout_s: float = PATIENCE_S) -> dict[str, Any]:
        def ended() -> dict[str, Any] | None:
            try:
                job = self.job(job_id)
            except requests.ConnectionError:
                return None  # the server is being restarted
            return job if job["ended_at"] is not None else None

        return dict(wait_for(ended, timeout_s=timeout_s))

    def pids(self, *words: str) -> list[int]:
        """List this server's processes whose command line holds the words."""
        found = []
        for folder in PROC.glob("[0-9]*"):
            try:
                session = int((folder / "stat").read_text().rpartition(")")[2].split()[3])
            except (OSError, IndexError):
                continue  # it has just ended
            command = command_of(int(folder.name))
            if session == self.process.pid and command and all(word in command for word in words):
                found.append(int(folder.name))
        return sorted(found)

    def children_of(self, pid: int) -> list[int]:
        return [child for child in self.pids() if parent_of(child) == pid]

    def stop(self, number: int = signal.SIGTERM, *, timeout_s: float = PATIENCE_S) -> int:
        self.process.send_signal(number)
        return self.process.wait(timeout_s)

    def kill_all(self) -> None:
        for pid in self.pids():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.process.wait()


@contextmanager
def running_server(
    data_dir: Path, *options: str, environment: dict[str, str] | None = None, port: int = 0
) -> Iterator[ServerProcess]:
    """Start a server on a free port, and leave nothing of it."""
    data_dir.mkdir(exist_ok=True)
    log = data_dir.with_suffix(".log")
    environment = {"HASTE_OPEN_ON_LOOPBACK": "true", "HASTE_WORKERS": "1"} | (environment or {})
    command = server_command("--data-dir", data_dir, "--url-file", data_dir / "url", "--port", port, *options)
    process = start_program(command, log, environment)
    server = ServerProcess(process, data_dir, log, environment.get("HASTE_TOKEN"))
    try:
        yield server
    finally:
        server.kill_all()


@contextmanager
def running_worker(
    log: Path, *options: object, environment: dict[str, str]
) -> Iterator[subprocess.Popen[str]]:
    """Start a worker; at the end it has to stop in good order, unless it was killed."""
    process = start_program(worker_command(*options), log, environment)
    try:
        yield process
        if process.poll() is None:
            process.terminate()
            assert process.wait(30) == 0, log.read_text()
    finally:
        process.kill()
        process.wait()


def start_program(command: list[str], log: Path, environment: dict[str, str]) -> subprocess.Popen[str]:
    """Start a program in a session of its own."""
    with log.open("a") as stream:
        return subprocess.Popen(
            command, env=_clean() | environment, stderr=stream, text=True, start_new_session=True
        )


def _clean() -> dict[str, str]:
    """Return this environment without settings of a HASTE server that the tester may have."""
    return {name: value for name, value in os.environ.items() if not name.startswith("HASTE_")}


def server_command(*options: object) -> list[str]:
    return [sys.executable, "-m", "haste_server.cli", *map(str, options)]


def worker_command(*options: object) -> list[str]:
    return [sys.executable, "-m", "haste_workers.cli", *map(str, options)]


def run_briefly(*options: object) -> subprocess.CompletedProcess[str]:
    """Run a server that should end by itself."""
    return subprocess.run(
        server_command(*options),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        env=_clean(),
        check=False,
    )


def ended_pid() -> int:
    """Return the number of a process that has just ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def command_of(pid: int) -> str:
    """Return a process's command line, or the name that it has given itself; empty if it has ended."""
    try:
        name = (PROC / str(pid) / "comm").read_text().strip()
        command = (PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""
    return name if name.startswith("haste-") and command else command


def parent_of(pid: int) -> int | None:
    try:
        return int((PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return None
