"""Schedulers of the edge on a trace, on a simulated clock: none, the paper's, an oracle, and ours.

A share is the part of the time between no preprocessing and the bound that a scheduler wins.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.edge_schedulers import PAPER_COMMITTED, PAPER_SEARCHES
from benchmarks.edge_shares import CASES, Case, Measured, mean_share
from benchmarks.edge_traces import Trace, made_up_trace, read_trace, reordered
from benchmarks.system import print_figures, say
from haste_core.edge_scheduling import FEWEST_COMMITTED, EdgeSchedule

PAPER_SEEDS = 12
WAITING = 100_000
LEARNT = 2_000


def compare(trace: Trace, cases: tuple[Case, ...], seeds: int) -> dict[str, dict[str, float]]:
    """Run all schedulers in all cases."""
    figures: dict[str, dict[str, float]] = {"share": {}, "share_paper": {}, "share_oracle": {}}
    say("MB/s/cores     none  in order     paper    oracle      ours     bound (s)")
    for case in cases:
        measured = Measured(trace, case)
        oracle, ours = measured.oracle(), measured.ours()
        paper_share = mean_share(measured, measured.paper, seeds)
        paper_s = measured.none_s - paper_share * (measured.none_s - measured.bound_s)
        order_s = measured.in_arrival_order().end_s
        times = (measured.none_s, order_s, paper_s, oracle.end_s, ours.end_s, measured.bound_s)
        say(f"{case!s:9}" + "".join(f"{seconds:10.2f}" for seconds in times))
        figures["share"][str(case)] = measured.share(ours)
        figures["share_paper"][str(case)] = paper_share
        figures["share_oracle"][str(case)] = measured.share(oracle)
    return figures


def _took_ms(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1e3


def decision_times(waiting: int, learnt: int) -> dict[str, float]:
    """Measure decisions with many images waiting, after many were preprocessed; the medians."""
    schedule = EdgeSchedule(cores=2)
    for index in range(waiting + learnt):
        schedule.arrived(index, 470_000, now=0.0)
    learn_ms, preprocess_ms, upload_ms = [], [], []
    for number in range(learnt):
        index = (number * 7919) % (waiting + learnt)
        schedule.preprocessing_started(index)
        saved = 50_000 + (index % 60) * 1000
        learn_ms.append(
            _took_ms(lambda i=index, s=saved: schedule.preprocessing_ended(i, saved_bytes=s, cpu_s=0.4))
        )
        schedule.upload_started(index, now=float(number))
        schedule.upload_ended(index, duration_s=0.2, now=number + 0.2)
        if number >= learnt - 100:
            preprocess_ms.append(_took_ms(lambda: schedule.next_to_preprocess(float(learnt))))
            upload_ms.append(_took_ms(schedule.next_to_upload))
    say(
        f"slowest of {len(upload_ms)}: {max(preprocess_ms):.1f} ms to choose what to preprocess, "
        f"{max(upload_ms):.1f} ms what to send; of {learnt}: {max(learn_ms):.0f} ms to learn a result"
    )
    return {
        "waiting": float(waiting),
        "preprocess_ms": statistics.median(preprocess_ms),
        "upload_ms": statistics.median(upload_ms),
        "learn_ms": statistics.median(learn_ms),
    }


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trace", type=Path, help="CSV file; without it, a trace is made up")
    parser.add_argument("--reverse", action="store_true", help="the last image comes first")
    parser.add_argument("--roll", type=int, default=0, help="the last so many images come first")
    parser.add_argument("--quick", action="store_true", help="two cases, one seed: a smoke run")
    options = parser.parse_args()
    trace = read_trace(options.trace) if options.trace else made_up_trace("smooth_20", 0)
    trace = reordered(trace, reverse=options.reverse, roll=options.roll)
    cases, seeds = (CASES[::4], 1) if options.quick else (CASES, PAPER_SEEDS)
    say(
        f"{len(trace)} images; at the link: paper {PAPER_COMMITTED}, oracle 2, ours from {FEWEST_COMMITTED} "
        f"on. Paper: every {PAPER_SEARCHES}th is a search, {seeds} seeds, never stops; oracle and ours start "
        "nothing that would end after the link runs dry. Ours has no seed."
    )
    figures = compare(trace, cases, seeds)
    times = decision_times(*((5_000, 100) if options.quick else (WAITING, LEARNT)))
    depth = {"paper": PAPER_COMMITTED, "oracle": 2, "ours": FEWEST_COMMITTED}
    print_figures("edge", {**figures, "decision": times, "link_depth": depth, "seeds": seeds})


if __name__ == "__main__":
    main()
