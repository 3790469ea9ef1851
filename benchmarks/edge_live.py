"""The agent in real time: a simulated electron microscope, the agent, a slow link, and the lab's server.

Images arrive at 20 Hz in a folder that ``haste-agent`` watches, and go over a link of 1.9 MB/s. A share is
the part of the time between no preprocessing and the bound that is won; both are computed, for a link that
is never idle and carries nothing but images. ``share`` is that with flood fill in PNG on one core, ``busy``
the part of the time from the first image's arrival to the last byte in which the link was sending.
``share_lossless`` is that with the best lossless codec, of the same bound. Savings and CPU times for the
bound are measured before, one image after the other.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from benchmarks.edge_images import planned, write_images
from benchmarks.edge_simulation import bound_s
from benchmarks.edge_traces import FREQUENCY_HZ, Image, Trace
from benchmarks.system import NO_OP, NO_OPS, print_figures, say, work_folder
from benchmarks.throttle import Link, throttled
from haste_core.operators import Floodfill
from haste_workers.imaging.encode import write_smaller
from tests.e2e.agent_process import Agent, events
from tests.e2e.server_process import running_server
from tests.waiting import wait_for

BYTES_PER_S = 1.9e6
COUNT, QUICK_COUNT = 300, 16
CORES = 1
SEED = 1
TAG = "lab1"
PIPELINE = "nothing"
FLOODFILL = ("--operator", "floodfill")
LOSSLESS = ("--codec", "jxl")
MOST_HEADERS_BYTES = 2000  # a piece of this size or less holds no pixels


@dataclass(frozen=True)
class Run:
    """What one run of the agent measured.

    Attributes
    ----------
    took_s : float
        From the first image's arrival until the last byte of the last one had passed.
    busy : float
        In [0, 1].
    preprocessed : int
    """

    took_s: float
    busy: float
    preprocessed: int


def live(images: list[Path], folder: Path, options: tuple[str, ...]) -> Run:
    """Let the images arrive while the agent runs, and wait until the lab's server has them."""
    folder.mkdir()
    said = folder / "said.txt"
    with lab(folder) as url, throttled(url, BYTES_PER_S) as link:
        agent = Agent(folder / "acquisition", folder / "agent", link.url)
        agent.folder.mkdir()
        process = agent.start(said, "--json", "--cores", str(CORES), *options)
        try:
            wait_for(lambda: events(said.read_text(), "status"))
            run = measured(images, agent.folder, said, link)
            process.send_signal(signal.SIGTERM)
            process.wait(60)
        finally:
            process.kill()
            process.wait()
    shutil.rmtree(agent.folder)
    return run


@contextmanager
def lab(folder: Path) -> Iterator[str]:
    """Run the lab's server, on another machine in truth: it takes images and does nothing with them."""
    pipelines = folder / "pipelines"
    pipelines.mkdir()
    (pipelines / f"{PIPELINE}.yaml").write_text(
        yaml.safe_dump({"name": PIPELINE, "description": "Only kept", "tasks": NO_OP})
    )
    environment = {
        **NO_OPS.settings,
        "HASTE_WORKERS": "1",
        "HASTE_TOKEN": Agent.token,
        "HASTE_PIPELINES_DIR": str(pipelines),
        "HASTE_AGENT_TAGS": json.dumps({TAG: PIPELINE}),
    }
    with running_server(folder / "lab", environment=environment) as server:
        server.wait_until_ready()
        yield server.url


def measured(images: list[Path], acquisition: Path, said: Path, link: Link) -> Run:
    """Write the images at their times, and look at the link until all are uploaded."""
    before = len(link.passed)
    began = time.monotonic()
    for number, image in enumerate(images):
        time.sleep(max(0.0, began + number / FREQUENCY_HZ - time.monotonic()))
        partial = acquisition / f".{image.name}.part"
        partial.write_bytes(image.read_bytes())
        partial.rename(acquisition / image.name)
    most_s = 60 + 2 * sum(image.stat().st_size for image in images) / BYTES_PER_S
    wait_for(lambda: len(events(said.read_text(), "uploaded")) == len(images), timeout_s=most_s)
    last = max(at for at, size in link.passed[before:] if size > MOST_HEADERS_BYTES)
    uploaded = events(said.read_text(), "uploaded")
    preprocessed = sum(event["sha256"] != event["original_sha256"] for event in uploaded)
    return Run(last - began, link.busy_share(began, last), preprocessed)


def trace_of(images: list[Path], folder: Path) -> Trace:
    """Measure what flood fill saves of each image, and its CPU time."""
    folder.mkdir()
    trace = []
    for number, image in enumerate(images):
        raw_bytes = image.stat().st_size
        began = time.process_time()
        smaller = write_smaller(image, folder, Floodfill())
        cpu_s = time.process_time() - began
        saved = 0 if smaller is None else raw_bytes - smaller.stat().st_size
        trace.append(Image(number / FREQUENCY_HZ, raw_bytes, saved, cpu_s))
    shutil.rmtree(folder)
    return trace


def measure(count: int) -> dict[str, float]:
    """Run the agent with flood fill, and with the best lossless codec."""
    with work_folder() as folder:
        (folder / "images").mkdir()
        say(f"drawing {count} images")
        images = list(write_images(planned(count, SEED), folder / "images", processes=os.cpu_count() or 1))
        trace = trace_of(images, folder / "smaller")
        none_s = sum(image.raw_bytes for image in trace) / BYTES_PER_S
        least_s = bound_s(trace, bytes_per_s=BYTES_PER_S, cores=CORES)
        say(f"without preprocessing {none_s:.1f} s, the bound {least_s:.1f} s")
        figures = {
            "none_s": none_s,
            "bound_s": least_s,
            "saved_by_floodfill": sum(one.saved_bytes for one in trace) / sum(one.raw_bytes for one in trace),
            "cpu_s": sum(one.cpu_s for one in trace) / count,
        }
        for name, options in {"": FLOODFILL, "_lossless": LOSSLESS}.items():
            run = live(images, folder / f"run{name}", options)
            share = (none_s - run.took_s) / (none_s - least_s)
            say(f"{' '.join(options)}: {run.took_s:.1f} s, share {share:.3f}, link busy {run.busy:.3f}")
            figures |= {
                f"took{name}_s": run.took_s,
                f"share{name}": share,
                f"busy{name}": run.busy,
                f"preprocessed{name}": run.preprocessed,
            }
    return figures


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_COUNT} images: a smoke run")
    options = parser.parse_args()
    print_figures("edge_live", measure(QUICK_COUNT if options.quick else COUNT))


if __name__ == "__main__":
    main()
