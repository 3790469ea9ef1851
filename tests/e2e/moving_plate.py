"""Files that move between tiers on a whole server, and somebody who looks that none is ever missing."""

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.e2e.server_process import ServerProcess, running_server

# The handler of `tier`, whose process kills itself at the moment that a job's metadata name, once.
HANDLER = """
import os, pathlib, signal
from haste_workers import removing
from haste_workers.handlers import tier as own

hash_file = removing.sha256_of

def tier(job, task, context):
    def die_at(moment):
        mark = pathlib.Path(job["metadata"]["marks"], job["source_id"])
        if job["metadata"].get("dies") == moment and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)

    def hash_and_die(path):
        die_at("set aside")
        return hash_file(path)

    removing.sha256_of = hash_and_die
    answer = own.tier(job, task, context)
    die_at("copied" if task.leaving is None else "removed")
    return answer
"""
STREAM = "plate7"


class Plate:
    """Files that are submitted to a stream whose originals move to tiers A and B."""

    def __init__(self, folder: Path, *, first: dict[str, Any], mode: str = "enforce") -> None:
        self.folder = folder
        self._mode = mode
        for name in ("originals", "marks", "pipelines"):
            (folder / name).mkdir()
        pipeline = {
            "name": "mover",
            "description": "Tier what was measured before",
            "tasks": "tier",
            "interestingness": {
                "function": "precomputed",
                "features_from": "focus-score",
                "parameters": {"field": "score"},
            },
            "policy": first,
        }
        (folder / "pipelines" / "mover.yaml").write_text(yaml.safe_dump(pipeline))
        (folder / "lab_tier.py").write_text(HANDLER)

    @contextmanager
    def server(self) -> Iterator[ServerProcess]:
        for tier in "AB":
            (self.folder / "tiers" / tier).mkdir(parents=True, exist_ok=True)
        environment = {
            "PYTHONPATH": f"{self.folder}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
            "HASTE_LEASE_S": "3",
            "HASTE_RETRY_DELAY_S": "0",
            "HASTE_MAX_ATTEMPTS": "100",
            "HASTE_MAX_LOST": "100",
            "HASTE_TIERS": json.dumps({tier: {"root": str(self.folder / "tiers" / tier)} for tier in "AB"}),
            "HASTE_PIPELINES_DIR": str(self.folder / "pipelines"),
        }
        options = ["--root", f"plate={self.folder / 'originals'}", "--handler", "tier=lab_tier:tier"]
        options += ["--workers", "2"]
        with running_server(self.folder / "data", *options, environment=environment) as server:
            server.wait_until_ready()
            stream = {"stream_id": STREAM, "pipeline": "mover", "mode": self._mode}
            assert server.call("POST", "/HASTE/stream/", json=stream).ok
            yield server

    def submit(self, server: ServerProcess, name: str, **metadata: Any) -> int:
        self.write(name)
        return self.send(server, name, **metadata)

    def write(self, name: str) -> None:
        (self.folder / "originals" / name).write_bytes(name.encode() * 1000)

    def send(self, server: ServerProcess, name: str, stream: str = STREAM, **metadata: Any) -> int:
        """Submit a file; once more brings the same job."""
        answer = server.call("POST", "/HASTE/job/", json=self.spec(name, stream, **metadata))
        assert answer.status_code in (200, 201), answer.text
        return int(answer.json()["job_id"])

    def spec(self, name: str, stream: str, **metadata: Any) -> dict[str, Any]:
        return {
            "source_url": (self.folder / "originals" / name).as_uri(),
            "source_id": name,
            "source_version": "1",
            "stream_id": stream,
            "tasks": "tier",
            "response": {"focus-score": {}},
            "metadata": {"score": 0.5, "marks": str(self.folder / "marks"), **metadata},
        }

    def found(self, name: str) -> list[Path]:
        """List where an object is whole, by its final names."""
        tiers = self.folder / "tiers"
        places = [self.folder / "originals" / name, tiers / "A" / STREAM / name, tiers / "B" / STREAM / name]
        return [path for path in places if _content(path) == name.encode() * 1000]

    def other_files(self) -> list[Path]:
        """List what killed workers have left beside."""
        return [*self.folder.rglob(".haste-leaving-*"), *(self.folder / "tiers").rglob("*~*")]


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


class Guard(threading.Thread):
    """Looks for objects all the time, and remembers those that it did not find."""

    def __init__(self, plate: Plate, names: list[str]) -> None:
        super().__init__(daemon=True)
        self._plate, self._names = plate, names
        self._done = threading.Event()
        self.missed: list[str] = []
        self.rounds = 0

    def run(self) -> None:
        while not self._done.wait(0.005):
            for name in self._names:
                # While one place after the other is looked at, it may go from a later to an earlier one.
                if not any(self._plate.found(name) for _ in range(3)):
                    self.missed.append(name)
            self.rounds += 1

    def __enter__(self) -> "Guard":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self.join()
