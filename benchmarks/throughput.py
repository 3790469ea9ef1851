"""No-op tasks a second from the first submission to the last recorded result, both shapes, beside Dramatiq.

Everything counts that a task costs: bulk submission over HTTP, hand-out with publisher confirms, the child
process, the result with its confirm, the flushed commits, history and log.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import dramatiq_peer, submissions
from benchmarks.system import (
    System,
    distributed_system,
    embedded_system,
    print_figures,
    say,
    work_folder,
)


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    rounds: int
    warm_up: int
    tasks: int
    posts_each: int
    bulk: int


FULL = Size(rounds=3, warm_up=1_000, tasks=10_000, posts_each=100, bulk=5_000)
QUICK = Size(rounds=1, warm_up=50, tasks=200, posts_each=20, bulk=500)


def tasks_per_s(system: System, count: int, *, stream_id: str) -> float:
    """Measure one round."""
    began = time.perf_counter()
    job_ids = system.submit(count, stream_id=stream_id)
    system.wait_until_done(job_ids[-1])
    return count / (time.perf_counter() - began)


def measure(size: Size) -> dict[str, float]:
    """Measure the product in both shapes and the peer, in turn; the medians of the rounds."""
    found: dict[str, list[float]] = {}

    def note(name: str, value: float) -> None:
        say(f"{name}: {value:.0f}")
        found.setdefault(name, []).append(value)

    with work_folder() as folder:
        shapes: dict[str, Callable[[Path], AbstractContextManager[System]]] = {
            "embedded": embedded_system,
            "rabbit": distributed_system,
        }
        for number in range(size.rounds):
            for name, start in shapes.items():
                place = folder / f"{name}{number}"
                place.mkdir()
                with start(place) as system:
                    tasks_per_s(system, size.warm_up, stream_id="warm-up")
                    note(f"{name}_tasks_per_s", tasks_per_s(system, size.tasks, stream_id="measured"))
                    if name == "rabbit":
                        for figure, value in submissions.measure(
                            system, each=size.posts_each, bulk=size.bulk
                        ).items():
                            note(figure, value)
            note("dramatiq_tasks_per_s", dramatiq_peer.tasks_per_s(folder / f"peer{number}", size.tasks))
    return {name: statistics.median(values) for name, values in found.items()}


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="too few tasks to measure: a smoke run")
    print_figures("throughput", measure(QUICK if parser.parse_args().quick else FULL))


if __name__ == "__main__":
    main()
