"""Our scheduler of the edge on courses of many kinds: against the oracle, and against the order of arrival.

With a trace, also the median of its share over the oracle's, of the trace, its reverse and five rolls.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence
from pathlib import Path

from benchmarks.edge_shares import CASES, Case, Measured
from benchmarks.edge_traces import COURSES, Trace, made_up_trace, read_trace, reordered
from benchmarks.system import print_figures, say

SEEDS = 5
ROLLS = 5


def series(trace: Trace) -> list[Trace]:
    """Return a trace, its reverse, and it rolled by a sixth, two sixths … of its images."""
    rolled = [reordered(trace, roll=number * len(trace) // (ROLLS + 1)) for number in range(1, ROLLS + 1)]
    return [trace, reordered(trace, reverse=True), *rolled]


def of_the_oracle(traces: Sequence[Trace], case: Case) -> float:
    """Return the median of our share over the oracle's."""
    ratios = []
    for trace in traces:
        measured = Measured(trace, case)
        ratios.append(measured.share(measured.ours()) / measured.share(measured.oracle()))
    return statistics.median(ratios)


def points_over_order(course: str, case: Case, seeds: int) -> list[float]:
    """Return how much more of the time ours wins than the order of arrival does, in per cent."""
    points = []
    for seed in range(seeds):
        measured = Measured(made_up_trace(course, seed), case)
        gained = measured.gain(measured.ours()) - measured.gain(measured.in_arrival_order())
        points.append(100 * gained)
    return points


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trace", type=Path, help="CSV file")
    parser.add_argument("--quick", action="store_true", help="two courses, one case: a smoke run")
    options = parser.parse_args()
    cases, seeds, courses = (
        (CASES[2:3], 1, ["smooth_20", "few_40"]) if options.quick else (CASES, SEEDS, COURSES)
    )
    figures: dict[str, dict[str, float]] = {"mean_points_over_order": {}, "least_points_over_order": {}}
    for course in courses:
        points = [point for case in cases for point in points_over_order(course, case, seeds)]
        figures["mean_points_over_order"][course] = statistics.fmean(points)
        figures["least_points_over_order"][course] = min(points)
        say(f"{course}: {statistics.fmean(points):+.2f} %, at least {min(points):+.2f} %")
    if options.trace:
        traces = series(read_trace(options.trace))
        figures["of_the_oracle"] = {str(case): of_the_oracle(traces, case) for case in cases}
    print_figures("edge_courses", figures)


if __name__ == "__main__":
    main()
