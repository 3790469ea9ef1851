"""Objects that move on a whole server whose workers are killed: each is always there, and once in the end."""

import itertools
import json
import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from tests.e2e.haste_command import haste
from tests.e2e.server_process import PROC, ServerProcess, running_server, wait_for

pytestmark = pytest.mark.skipif(not PROC.is_dir(), reason="looks into /proc to see all processes")

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
MOMENTS = ("copied", "set aside", "removed")
STREAM = "plate7"


def policy(tier: str) -> dict[str, Any]:
    return {"intervals": [{"lo": 0, "hi": 1, "tier": tier}], "undefined": tier, "move": True}


class Plate:
    """Files that are submitted to a stream which enforces, with tiers A and B."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
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
            "policy": policy("A"),
        }
        (folder / "pipelines" / "mover.yaml").write_text(yaml.safe_dump(pipeline))
        (folder / "lab_tier.py").write_text(HANDLER)

    @contextmanager
    def server(self) -> Iterator[ServerProcess]:
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
            stream = {"stream_id": STREAM, "pipeline": "mover", "mode": "enforce"}
            assert server.call("POST", "/HASTE/stream/", json=stream).status_code == 201
            yield server

    def submit(self, server: ServerProcess, name: str, **metadata: Any) -> int:
        path = self.folder / "originals" / name
        path.write_bytes(name.encode() * 1000)
        given = {"score": 0.5, "marks": str(self.folder / "marks"), **metadata}
        more = {"stream_id": STREAM, "response": {"focus-score": {}}, "metadata": given}
        return server.submit(path, "tier", **more)

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


def test_workers_that_die_in_any_half_lose_and_double_nothing(tmp_path: Path) -> None:
    plate = Plate(tmp_path)
    names = [f"{moment}.tif" for moment in MOMENTS]
    with plate.server() as server:
        jobs = [plate.submit(server, name, dies=moment) for name, moment in zip(names, MOMENTS, strict=True)]
        with Guard(plate, names) as guard:
            ended = [server.wait_for_job(job_id) for job_id in jobs]
        told = haste("recall", str(jobs[0]), "--tier", "B", "--json", url=server.url, roots={})
        assert json.loads(told.stdout)["tier"] == "B", told.stderr
        wait_for(lambda: _is_alone(plate, names[0], "B"))
    assert [job["state"] for job in ended] == [200] * len(MOMENTS), ended
    assert [job["place"]["moved"] for job in ended] == [True] * len(MOMENTS)
    for name, job in zip(names, ended, strict=True):
        assert (tmp_path / "marks" / name).exists(), "it died"
        assert job["tasks"]["Task"]["attempts"] >= 3
        assert _is_alone(plate, name, "B" if name == names[0] else "A")
        assert job["response"]["tier"]["removed"] == (tmp_path / "originals" / name).as_uri()
    assert guard.rounds > 0
    assert guard.missed == []
    assert plate.other_files() == []


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_workers_and_servers_that_are_killed_at_random_lose_and_double_nothing(
    tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    plate = Plate(tmp_path)
    names = [f"{number:03}.tif" for number in range(100)]
    with plate.server() as server:
        jobs = [plate.submit(server, name) for name in names]
        with Guard(plate, names) as guard:
            for tier in itertools.islice(itertools.cycle("BA"), 6):
                until = time.monotonic() + 6
                while time.monotonic() < until:
                    time.sleep(chance.uniform(0.05, 1.0))
                    program = "haste_workers" if chance.random() < 0.8 else "haste_server"
                    victims = [pid for pid in server.pids(program) if pid != server.process.pid]
                    if victims:
                        os.kill(chance.choice(victims), signal.SIGKILL)
                wait_for(lambda tier=tier: _set_policy(server, tier), timeout_s=60)
            wait_for(lambda: all(_is_alone(plate, name, "A") for name in names), timeout_s=120)
            states = [server.wait_for_job(job_id)["state"] for job_id in jobs]
    assert states == [200] * len(names)
    assert guard.missed == []
    assert plate.other_files() == []


def _set_policy(server: ServerProcess, tier: str) -> bool:
    try:
        answer = server.call("POST", f"/HASTE/stream/{STREAM}/policy", json={"policy": policy(tier)})
    except requests.RequestException:
        return False  # it is being restarted
    return answer.status_code == 200


def _is_alone(plate: Plate, name: str, tier: str) -> bool:
    return plate.found(name) == [plate.folder / "tiers" / tier / STREAM / name]
