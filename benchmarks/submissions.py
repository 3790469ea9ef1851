"""Submissions a second: one by one from eight clients, beside a bare route, and 500 a call."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from urllib.parse import urlsplit

import sqlalchemy as sa

from benchmarks.floor_schema import metadata as floor_schema
from benchmarks.system import System, no_op_spec
from tests.services.process import free_port
from tests.waiting import wait_for

CLIENTS = 8
"""Nobody takes these tasks, so that what is measured is the submission alone."""
IDLE_KEY = "nobody-takes-this"


def posts_per_s(url: str, path: str, *, stream_id: str, each: int) -> float:
    """Submit jobs one by one from eight clients at a time."""
    failures: list[str] = []

    def client(number: int) -> None:
        with closing(http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)) as connection:
            for count in range(each):
                spec = {**no_op_spec(number * each + count, stream_id), "tasks": IDLE_KEY}
                connection.request("POST", path, json.dumps(spec), {"Content-Type": "application/json"})
                answer = connection.getresponse()
                content = answer.read()
                if answer.status != 201:
                    failures.append(content.decode())
                    return

    clients = [threading.Thread(target=client, args=(number,)) for number in range(CLIENTS)]
    began = time.perf_counter()
    for thread in clients:
        thread.start()
    for thread in clients:
        thread.join()
    if failures:
        raise RuntimeError(failures[0])
    return CLIENTS * each / (time.perf_counter() - began)


def bulk_specs_per_s(system: System, count: int) -> float:
    """Submit jobs 500 a call."""
    began = time.perf_counter()
    system.submit(count, stream_id="bulk", tasks=IDLE_KEY)
    return count / (time.perf_counter() - began)


@contextmanager
def floor_route(database_url: str, *, processes: int, threads: int) -> Iterator[str]:
    """Run the bare route as the product's web processes run, on the same database server."""
    environment = os.environ | {"BENCHMARK_DATABASE_URL": database_url}
    _make_tables(database_url)
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{port}", "--worker-class", "gthread"]
    command += ["--workers", str(processes), "--threads", str(threads), "--log-level", "error"]
    process = subprocess.Popen([*command, "benchmarks.floor_route:app"], env=environment)
    try:
        wait_for(lambda: _answers(port))
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


def measure(system: System, *, each: int, bulk: int) -> dict[str, float]:
    """Measure all three, on a distributed system: so many jobs of each client, and so many in bulk."""
    with floor_route(system.database_url, processes=2, threads=64) as url:
        posts_per_s(url, "/job/", stream_id="warm-up", each=10)
        posts_per_s(system.server.url, "/HASTE/job/", stream_id="warm-up-posts", each=10)
        floor = posts_per_s(url, "/job/", stream_id="floor", each=each)
        product = posts_per_s(system.server.url, "/HASTE/job/", stream_id="posts", each=each)
    return {
        "floor_post_per_s": floor,
        "post_per_s": product,
        "bulk_specs_per_s": bulk_specs_per_s(system, bulk),
    }


def _make_tables(database_url: str) -> None:
    engine = sa.create_engine(database_url)
    floor_schema.create_all(engine)
    engine.dispose()


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/")
        connection.getresponse().read()
    except OSError:
        return False
    finally:
        connection.close()
    return True
