"""Dramatiq with publisher confirms: the fastest peer that loses no task when its broker or a worker dies.

It stores no result and keeps no history, so the comparison favours it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.services.rabbitmq import RabbitMQ
from tests.waiting import wait_for

THREADS = 8  # its default

_PRODUCER = """
import sys
from benchmarks.dramatiq_actors import no_op
count, news = int(sys.argv[1]), sys.argv[2]
for _ in range(count):
    no_op.send(count, news)
"""


def tasks_per_s(folder: Path, count: int) -> float:
    """Measure no-op tasks a second, from the first that is sent to the last that is done."""
    folder.mkdir()
    with RabbitMQ(folder / "rabbitmq") as broker:
        environment = os.environ | {"BENCHMARK_BROKER_URL": broker.vhosts.create()}
        rounds = {"warm-up": 100, "measured": count}
        taken_s = {name: _round(folder, name, number, environment) for name, number in rounds.items()}
    return count / taken_s["measured"]


def _round(folder: Path, name: str, count: int, environment: dict[str, str]) -> float:
    news = folder / name
    with _worker(folder / f"{name}.log", environment):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", _PRODUCER, str(count), str(news)], env=environment, check=True)
        wait_for(news.exists, timeout_s=600)
        return time.perf_counter() - began


@contextmanager
def _worker(log: Path, environment: dict[str, str]) -> Iterator[None]:
    command = [sys.executable, "-m", "dramatiq", "benchmarks.dramatiq_actors"]
    command += ["--processes", "1", "--threads", str(THREADS)]
    with log.open("w") as stream:
        process = subprocess.Popen(command, env=environment, stdout=stream, stderr=stream)
    try:
        wait_for(lambda: "Worker process is ready" in log.read_text())
        yield
    finally:
        process.terminate()
        process.wait(30)
