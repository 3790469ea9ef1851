"""The agent killed a hundred times while a folder is being filled, and its link is slow."""

import hashlib
import logging
import os
import random
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import tifffile

from benchmarks.throttle import Link, throttled
from haste_workers.imaging.read import read_image
from tests.e2e.agent_process import Agent, jobs_at, running_central
from tests.e2e.server_process import PROC, ServerProcess
from tests.waiting import wait_for

pytestmark = pytest.mark.skipif(not PROC.is_dir(), reason="looks into /proc for what is left")

logger = logging.getLogger(__name__)

SEED = 20261122
KILLS = 100
IMAGES = 150
IMAGES_FOR_A_KILL = 4  # at first; none come during the last ones
SOME = 5  # images that are there before
BYTES_PER_S = 150_000.0  # so that something is on its way at most kills
MOST_BYTES = 200_000  # between two kills, so that not all has arrived before the last one
LAST_RUN_S = 300
MARK = "AGENT_OF_THIS_TEST"


def write_picture(path: Path, number: int, pause: threading.Event) -> None:
    """Write an image of 60 to 400 kB, as a microscope does: each third in two goes."""
    rng = np.random.default_rng([SEED, number])
    size_px = int(rng.integers(200, 480))
    pixels = rng.normal(1000, 60, (size_px, size_px)).astype(np.uint16)
    made = BytesIO()
    tifffile.imwrite(made, pixels)
    content = made.getvalue()
    half = len(content) // 2 if number % 3 == 0 else len(content)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb", buffering=0) as file:
        file.write(content[:half])
        if half < len(content):
            pause.wait(0.5)
            file.write(content[half:])


@contextmanager
def filling(folder: Path) -> Iterator[Callable[[], None]]:
    """Fill a folder meanwhile, so many images at each call, until all are there at the end."""
    asked, hurry = threading.Semaphore(0), threading.Event()

    def fill() -> None:
        for number in range(IMAGES):
            asked.acquire()
            write_picture(folder / f"day{number % 3}" / f"A{number // 3:02}.tif", number, hurry)

    thread = threading.Thread(target=fill)
    thread.start()
    try:
        yield lambda: asked.release(IMAGES_FOR_A_KILL)
    finally:
        hurry.set()
        asked.release(IMAGES)
        thread.join()


def processes_of(agent: Agent) -> list[int]:
    """List the agent, its own server, and all that these have started."""
    mark = f"{MARK}={agent.data_dir}\0".encode()
    found = []
    for folder in PROC.glob("[0-9]*"):
        with suppress(OSError):  # it has just ended
            if mark in (folder / "environ").read_bytes():
                found.append(int(folder.name))
    return found


def kill(*pids: int) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def time_until_it_sends(agent: Agent, said: Path, link: Link) -> float:
    """Start the agent, kill it when pixels are on their way, and tell how long that took."""
    began = time.monotonic()
    process = agent.start(said, "--json", **{MARK: str(agent.data_dir)})
    wait_for(lambda: link.passed_bytes > 100_000)
    took_s = time.monotonic() - began
    kill(process.pid)
    process.wait()
    return took_s


def kill_at_random(
    agent: Agent, said: Path, link: Link, *, longest_s: float, meanwhile: Callable[[], None]
) -> None:
    """Kill the agent at any moment of its start, or in the middle of an image."""
    rng = random.Random(SEED)
    for number in range(KILLS):
        meanwhile()
        enough_bytes = link.passed_bytes + rng.uniform(0, MOST_BYTES)
        process = agent.start(said, "--json", **{MARK: str(agent.data_dir)})
        ends_at = time.monotonic() + rng.uniform(0, longest_s)
        while time.monotonic() < ends_at and link.passed_bytes < enough_bytes and process.poll() is None:
            time.sleep(0.01)
        ended_by_itself = process.poll()
        kill(process.pid)
        process.wait()
        if rng.random() < 0.5:  # as if the power had gone
            kill(*processes_of(agent))
        assert ended_by_itself is None, f"before kill {number}: {said.read_text()[-2000:]}"


def check_arrived(central: ServerProcess, agent: Agent) -> None:
    """Check that each image is a job of its own at the lab's server, with its pixels."""
    originals = {path.relative_to(agent.folder).as_posix(): path for path in agent.folder.rglob("*.tif")}
    jobs = jobs_at(central)
    assert sorted(job["source_id"] for job in jobs) == sorted(originals)
    for job in jobs:
        original = originals[job["source_id"]]
        edge = central.job(job["job_id"])["metadata"]["edge"]
        assert edge["original_sha256"] == hashlib.sha256(original.read_bytes()).hexdigest()
        landed = central.data_dir / job["source_url"].removeprefix("root://")
        assert hashlib.sha256(landed.read_bytes()).hexdigest() == job["source_version"]
        assert np.array_equal(read_image(landed).pixels, read_image(original).pixels)


def check_databases(agent: Agent) -> None:
    databases = [path for path in agent.data_dir.rglob("*") if path.suffix in (".sqlite", ".sqlite3")]
    assert len(databases) == 2
    for database in databases:
        with closing(sqlite3.connect(database)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


@pytest.mark.slow  # quick: test_central_away_at_the_start_and_kills_of_both_in_mid_file_lose_nothing
@pytest.mark.timeout(3600)
def test_a_hundred_kills_at_random_lose_nothing_and_send_nothing_twice(tmp_path: Path) -> None:
    logger.info("seed %d", SEED)
    folder, said = tmp_path / "acquisition", tmp_path / "said.txt"
    folder.mkdir()
    with (
        running_central(tmp_path / "central") as central,
        throttled(central.url, BYTES_PER_S) as link,
    ):
        agent = Agent(folder, tmp_path / "agent", link.url)
        try:
            for number in range(SOME):
                write_picture(folder / "day0" / f"B{number:02}.tif", IMAGES + number, threading.Event())
            longest_s = 1.4 * time_until_it_sends(agent, said, link)
            with filling(folder) as write_some:
                kill_at_random(agent, said, link, longest_s=longest_s, meanwhile=write_some)
            had = len(jobs_at(central))
            logger.info("%d sent during %d kills, lives up to %.1f s", had, KILLS, longest_s)
            assert 0 < had < SOME + IMAGES, "the link is too slow or too fast for this computer"
            link.bytes_per_s = 1e8
            before = {path: path.read_bytes() for path in folder.rglob("*.tif")}
            last = agent.start(said, "--json", "--once", **{MARK: str(agent.data_dir)})
            assert last.wait(LAST_RUN_S) == 0, said.read_text()[-2000:]
            wait_for(lambda: not processes_of(agent))
        finally:
            kill(*processes_of(agent))
        check_arrived(central, agent)
    assert {path: path.read_bytes() for path in folder.rglob("*.tif")} == before
    assert len(before) == SOME + IMAGES
    check_databases(agent)
