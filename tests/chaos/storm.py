"""The proof: a load, a storm of faults drawn from a seed, and a verdict after everything is quiet again."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice

from tests.chaos.load import Load
from tests.chaos.rogue import Rogue
from tests.chaos.sites import Distributed, Site, Strike
from tests.chaos.verdict import (
    Usage,
    Verdict,
    judge_jobs,
    judge_log,
    judge_queues,
    judge_usage,
    usage,
    wait_until_ended,
)

WARM_UP_JOBS = 40
WARM_UP_S = 120.0
SETTLE_S = 120.0  # far more than a lease and the longest pause between attempts


@dataclass
class Storm:
    """Faults in an order and at moments that a seed decides.

    Attributes
    ----------
    victims, disturbances : mapping of str to callable
    pause_s : float
        The longest between two kills.
    struck : list of str
        What was done so far.
    """

    victims: Mapping[str, Strike]
    disturbances: Mapping[str, Strike]
    seed: int
    pause_s: float = 5.0
    tell: Callable[[str], None] = lambda _: None
    struck: list[str] = field(default_factory=list)

    def rage(self, kills: int) -> None:
        """Kill that often, and return when all that was killed by this has been started again."""
        rng = random.Random(self.seed)
        order = list(islice(_shuffled(sorted(self.victims), rng), kills))
        others = _shuffled(sorted(self.disturbances), rng)
        under_way: dict[str, Future[None]] = {}
        with ThreadPoolExecutor() as hands:
            for name in order:
                if self.disturbances and rng.random() < 0.6:
                    other = next(others)
                    self._strike(hands, under_way, other, self.disturbances[other], rng.random())
                time.sleep(rng.uniform(0, self.pause_s))
                self._strike(hands, under_way, name, self.victims[name], rng.random())
            for strike in under_way.values():
                strike.result()

    def _strike(
        self,
        hands: ThreadPoolExecutor,
        under_way: dict[str, Future[None]],
        name: str,
        strike: Strike,
        seed: float,
    ) -> None:
        service = name.partition(" ")[0]  # RabbitMQ is one, with its data or without
        if service in under_way:
            under_way[service].result()
        self.struck.append(name)
        self.tell(name)
        under_way[service] = hands.submit(strike, random.Random(seed))


def _shuffled(names: Sequence[str], rng: random.Random) -> Iterator[str]:
    while names:
        yield from rng.sample(names, len(names))


@dataclass(frozen=True)
class Proof:
    """What a storm was, and what it left.

    Attributes
    ----------
    figures : dict of float
        Kills, what came of them, and the size of it all.
    """

    figures: dict[str, float]
    struck: list[str]
    verdict: Verdict


def prove(
    site: Site, *, kills: int, seed: int, pause_s: float = 5.0, tell: Callable[[str], None] = lambda _: None
) -> Proof:
    """Let a site that has just been opened go through a storm under load, and judge what is left of it."""
    load = Load(site.folder / "load", seed=seed, jobs_per_s=site.jobs_per_s)
    _warm_up(site, load)
    before = usage(site.processes())
    storm = Storm(site.victims(), site.disturbances(), seed, pause_s, tell)
    started = time.monotonic()
    with _meddling(site, seed) as rogue:
        load.start(*site.urls)
        try:
            storm.rage(kills)
        finally:
            load.stop()
    quiet = time.monotonic()
    tell(f"quiet; {len(load.accepted)} jobs")
    wait_until_ended(site.database_url, load.accepted, timeout_s=SETTLE_S)
    settled = time.monotonic()
    verdict = _judge(site, load, before)
    runs = load.runs()
    figures = {
        "kills": float(kills),
        **verdict.counts,
        "jobs": float(len(load.accepted)),
        "runs": float(len(runs)),
        "runs_of_one_attempt": float(len(runs) - len({run[:3] for run in runs})),
        "copied_results": float(rogue.copies if rogue else 0),
        "storm_s": quiet - started,
        "settled_after_s": settled - quiet,
    }
    return Proof(figures, storm.struck, verdict)


def survive(site: Site, *, kills: int, seed: int, pause_s: float) -> None:
    """Assert that a site goes through a storm without a fault."""
    with site:
        proof = prove(site, kills=kills, seed=seed, pause_s=pause_s)
    assert str(proof.verdict) == "nothing is wrong", proof.struck
    assert proof.figures["jobs"] > kills, "the load was too small to show anything"


def _warm_up(site: Site, load: Load) -> None:
    for url in site.urls:
        load.submit_now(url, WARM_UP_JOBS, name=f"warm-{url.rpartition(':')[2]}-")
    stuck = wait_until_ended(site.database_url, load.accepted, timeout_s=WARM_UP_S)
    if stuck:
        raise TimeoutError(f"jobs {stuck} do not end although nothing has happened yet")


def _judge(site: Site, load: Load, before: Mapping[str, Usage]) -> Verdict:
    verdict = Verdict()
    judge_jobs(site.database_url, load, verdict)
    site.wait_until_ready()
    judge_usage(before, usage(site.processes()), verdict)
    site.stop_programs()
    verdict.leaked += site.faults
    for name, program in site.programs.items():
        if name.startswith("server"):
            judge_log(program.log, verdict)
    if isinstance(site, Distributed):
        # Only now: what a living program holds without an acknowledgement does not show.
        judge_queues(site.broker_url, verdict)
    return verdict


@contextmanager
def _meddling(site: Site, seed: int) -> Iterator[Rogue | None]:
    if not isinstance(site, Distributed):
        yield None
        return
    rogue = Rogue(site.broker_url, seed=seed)
    rogue.start()
    try:
        yield rogue
    finally:
        rogue.stop()
