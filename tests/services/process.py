"""One server program as a child process that cannot outlive the test run."""

import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

# Linux takes the local ports of outgoing connections from 32768 up. A server's port stays below:
# otherwise, while the server is down, another connection may take its port, and a client that
# retries on the loopback interface can even connect to itself.
_FIRST_PORT, _LAST_PORT = 20_000, 32_767
_POLL_S = 0.02
_LOG_TAIL_CHARACTERS = 2_000

# Runs beside each server and waits for the end of its standard input, which only the test process
# holds open: however that process ends, SIGKILL included, the server's process group ends too.
_GUARD = 'read -r _; kill -s KILL -- "-$1" 2>/dev/null'


class ServiceError(RuntimeError):
    """A server program ended or stayed unreachable; the message has the end of its log."""


_ports_given_out: set[int] = set()


def free_port() -> int:
    """Return a TCP port of the loopback interface that nothing uses, a different one each time."""
    while True:
        port = random.randint(_FIRST_PORT, _LAST_PORT)
        if port in _ports_given_out:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _ports_given_out.add(port)
        return port


def base_environ() -> dict[str, str]:
    """Return what every server program gets as its environment: the search path, no settings."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"}


class ServiceProcess:
    """A server program in a process group of its own, its output in `log`.

    Parameters
    ----------
    argv
        The program and its arguments.
    log
        File to which standard output and error are appended.
    environ
        The whole environment of the program: none of the caller's is inherited.
    """

    def __init__(self, argv: Sequence[str], *, log: Path, environ: Mapping[str, str]) -> None:
        self.log = log
        with log.open("ab") as output:
            self._server = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(environ),
                cwd=log.parent,
                start_new_session=True,
            )
        self._guard = subprocess.Popen(
            ["/bin/sh", "-c", _GUARD, "guard", str(self.pid)],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """The server's process id, which is its process group's too."""
        return self._server.pid

    def wait_until(self, ready: Callable[[], bool], *, timeout_s: float) -> None:
        """Wait until `ready` answers true.

        Raises
        ------
        ServiceError
            If the program ends first, or if `timeout_s` passes; it is killed then.
        """
        deadline = time.monotonic() + timeout_s
        while not ready():
            exit_code = self._server.poll()
            if exit_code is not None or time.monotonic() > deadline:
                self.kill()
                fate = "was not ready in time" if exit_code is None else f"ended with {exit_code}"
                raise ServiceError(f"{self._server.args!r} {fate}; its log ends:\n{self._tail()}")
            time.sleep(_POLL_S)

    def stop(self, *, timeout_s: float) -> None:
        """Ask the server to stop and wait for it; kill it after `timeout_s`."""
        self._server.terminate()
        try:
            self._server.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self._server.kill()
        self._end()

    def kill(self) -> None:
        """Kill the server with SIGKILL, as a power cut would."""
        self._server.send_signal(signal.SIGKILL)
        self._end()

    def _end(self) -> None:
        # The guard goes first: it must never see a process id that has been given to another.
        self._guard.kill()
        self._guard.communicate()
        self._server.wait()

    def _tail(self) -> str:
        return self.log.read_text(errors="replace")[-_LOG_TAIL_CHARACTERS:]
