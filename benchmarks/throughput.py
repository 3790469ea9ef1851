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

ROUNDS = 3
WARM_UP = 1_000


def tasks_per_s(system: System, count: int, *, stream_id: str) -> float:
    """Measure one round."""
    began = time.perf_counter()
    job_ids = system.submit(count, stream_id=stream_id)
    system.wait_until_done(job_ids[-1])
    return count / (time.perf_counter() - began)


def measure(count: int, rounds: int) -> dict[str, float]:
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
        for number in range(rounds):
            for name, start in shapes.items():
                place = folder / f"{name}{number}"
                place.mkdir()
                with start(place) as system:
                    tasks_per_s(system, WARM_UP, stream_id="warm-up")
                    note(f"{name}_tasks_per_s", tasks_per_s(system, count, stream_id="measured"))
                    if name == "rabbit":
                        for figure, value in submissions.measure(system).items():
                            note(figure, value)
            note("dramatiq_tasks_per_s", dramatiq_peer.tasks_per_s(folder / f"peer{number}", count))
    return {name: statistics.median(values) for name, values in found.items()}


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=10_000, help="tasks in each round")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    print_figures("throughput", measure(options.tasks, options.rounds))


if __name__ == "__main__":
    main()
