"""How much of the time that preprocessing can win each scheduler wins, case by case."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.edge_schedulers import InArrivalOrder, Oracle, Paper, WithoutPreprocessing
from benchmarks.edge_simulation import Outcome, Scheduler, bound_s, simulate
from benchmarks.edge_traces import Trace
from haste_core.edge_scheduling import EdgeSchedule


@dataclass(frozen=True)
class Case:
    """A computer: its link in MB/s, and how many of its cores preprocess."""

    mb_per_s: float
    cores: int

    def __str__(self) -> str:
        return f"{self.mb_per_s:g}/{self.cores}"

    @property
    def bytes_per_s(self) -> float:
        """Speed of the link."""
        return self.mb_per_s * 1e6


CASES = tuple(
    Case(mb_per_s, cores)
    for mb_per_s, cores in ((1.9, 1), (1.9, 2), (3.55, 1), (3.55, 2), (6.0, 1), (6.0, 2), (6.0, 3))
)


class Measured:
    """A trace in one case, between no preprocessing and the bound."""

    def __init__(self, trace: Trace, case: Case) -> None:
        self.trace, self.case = trace, case
        self.none_s = self._run(WithoutPreprocessing(trace, case.bytes_per_s)).end_s
        self.bound_s = bound_s(trace, bytes_per_s=case.bytes_per_s, cores=case.cores)

    def oracle(self) -> Outcome:
        """Run the oracle."""
        return self._run(Oracle(self.trace, self.case.bytes_per_s))

    def in_arrival_order(self) -> Outcome:
        """Run in order of arrival, with as many at the link as our own has."""
        return self._run(InArrivalOrder(self.trace, self.case.bytes_per_s, committed=2))

    def paper(self, seed: int) -> Outcome:
        """Run the paper's scheduler."""
        return self._run(Paper(self.trace, self.case.bytes_per_s, seed=seed))

    def ours(self) -> Outcome:
        """Run our own."""
        return self._run(EdgeSchedule(self.case.cores))

    def share(self, outcome: Outcome) -> float:
        """Tell what part of the time between no preprocessing and the bound an outcome wins."""
        return (self.none_s - outcome.end_s) / (self.none_s - self.bound_s)

    def gain(self, outcome: Outcome) -> float:
        """Tell what part of the time without preprocessing an outcome wins."""
        return (self.none_s - outcome.end_s) / self.none_s

    def _run(self, scheduler: Scheduler) -> Outcome:
        return simulate(
            self.trace, bytes_per_s=self.case.bytes_per_s, cores=self.case.cores, scheduler=scheduler
        )


def mean_share(measured: Measured, run: Callable[[int], Outcome], seeds: int) -> float:
    """Average the shares of runs that differ in their seeds only."""
    return statistics.fmean(measured.share(run(seed)) for seed in range(seeds))
