"""How long one no-op task takes on an idle system, from its submission to its recorded result."""

from __future__ import annotations

import argparse
import statistics
import time

from benchmarks.system import System, distributed_system, no_op_spec, print_figures, say, work_folder

_POLL_S = 0.0005


def latency_s(system: System, number: int) -> float:
    """Submit one job and watch it end; the job's own times tell when its result was recorded."""
    began = time.time()
    answer = system.http.post(
        f"{system.server.url}/HASTE/job/", json=no_op_spec(number, "latency"), timeout=10
    )
    answer.raise_for_status()
    job_url = f"{system.server.url}/HASTE/job/{answer.json()['job_id']}"
    while True:
        job = system.http.get(job_url, timeout=10).json()
        if job["ended_at"] is not None:
            return float(job["ended_at"]) - began
        time.sleep(_POLL_S)


def measure(count: int) -> dict[str, float]:
    """Measure one after another, and say the median and the 99th percentile in milliseconds."""
    with work_folder() as folder, distributed_system(folder) as system:
        for number in range(20):
            latency_s(system, number)
        measured_s = [latency_s(system, 20 + number) for number in range(count)]
    say(f"{count} tasks, the slowest {max(measured_s) * 1e3:.1f} ms")
    return {
        "p50_ms": statistics.median(measured_s) * 1e3,
        "p99_ms": statistics.quantiles(measured_s, n=100)[98] * 1e3,
    }


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="too few tasks to measure: a smoke run")
    print_figures("latency", measure(20 if parser.parse_args().quick else 300))


if __name__ == "__main__":
    main()
