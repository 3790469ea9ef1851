"""What a large backlog costs: the rate of hand-outs, the engine's memory, and changing many priorities."""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from benchmarks.system import System, distributed_system, print_figures, say, work_folder
from haste_server.store.schema import jobs, tasks

SEED = 1_000
PATCHED = 10_000


@dataclass(frozen=True)
class Size:
    """How many tasks wait, and how many above them are handed out while it is measured."""

    few: int
    many: int
    urgent: int


FULL = Size(few=SEED, many=1_000_000, urgent=4_000)
QUICK = Size(few=SEED, many=5_000, urgent=300)

_JOB_ID, _TASK_ID = jobs.c.job_id, tasks.c.task_id


def fill(system: System, count: int) -> list[int]:
    """Make so many jobs wait: some are submitted, the others are copies of them made by the database.

    Returns
    -------
    list of int
        Their numbers.
    """
    seeds = system.submit(SEED, stream_id="backlog")
    engine = sa.create_engine(system.database_url)
    with engine.begin() as connection:
        span = max(connection.scalar(sa.select(sa.func.max(key))) or 0 for key in (_JOB_ID, _TASK_ID))
        offsets = [copy * span for copy in range(count // SEED)]
        for offset in offsets[1:]:
            source_id = sa.func.concat(jobs.c.source_id, f"-{offset}")
            connection.execute(_copy(jobs, span, {"job_id": _JOB_ID + offset, "source_id": source_id}))
            new_ids = {"job_id": tasks.c.job_id + offset, "task_id": _TASK_ID + offset}
            connection.execute(_copy(tasks, span, new_ids))
        connection.exec_driver_sql("ANALYZE TABLE tasks")
    engine.dispose()
    return [number + offset for offset in offsets for number in seeds]


def _copy(table: sa.Table, last: int, changed: dict[str, sa.ColumnElement[object]]) -> sa.Insert:
    columns = [changed.get(column.name, column) for column in table.c]
    originals = sa.select(*columns).where(table.c.job_id <= last)
    return sa.insert(table).from_select(list(table.c.keys()), originals)


def handouts_per_s(folder: Path, waiting: int, urgent: int) -> tuple[float, float, float]:
    """Measure, above so many waiting tasks: hand-outs a second, memory in MB, seconds for many priorities."""
    folder.mkdir()
    with distributed_system(folder, with_worker=False) as system:
        began = time.perf_counter()
        numbers = fill(system, waiting)
        say(f"{waiting} tasks wait after {time.perf_counter() - began:.0f} s")
        patch_s = _patch(system, numbers[:PATCHED])
        system.submit(urgent, stream_id="urgent", priority=1000.0)
        with system.worker():
            system.wait_until_stream_is_done("urgent")
        return urgent / _ran_s(system, "urgent"), max(_rss_mb(pid) for pid in system.server.pids()), patch_s


def _ran_s(system: System, stream_id: str) -> float:
    """Tell how long a stream's tasks ran, from the first to the last: the worker begins before it is seen."""
    engine = sa.create_engine(system.database_url)
    asked = (
        sa.select(sa.func.max(tasks.c.ended_at) - sa.func.min(tasks.c.started_at))
        .join(jobs, jobs.c.job_id == tasks.c.job_id)
        .where(jobs.c.stream_id == stream_id)
    )
    with engine.connect() as connection:
        ran_s = float(connection.scalar(asked) or 0)
    engine.dispose()
    return ran_s


def _patch(system: System, numbers: list[int]) -> float:
    priorities = {str(number): float(number % 7) for number in numbers}
    began = time.perf_counter()
    answer = system.http.patch(f"{system.server.url}/HASTE/priority", json=priorities, timeout=120)
    answer.raise_for_status()
    assert not answer.json()["unknown"]
    return time.perf_counter() - began


def _rss_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * 4096 / 2**20


def measure(size: Size) -> dict[str, float]:
    """Measure with a small and a large backlog, in turn."""
    with work_folder() as folder:
        few, _, _ = handouts_per_s(folder / "small", size.few, size.urgent)
        say(f"{few:.0f} hand-outs a second above {size.few}")
        many, rss_mb, patch_s = handouts_per_s(folder / "large", size.many, size.urgent)
        say(f"{many:.0f} hand-outs a second above {size.many}")
    return {"handout_ratio": many / few, "server_rss_mb": rss_mb, "patch_10k_s": patch_s}


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="too few tasks to measure: a smoke run")
    print_figures("backlog", measure(QUICK if parser.parse_args().quick else FULL))


if __name__ == "__main__":
    main()
