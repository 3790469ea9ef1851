"""The page of a stream of 100,000 images: until it is seen, under a dragged border, with 50 looking.

``first_paint_ms`` is Chromium's first contentful paint on this machine, with nothing in the browser's cache,
and nothing kept by the server of what was found out for the load before. ``drag_ms`` is the time from a
movement of the pointer until the counts it changes have been painted. ``latency_ratio_50_pages`` is the
median time of ``GET /HASTE/job/<id>`` while 50 pages of the stream are followed, as `benchmarks.readers`
does, over that with none; in both cases images of the stream come to their end all the time. ``idle_cpu`` is
the CPU time of all of the server's processes over time, as part of one core, when nobody looks and nothing
is to do.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import requests
from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.decided_plate import STREAM, DecidedPlate
from benchmarks.system import (
    NO_OP,
    NO_OPS,
    System,
    embedded_system,
    print_figures,
    say,
    work_folder,
)
from haste_server.catalogue import load_pipelines
from tests.e2e.server_process import PROC
from tests.services.browser import launch

VIEW = {"width": 1280, "height": 900}
ENDING_PER_S = 5
"""Images of the stream that come to their end: a plate that runs."""

ASKING_EVERY_S = 0.02

_AFRESH = 12.0  # times as long as finding out took: the server keeps it for ten
_PATIENCE_MS = 60_000

_PAINTED = """() => new Promise((resolve) => {
  const found = () => performance.getEntriesByName("first-contentful-paint")[0]?.startTime;
  const look = () => (found() === undefined ? setTimeout(look, 10) : resolve(found()));
  look();
})"""
_TIME_COUNTS = """() => {
  window.delays = [];
  let movedAt = null;
  addEventListener("pointermove", (event) => { movedAt ??= event.timeStamp; }, true);
  new MutationObserver(() => {
    if (movedAt === null) return;
    const began = movedAt;
    movedAt = null;
    requestAnimationFrame(() => setTimeout(() => delays.push(performance.now() - began)));
  }).observe(document.getElementById("live-tiers"), { subtree: true, childList: true });
}"""


@dataclass(frozen=True)
class Size:
    """How much is measured, and for how long.

    Attributes
    ----------
    settle_s : float
        After all have opened their pages, and before the server is called idle.
    """

    images: int
    loads: int
    moves: int
    readers: int
    rounds: int
    asking_s: float
    idle_s: float
    settle_s: float


FULL = Size(images=100_000, loads=7, moves=60, readers=50, rounds=2, asking_s=15.0, idle_s=20.0, settle_s=5.0)
QUICK = Size(images=200, loads=2, moves=5, readers=3, rounds=1, asking_s=0.5, idle_s=1.0, settle_s=0.0)


def first_paints_ms(browser: Browser, url: str, times: int) -> list[float]:
    """Load the page as somebody does who was never there."""
    found = []
    for _ in range(times):
        context = browser.new_context(viewport=VIEW)
        page = context.new_page()
        began = time.perf_counter()
        page.goto(url, timeout=_PATIENCE_MS)
        took_s = time.perf_counter() - began
        found.append(float(page.evaluate(_PAINTED)))
        context.close()
        time.sleep(_AFRESH * took_s)
    return found


def drags_ms(browser: Browser, url: str, moves: int) -> list[float]:
    """Move the highest border step by step, and wait each time until the counts have followed."""
    context = browser.new_context(viewport=VIEW)
    page = context.new_page()
    page.goto(url, timeout=_PATIENCE_MS)
    page.evaluate(_TIME_COUNTS)
    _grip(page)
    field = page.locator("#figure .axis").bounding_box()
    assert field is not None
    for move in range(moves):
        to = 0.8 + 0.15 * (move % 20) / 20  # always another of the 200 parts
        page.mouse.move(field["x"] + to * field["width"], field["y"] - 20)
        page.wait_for_function("wanted => delays.length >= wanted", arg=move + 1)
    page.mouse.up()
    found = [float(delay) for delay in page.evaluate("delays")][:moves]
    context.close()
    return found


def _grip(page: Page) -> None:
    slider = page.get_by_role("slider").last
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()


@contextmanager
def looking(url: str, count: int, *, settle_s: float) -> Iterator[None]:
    """Have people look at the page."""
    command = [sys.executable, "-m", "benchmarks.readers", url, str(count)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as readers:
        assert readers.stdout is not None
        try:
            if readers.stdout.readline() != "open\n":
                raise RuntimeError("the pages could not be opened")
            time.sleep(settle_s)
            yield
        finally:
            readers.terminate()
            told = readers.stdout.read()
        if readers.wait() != 0:
            raise RuntimeError("somebody could not look any more")
    answers = json.loads(told)
    say(f"{answers.pop('told')} of {count} are told, the others ask; answers by status: {answers}")


@contextmanager
def running_plate(system: System) -> Iterator[None]:
    """Let images of the stream come to their end all the time."""
    over = threading.Event()
    http = requests.Session()  # one for each thread
    more = {"stream_id": STREAM, "tasks": NO_OP}
    failed: list[BaseException] = []

    def submit() -> None:
        url = f"{system.server.url}/HASTE/job/"
        try:
            while not over.wait(1 / ENDING_PER_S):
                number = time.time_ns()
                spec = {"source_url": f"root://nas/late{number}.tif", "source_id": f"late{number}"}
                http.post(url, json=spec | more, timeout=60).raise_for_status()
        except BaseException as error:
            failed.append(error)
            raise

    thread = threading.Thread(target=submit)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    if failed:
        raise failed[0]


def latencies_s(system: System, job_id: int, *, for_s: float) -> list[float]:
    """Ask for a job again and again."""
    url = f"{system.server.url}/HASTE/job/{job_id}"
    found = []
    until = time.perf_counter() + for_s
    while (began := time.perf_counter()) < until:
        system.http.get(url, timeout=60).raise_for_status()
        found.append(time.perf_counter() - began)
        time.sleep(ASKING_EVERY_S)
    return found


def answering_ms(system: System, page: str, size: Size) -> tuple[float, float]:
    """Measure the answers with nobody looking and with many, in turn."""
    alone, watched = [], []
    with running_plate(system):
        for _ in range(size.rounds):
            alone += latencies_s(system, 1, for_s=size.asking_s)
            with looking(page, size.readers, settle_s=size.settle_s):
                watched += latencies_s(system, 1, for_s=size.asking_s)
    return 1000 * statistics.median(alone), 1000 * statistics.median(watched)


def idle_share(system: System, *, for_s: float, settle_s: float) -> float:
    """Measure the CPU time of the server's processes."""
    time.sleep(settle_s)
    began, before = time.perf_counter(), _cpu_s(system)
    time.sleep(for_s)
    return (_cpu_s(system) - before) / (time.perf_counter() - began)


