"""The simulated computer, against times by hand and the table that was measured for the paper's trace."""

import statistics
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import linprog

from benchmarks.edge_schedulers import InArrivalOrder, Oracle, Paper, WithoutPreprocessing
from benchmarks.edge_shares import CASES, Case, Measured, mean_share
from benchmarks.edge_simulation import Scheduler, bound_s, simulate
from benchmarks.edge_traces import Image, Trace, made_up_trace, read_trace, reordered
from haste_core.edge_scheduling import EdgeSchedule

MEASURED = {
    "1.9/1": (189.26, 175.89, 170.95, 170.04, 169.90),
    "1.9/2": (189.26, 166.42, 166.42, 166.16, 166.12),
    "3.55/1": (101.29, 97.31, 95.38, 94.72, 94.58),
    "3.55/2": (101.29, 93.69, 91.29, 90.64, 90.56),
    "6/1": (59.93, 58.53, 57.86, 57.43, 57.33),
    "6/2": (59.93, 57.20, 56.25, 55.59, 55.42),
    "6/3": (59.93, 55.96, 54.84, 54.19, 53.98),
}
"""Seconds without preprocessing, in order of arrival, by the paper, by the oracle, and the bound."""

LEAST = (0.97, 0.99, 0.93, 0.96, 0.85, 0.92, 0.94)
"""Shares that ours is to win in these cases; a little below what it does."""


@pytest.fixture(scope="module")
def recorded(request: pytest.FixtureRequest) -> Trace:
    shared: Path = request.getfixturevalue("shared_dir")
    return read_trace(shared / "data" / "minitem_trace.csv")


def test_a_computer_by_hand() -> None:
    images = [Image(0.0, 1000, 500, 3.0), Image(0.0, 1000, 200, 1.0), Image(0.5, 1000, 900, 1.0)]

    def run(scheduler: Scheduler, cores: int) -> float:
        return simulate(images, bytes_per_s=1000.0, cores=cores, scheduler=scheduler).end_s

    assert run(WithoutPreprocessing(images, 1000.0), 1) == pytest.approx(3.0)
    # 0 is sent until 1 s, then 1, which got smaller, until 1.8 s; 2 is ready at 2 s, and sent until 2.1 s.
    assert run(InArrivalOrder(images, 1000.0), 1) == pytest.approx(2.1)
    # With 2 cores it is there at 1.5 s.
    assert run(InArrivalOrder(images, 1000.0), 2) == pytest.approx(1.9)


def test_the_bound_is_that_of_a_linear_programme() -> None:
    for seed, case in enumerate(CASES):
        trace = made_up_trace("smooth_8", seed)[:60]
        saved = [image.saved_bytes for image in trace]
        cpu_s = [image.cpu_s for image in trace]
        raw = sum(image.raw_bytes for image in trace)
        rate = case.bytes_per_s
        # Least T with (raw - saved x) / rate <= T and cpu x <= cores T, 0 <= x <= 1.
        least = linprog(
            [0.0] * 60 + [1.0],
            A_ub=np.array([[-s / rate for s in saved] + [-1.0], [*cpu_s, -float(case.cores)]]),
            b_ub=[-raw / rate, 0.0],
            bounds=[(0, 1)] * 60 + [(0, None)],
        )
        assert bound_s(trace, bytes_per_s=rate, cores=case.cores) == pytest.approx(least.fun, rel=1e-6)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_reproduces_what_was_measured(recorded: Trace, case: Case) -> None:
    none_s, in_order_s, paper_s, oracle_s, least_s = MEASURED[str(case)]
    measured = Measured(recorded, case)
    assert measured.none_s == pytest.approx(none_s, abs=0.006)
    assert measured.bound_s == pytest.approx(least_s, abs=0.006)
    assert measured.oracle().end_s == pytest.approx(oracle_s, abs=0.04)
    order = InArrivalOrder(recorded, case.bytes_per_s, committed=20 if case.cores == 2 else 1)
    ended = simulate(recorded, bytes_per_s=case.bytes_per_s, cores=case.cores, scheduler=order).end_s
    assert ended == pytest.approx(in_order_s, rel=0.002)
    assert statistics.fmean(measured.paper(seed).end_s for seed in range(2)) == pytest.approx(
        paper_s, rel=0.006
    )


@pytest.mark.parametrize(("case", "least"), list(zip(CASES, LEAST, strict=True)), ids=str)
def test_ours_wins_more_than_the_paper_on_its_own_trace(recorded: Trace, case: Case, least: float) -> None:
    measured = Measured(recorded, case)
    assert measured.share(measured.ours()) > max(least, mean_share(measured, measured.paper, 2))


@pytest.mark.parametrize("course", ["smooth_8", "smooth_20", "steps"])
def test_ours_lies_between_the_paper_and_the_bound(course: str) -> None:
    for seed, case in enumerate((Case(3.55, 1), Case(6.0, 2))):
        measured = Measured(made_up_trace(course, seed), case)
        ours, oracle = measured.share(measured.ours()), measured.share(measured.oracle())
        assert mean_share(measured, measured.paper, 2) < ours < 1
        assert ours > 0.85 * oracle


@pytest.mark.parametrize("course", ["noisy", "flat", "unrelated", "nothing_saved", "few_40", "few_5"])
def test_ours_is_never_worse_than_the_order_of_arrival_by_more_than_noise(course: str) -> None:
    measured = Measured(made_up_trace(course, 0), Case(3.55, 2))
    one_image = 1 / len(measured.trace)
    assert measured.gain(measured.ours()) > measured.gain(measured.in_arrival_order()) - max(0.003, one_image)


def test_all_bytes_are_sent_and_the_link_never_waits_while_there_are_any() -> None:
    trace = made_up_trace("noisy", 3)
    outcome = simulate(trace, bytes_per_s=3.55e6, cores=2, scheduler=EdgeSchedule(2))
    assert outcome.sent_bytes < sum(image.raw_bytes for image in trace)
    assert outcome.end_s == pytest.approx(outcome.sent_bytes / 3.55e6, rel=1e-3)
    idle = simulate(trace, bytes_per_s=100e6, cores=2, scheduler=EdgeSchedule(2))
    assert idle.end_s < trace[-1].arrival_s + 0.01
    assert idle.preprocessed == 0


def test_series_are_reordered_in_place() -> None:
    trace = made_up_trace("flat", 1)
    rolled = reordered(trace, roll=10)
    assert [image.raw_bytes for image in rolled[:10]] == [image.raw_bytes for image in trace[-10:]]
    assert [image.arrival_s for image in rolled] == [image.arrival_s for image in trace]
    assert reordered(reordered(trace, reverse=True), reverse=True) == trace
    assert Oracle(trace, 1e6).committed == 2
    assert Paper(trace, 1e6, seed=1).committed == 20
