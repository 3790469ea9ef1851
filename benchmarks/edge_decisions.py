"""How long a microscope's computer takes to choose, with many images waiting in its store.

Everything runs as in a server, on a new SQLite file: the selector with its thread beside, claims, results.
Only the workers are missing: each image is preprocessed or sent at once.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.system import print_figures, say
from haste_core.jobspec import parse_job_spec
from haste_core.lifecycle import Rules
from haste_core.messages import Outcome, Place, TaskMessage, TaskResult
from haste_core.pipelines import Pipeline
from haste_core.routing import Route
from haste_core.states import TaskState
from haste_runtime.garbage import collect_seldom
from haste_server.engine.edge_selector import EdgeSelector
from haste_server.store.database import Database
from haste_server.store.edge import EdgeTasks
from haste_server.store.migrate import upgrade
from haste_server.store.sql import SqlStore

SIZE_BYTES = 470_000
CORES, AT_LINK = 1, 1  # so that each choice is of one image, as where slots become free one by one
TREE = {"taskSequential": [{"Task": {"task_key": "preprocess", "optional": True}}, "upload"]}
PIPELINE = {"name": "edge", "description": "Preprocess if there is time, then upload", "tasks": TREE}


def fill(store: SqlStore, count: int) -> None:
    """Submit images, a thousand at a time."""
    for start in range(0, count, 1000):
        specs = [
            parse_job_spec(
                {
                    "source_url": "root://scope/x.tif",
                    "source_id": str(number),
                    "source_version": f"{SIZE_BYTES}-{number}-0123abcd",
                    "index": number,
                    "tasks": TREE,
                }
            )
            for number in range(start, min(start + 1000, count))
        ]
        store.submit(specs, now=time.time())


class Computer:
    """The selector at work; remembers how long each choice took."""

    def __init__(self, store: SqlStore) -> None:
        self.store = store
        self.selector = EdgeSelector(
            EdgeTasks(store.database),
            clock=time.time,
        )
        self.choices_ms: dict[str, list[float]] = {"preprocess": [], "upload": []}
        self.busy_ms: dict[str, list[float]] = {"preprocess": [], "upload": []}
        self.sent = 0

    def hand_out(self, key: str, slots: int) -> list[TaskMessage]:
        """Choose and claim."""
        route, now = Route(key, "default"), time.time()
        began, busy = time.perf_counter(), time.thread_time()
        chosen = self.selector.choose(route, slots, now=now)
        self.choices_ms[key].append((time.perf_counter() - began) * 1e3)
        self.busy_ms[key].append((time.thread_time() - busy) * 1e3)
        return self.store.claim_chosen(route, chosen, now=now, lease_s=30)

    def end(self, messages: Sequence[TaskMessage]) -> None:
        """Record that tasks are done."""
        self.store.record([_result(message) for message in messages], now=time.time())
        self.sent += sum(message.task_key == "upload" for message in messages)


def _result(message: TaskMessage) -> TaskResult:
    saves = message.task_key == "preprocess"
    size_bytes = message.place.size_bytes or SIZE_BYTES
    after = SIZE_BYTES - 50_000 - message.job["index"] % 60 * 1000 if saves else size_bytes
    now = time.time()
    return TaskResult(
        task_id=message.task_id,
        attempt=message.attempt,
        worker_id="benchmark",
        outcome=Outcome.ENDED,
        state=TaskState.DONE,
        response={"bytes_before": SIZE_BYTES, "bytes_after": after} if saves else {},
        place=Place(url="root://work/x", site="default", size_bytes=after),
        started_at=now - (0.4 if saves else 0.2),
        ended_at=now,
    )


def measure(store: SqlStore, rounds: int) -> dict[str, float]:
    """Let the computer work, and tell how long it took to choose."""
    computer = Computer(store)
    collect_seldom()  # as a server does at the end of its start
    computer.hand_out("preprocess", CORES)  # from now on it is asked for
    began = time.perf_counter()
    computer.selector.step()
    load_s = time.perf_counter() - began
    for times in (*computer.choices_ms.values(), *computer.busy_ms.values()):
        times.clear()
    going = threading.Event()
    beside = threading.Thread(target=_step_on, args=(computer.selector, going))
    beside.start()
    try:
        for _ in range(rounds):
            computer.end([*computer.hand_out("preprocess", CORES), *computer.hand_out("upload", AT_LINK)])
    finally:
        going.set()
        computer.selector.stop()
        beside.join()
    figures = {"load_s": load_s, "sent": float(computer.sent)}
    for key, times in computer.choices_ms.items():
        ordered = sorted(times)
        figures[f"{key}_ms"] = statistics.median(times)
        figures[f"{key}_p99_ms"] = ordered[int(len(ordered) * 0.99)]
        figures[f"{key}_most_ms"] = ordered[-1]
        figures[f"{key}_cpu_ms"] = statistics.median(computer.busy_ms[key])
        figures[f"{key}_p99_cpu_ms"] = sorted(computer.busy_ms[key])[int(len(times) * 0.99)]
        figures[f"{key}_most_cpu_ms"] = max(computer.busy_ms[key])
    return figures


def _step_on(selector: EdgeSelector, ended: threading.Event) -> None:
    while not ended.is_set():
        selector.step()


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--waiting", type=int, default=100_000, help="images")
    parser.add_argument("--rounds", type=int, default=1000, help="choices for each key")
    parser.add_argument("--quick", action="store_true", help="a smoke run")
    options = parser.parse_args()
    waiting, rounds = (500, 50) if options.quick else (options.waiting, options.rounds)
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{Path(folder) / 'edge.sqlite3'}")
        upgrade(database)
        store = SqlStore(database, Rules(), Pipeline.parse(PIPELINE))
        say(f"submitting {waiting} images")
        fill(store, waiting)
        say(f"{rounds} choices of what to preprocess, and as many of what to send")
        figures = measure(store, rounds)
        database.close()
    print_figures("edge_decisions", {"waiting": float(waiting), **figures})


if __name__ == "__main__":
    main()
