"""What a large backlog costs: the rate of hand-outs, the engine's memory, and changing many priorities."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import sqlalchemy as sa

from benchmarks.system import System, distributed_system, print_figures, say, work_folder
from haste_server.store.schema import jobs, tasks

SEED = 1_000
PATCHED = 10_000
URGENT = 4_000  # tasks above the backlog, whose hand-out is measured


def fill(system: System, count: int) -> None:
    """Make so many tasks wait: some are submitted, the others are copies of them made by the database."""
    system.submit(SEED, stream_id="backlog")
    engine = sa.create_engine(system.database_url)
    with engine.begin() as connection:
        for copy in range(1, count // SEED):
            offset = copy * SEED
            connection.execute(
                _copy(jobs, offset, {"source_id": sa.func.concat(jobs.c.source_id, f"-{copy}")})
            )
            connection.execute(_copy(tasks, offset, {"task_id": tasks.c.task_id + offset}))
        connection.exec_driver_sql("ANALYZE TABLE tasks")
    engine.dispose()


def _copy(table: sa.Table, offset: int, changed: dict[str, sa.ColumnElement[object]]) -> sa.Insert:
    changed = {"job_id": table.c.job_id + offset, **changed}
    columns = [changed.get(column.name, column) for column in table.c]
    originals = sa.select(*columns).where(table.c.job_id <= SEED)
    return sa.insert(table).from_select(list(table.c.keys()), originals)


def handouts_per_s(folder: Path, waiting: int) -> tuple[float, float, float]:
    """Measure, above so many waiting tasks: hand-outs a second, memory in MB, seconds for many priorities."""
    folder.mkdir()
    with distributed_system(folder, with_worker=False) as system:
        began = time.perf_counter()
        fill(system, waiting)
        say(f"{waiting} tasks wait after {time.perf_counter() - began:.0f} s")
        patch_s = _patch(system, min(PATCHED, waiting))
        system.submit(URGENT, stream_id="urgent", priority=1000.0)
        with system.worker():
            began = time.perf_counter()
            system.wait_until_stream_is_done("urgent")
            rate = URGENT / (time.perf_counter() - began)
        return rate, max(_rss_mb(pid) for pid in system.server.pids()), patch_s


def _patch(system: System, count: int) -> float:
    priorities = {str(number): float(number % 7) for number in range(1, count + 1)}
    began = time.perf_counter()
    answer = system.http.patch(f"{system.server.url}/HASTE/priority", json=priorities, timeout=120)
    answer.raise_for_status()
    return time.perf_counter() - began


def _rss_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * 4096 / 2**20


def measure(large: int, small: int) -> dict[str, float]:
    """Measure with a small and a large backlog, in turn."""
    with work_folder() as folder:
        few, _, _ = handouts_per_s(folder / "small", small)
        say(f"{few:.0f} hand-outs a second above {small}")
        many, rss_mb, patch_s = handouts_per_s(folder / "large", large)
        say(f"{many:.0f} hand-outs a second above {large}")
    return {"handout_ratio": many / few, "server_rss_mb": rss_mb, "patch_10k_s": patch_s}


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--large", type=int, default=1_000_000)
    parser.add_argument("--small", type=int, default=SEED)
    options = parser.parse_args()
    print_figures("backlog", measure(options.large, options.small))


if __name__ == "__main__":
    main()
