"""Whole systems, as their users start them, for as long as a measurement takes."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from tests.e2e.server_process import ServerProcess, running_server, running_worker
from tests.services.mariadb import MariaDB
from tests.services.rabbitmq import RabbitMQ
from tests.tables import make_tables
from tests.waiting import wait_for

NO_OP = "no-op"
BULK_SIZE = 500
_POLL_S = 0.05


@dataclass(frozen=True)
class Work:
    """What the workers of a system do.

    Attributes
    ----------
    keys : tuple of str
        The task keys that they take, at least.
    settings : mapping
        In the environment of their program.
    """

    keys: tuple[str, ...]
    settings: Mapping[str, str]


NO_OPS = Work((NO_OP,), {"HASTE_HANDLERS": json.dumps({NO_OP: "benchmarks.handlers:no_op"})})


@dataclass
class System:
    """A server with its workers.

    Attributes
    ----------
    server : ServerProcess
    database_url : str
    broker_url : str
        Empty if the server has its own workers.
    """

    server: ServerProcess
    database_url: str
    broker_url: str = ""
    http: requests.Session = field(default_factory=requests.Session)

    @contextmanager
    def worker(self, *, concurrency: int = 1, work: Work = NO_OPS) -> Iterator[None]:
        """Run a worker, from when it is seen."""
        folder = self.server.data_dir.parent
        environment = {"HASTE_WORK_DIR": str(folder / "work"), "HASTE_BROKER_URL": self.broker_url}
        options = ("--keys", ",".join(work.keys), "--concurrency", concurrency)
        with running_worker(folder / "worker.log", *options, environment={**environment, **work.settings}):
            wait_for(lambda: _has_worker(self, work))
            yield

    def submit(self, count: int, *, stream_id: str, tasks: str = NO_OP, priority: float = 1.0) -> list[int]:
        """Submit jobs of one task, 500 a call, and return their numbers."""
        fields = {"tasks": tasks, "priority": priority}
        specs = [no_op_spec(number, stream_id) | fields for number in range(count)]
        return [
            job_id
            for start in range(0, count, BULK_SIZE)
            for job_id in self._bulk(specs[start : start + BULK_SIZE])
        ]

    def _bulk(self, specs: list[dict[str, Any]]) -> list[int]:
        answer = self.http.post(f"{self.server.url}/HASTE/jobs/", json={"jobs": specs}, timeout=60)
        answer.raise_for_status()
        return [int(result["job_id"]) for result in answer.json()["results"]]

    def wait_until_done(self, job_id: int, *, timeout_s: float = 600.0) -> None:
        """Wait until a job and all before it are done."""
        deadline = time.monotonic() + timeout_s
        while self._open_before(job_id):
            if time.monotonic() > deadline:
                raise TimeoutError(f"job {job_id} is not done after {timeout_s:g} s")
            time.sleep(_POLL_S)

    def wait_until_stream_is_done(self, stream_id: str, *, timeout_s: float = 600.0) -> None:
        """Wait until a stream has no open job."""
        query: dict[str, Any] = {"stream_id": stream_id, "state": "open", "limit": 1}

        def is_done() -> bool:
            answer = self.http.get(f"{self.server.url}/HASTE/jobs/", params=query, timeout=60)
            answer.raise_for_status()
            return not answer.json()["jobs"]

        wait_for(is_done, timeout_s=timeout_s)

    def _open_before(self, job_id: int) -> bool:
        query = {"limit": 1}
        answer = self.http.get(f"{self.server.url}/HASTE/job/inprogress", params=query, timeout=60)
        answer.raise_for_status()
        return any(number <= job_id for number in answer.json()["jobs"])


def no_op_spec(number: int, stream_id: str) -> dict[str, Any]:
    """Return a job spec of one no-op task, with the fields that an acquisition fills in."""
    return {
        "source_url": f"root://nas/{stream_id}/image_{number:07}.tif",
        "source_id": f"image_{number:07}",
        "stream_id": stream_id,
        "index": number,
        "timestamp": 1790000000.0 + number,
        "location": [number % 24, number // 24],
        "metadata": {"channel": "DAPI", "objective": "20x"},
        "tasks": NO_OP,
    }


@contextmanager
def embedded_system(folder: Path, *, concurrency: int = 1, work: Work = NO_OPS) -> Iterator[System]:
    """Run a server with SQLite and its own workers."""
    environment = {"HASTE_WORKERS": str(concurrency), **work.settings}
    with running_server(folder / "data", environment=environment) as server:
        server.wait_until_ready()
        system = System(server, f"sqlite:///{server.data_dir / 'haste.sqlite3'}")
        wait_for(lambda: _has_worker(system, work))
        yield system


@contextmanager
def distributed_system(
    folder: Path, *, concurrency: int = 1, work: Work = NO_OPS, with_worker: bool = True
) -> Iterator[System]:
    """Run RabbitMQ, MariaDB, a server and, unless told otherwise, a worker."""
    with ExitStack() as running:
        database_url = running.enter_context(MariaDB(folder / "mariadb")).new_database()
        broker_url = running.enter_context(RabbitMQ(folder / "rabbitmq")).vhosts.create()
        make_tables(database_url)
        environment = {"HASTE_DATABASE_URL": database_url, "HASTE_BROKER_URL": broker_url}
        server = running.enter_context(running_server(folder / "data", environment=environment))
        server.wait_until_ready()
        system = System(server, database_url, broker_url)
        if with_worker:
            running.enter_context(system.worker(concurrency=concurrency, work=work))
        yield system


def _has_worker(system: System, work: Work) -> bool:
    workers = system.http.get(f"{system.server.url}/HASTE/workers/", timeout=10).json()["workers"]
    return any(set(work.keys) <= set(worker["keys"]) for worker in workers)


@contextmanager
def work_folder() -> Iterator[Path]:
    """Return a folder that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="haste-benchmark-") as folder:
        yield Path(folder)


def print_figures(benchmark: str, figures: Mapping[str, float | Mapping[str, float]]) -> None:
    """Print the line that other programs read."""
    rounded = {
        name: _rounded(value)
        if isinstance(value, int | float)
        else {case: _rounded(v) for case, v in value.items()}
        for name, value in figures.items()
    }
    print(json.dumps({"benchmark": benchmark, "figures": rounded}))


def _rounded(value: float) -> float:
    return float(f"{value:.5g}")


def say(text: str) -> None:
    """Tell a person how the measurement goes on."""
    print(text, file=sys.stderr, flush=True)
