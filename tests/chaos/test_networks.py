"""Networks that break, hang and swallow a machine: nothing runs twice for ever, and nothing is leaked."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.chaos.load import Load
from tests.chaos.programs import kill
from tests.chaos.sites import LEASE_S, Distributed
from tests.chaos.verdict import Verdict, judge_jobs, usage, wait_until_ended
from tests.e2e.server_process import PROC
from tests.waiting import wait_for

pytestmark = pytest.mark.skipif(not PROC.is_dir(), reason="looks into /proc to see all processes")

_RESTING_S = 1.0
# A pool may keep some connections more to MariaDB; of those to RabbitMQ, each program has its one.
_ALLOWED_FILES = {"engine": 3, "web": 3, "web child": 3, "server": 1, "worker": 1, "child": 1}
_ALLOWED_THREADS = Counter({"web child": 2})  # more requests at a time than before
_HITS = {"MariaDB": 4, "RabbitMQ": 2}  # of each link, more than the files that one may leave
_HANGING = ("server0 to MariaDB", "server0 to RabbitMQ", "worker0 to RabbitMQ")


@pytest.fixture(scope="module")
def site(
    distributed: Callable[..., Distributed], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Distributed]:
    """Return a site whose broker notices sooner than leases end that somebody vanished, as by default."""
    with distributed(tmp_path_factory.mktemp("site"), amqp_heartbeat_s=1) as opened:
        yield opened


@pytest.fixture(scope="module")
def patient(
    distributed: Callable[..., Distributed], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Distributed]:
    """Return a site that has the programs' own limits."""
    with distributed(tmp_path_factory.mktemp("patient")) as opened:
        yield opened


@pytest.fixture
def load(tmp_path: Path) -> Load:
    return Load(tmp_path, seed=1, longest_task_s=0.1)


def _all_is_well(site: Distributed, load: Load) -> None:
    wait_until_ended(site.database_url, load.accepted, timeout_s=90)
    verdict = Verdict()
    judge_jobs(site.database_url, load, verdict)
    assert str(verdict) == "nothing is wrong"


@pytest.mark.parametrize("rounds", [1, pytest.param(10, marks=pytest.mark.slow)])
def test_programs_keep_no_trace_of_connections_that_were_cut(
    site: Distributed, load: Load, rounds: int
) -> None:
    def one_storm(number: int) -> None:
        hits = Counter[str]()

        def cut_all() -> bool:
            for name, link in site.links.items():
                hits[name] += link.cut() > 0  # there may be none: programs wait longer and longer
                time.sleep(0.2)
            return all(hits[name] >= _HITS[name.partition(" to ")[2]] for name in site.links)

        load.submit_now(site.urls[0], 10 * rounds, name=f"cut-{rounds}-{number}-", kind="side by side")
        for _ in range(rounds):
            cut_all()
        wait_for(cut_all)
        # All that programs hold while they work is there again before it is counted.
        load.submit_now(site.urls[0], 30, name=f"calm-{rounds}-{number}-", kind="side by side")
        assert wait_until_ended(site.database_url, load.accepted, timeout_s=90) == []
        site.wait_until_ready()
        time.sleep(_RESTING_S)

    one_storm(1)
    pids = set(site.processes())
    before = usage(site.processes())
    one_storm(2)
    assert set(site.processes()) == pids
    after = usage(site.processes())
    for role, now in after.items():
        assert now.threads <= before[role].threads + _ALLOWED_THREADS[role], role
        assert now.files <= before[role].files + _ALLOWED_FILES[role], role
    _all_is_well(site, load)


def test_a_machine_that_vanishes_without_a_word_holds_up_nothing_for_long(
    site: Distributed, load: Load
) -> None:
    worker, link = site.programs["worker0"], site.links["worker0 to RabbitMQ"]
    load.submit_now(site.urls[0], 4, name="held-", kind="alone", seconds=3.0, urgent=True)
    wait_for(lambda: len(load.runs()) == 4)
    time.sleep(0.5)  # that both workers have told what they have
    held = {run.source_id for run in load.runs() if run.worker_pid == worker.pid}
    link.freeze()  # so that nobody is told of the end
    try:
        vanished_at = time.time()
        kill(worker.pid)
        load.submit_now(site.urls[0], 30, name="later-", kind="in a row", seconds=0.05)
        _all_is_well(site, load)
    finally:
        link.thaw()
    again = {run.source_id: run.at - vanished_at for run in load.runs() if run.source_id in held}
    assert min(again.values()) > 0.5 * LEASE_S, "it did not vanish: the test shows nothing"
    # RabbitMQ misses the machine after two to three heartbeats, and may send it the next attempt before that.
    # Whoever then gets it tells so, and a grace later, half a lease at most, there is another one. The engine
    # looks once a second, which is a third of the short lease here.
    assert max(again.values()) < 1.5 * LEASE_S + 1.0


def _hang(site: Distributed, load: Load, names: Sequence[str], *, jobs: int, seconds: float) -> None:
    """Let links hang under load, and see that all goes on afterwards."""
    load.submit_now(site.urls[0], jobs, name=f"{names[0].replace(' ', '-')}-")
    wait_for(lambda: len(load.runs()) > 20)
    for name in names:
        site.links[name].freeze()
    time.sleep(seconds)
    for name in names:
        site.links[name].thaw()
    _all_is_well(site, load)


def test_work_goes_on_after_networks_that_hung_for_longer_than_leases_and_heartbeats(
    site: Distributed, load: Load
) -> None:
    site.wait_until_ready()
    _hang(site, load, _HANGING, jobs=60, seconds=1.5 * LEASE_S)


@pytest.mark.slow
@pytest.mark.parametrize("name", _HANGING)
def test_work_goes_on_after_a_network_that_hung_for_longer_than_all_limits(
    patient: Distributed, load: Load, name: str
) -> None:
    # The read time-out of the database is 60 s, two missed AMQP heartbeats 40 s.
    _hang(patient, load, [name], jobs=300, seconds=80.0)