def _cpu_s(system: System) -> float:
    ticks = 0
    for pid in system.server.pids():
        fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])  # in the program and in the kernel
    return ticks / os.sysconf("SC_CLK_TCK")


def measure(size: Size) -> dict[str, float]:
    """Fill a server, look at it, and have others look."""
    with work_folder() as folder, embedded_system(folder, work=NO_OPS) as system:
        say(f"storing {size.images} images")
        DecidedPlate(size.images, load_pipelines()["focus-tier"], folder / "tiers").store(system.database_url)
        page = f"{system.server.url}/stream/{STREAM}"
        with sync_playwright() as playwright:
            browser = launch(playwright)
            paints_ms = first_paints_ms(browser, page, size.loads)
            say(f"painted after {', '.join(f'{paint:.0f}' for paint in paints_ms)} ms")
            delays_ms = drags_ms(browser, page, size.moves)
            say(f"counts followed after {statistics.median(delays_ms):.0f} ms, {max(delays_ms):.0f} at most")
            browser.close()
        idle = idle_share(system, for_s=size.idle_s, settle_s=size.settle_s)
        alone_ms, watched_ms = answering_ms(system, page, size)
    return {
        "first_paint_ms": statistics.median(paints_ms),
        "drag_ms": statistics.median(delays_ms),
        "latency_ratio_50_pages": watched_ms / alone_ms,
        "idle_cpu": idle,
        "latency_ms": alone_ms,
        "latency_50_pages_ms": watched_ms,
    }


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few images and readers: a smoke run")
    print_figures("page", measure(QUICK if parser.parse_args().quick else FULL))


if __name__ == "__main__":
    main()
