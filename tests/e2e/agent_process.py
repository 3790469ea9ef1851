"""The agent as its users start it, and a server of the lab that it sends to."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e.server_process import ServerProcess, _clean, running_server

TOKEN = "the central server's token"
STREAM = "acquisition_lab1"


@contextmanager
def running_central(
    data_dir: Path, *options: object, port: int = 0, **settings: str
) -> Iterator[ServerProcess]:
    """Start a server that knows the tag ``lab1``."""
    environment = {"HASTE_TOKEN": TOKEN, "HASTE_AGENT_TAGS": '{"lab1": "focus-tier"}', **settings}
    with running_server(
        data_dir, "--workers", "1", *map(str, options), environment=environment, port=port
    ) as server:
        server.wait_until_ready()
        yield server


@dataclass
class Agent:
    """How an agent is started for one folder."""

    folder: Path
    data_dir: Path
    url: str
    token: str = TOKEN

    def command(self, *options: str) -> list[str]:
        said = ["--host", self.url, "--tag", "lab1", "--data-dir", str(self.data_dir), "--settle", "0.2"]
        return [sys.executable, "-m", "haste_apps.agent.cli", str(self.folder), *said, *options]

    def environment(self, **more: str) -> dict[str, str]:
        return {**_clean(), "HASTE_AGENT_TOKEN": self.token, **more}

    def run(self, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*options),
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
            env=self.environment(**environment),
        )

    def start(self, said: Path, *options: str, **environment: str) -> subprocess.Popen[str]:
        with said.open("a") as stream:
            return subprocess.Popen(
                self.command(*options),
                stdout=stream,
                stderr=stream,
                text=True,
                env=self.environment(**environment),
                start_new_session=True,
            )


def events(stdout: str, kind: str) -> list[dict[str, Any]]:
    """Read the events of one kind from what an agent with ``--json`` has printed."""
    lines = [json.loads(line) for line in stdout.splitlines() if line.startswith("{")]
    return [line for line in lines if line["event"] == kind]


def jobs_at(central: ServerProcess, stream: str = STREAM) -> list[dict[str, Any]]:
    """Return the jobs of a stream."""
    return list(central.call("GET", f"/HASTE/jobs/?stream_id={stream}&limit=1000").json()["jobs"])
