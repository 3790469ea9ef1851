"""Networks that break, hang and swallow a machine: nothing runs twice for ever, and nothing is leaked."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.load import Load
from tests.chaos.programs import kill
from tests.chaos.sites import LEASE_S, Distributed
from tests.chaos.verdict import Verdict, judge_jobs, usage, wait_until_ended
from tests.e2e.server_process import PROC, wait_for

pytestmark = [
    pytest.mark.slow,
    pytest.mark.private_services,
    pytest.mark.skipif(not PROC.is_dir(), reason="looks into /proc to see all processes"),
]

_CUTS = 40
_RESTING_S = 1.0


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Distributed]:
    with Distributed(tmp_path_factory.mktemp("networks")) as opened:
        yield opened


@pytest.fixture
def load(tmp_path: Path) -> Load:
    return Load(tmp_path, seed=1, longest_task_s=0.1)


def _all_is_well(site: Distributed, load: Load) -> None:
    wait_until_ended(site.database_url, load.accepted, timeout_s=90)
    verdict = Verdict()
    judge_jobs(site.database_url, load, verdict)
    assert str(verdict) == "nothing is wrong"


def test_programs_keep_no_trace_of_connections_that_were_cut(site: Distributed, load: Load) -> None:
    def one_storm(number: int) -> None:
        load.submit_now(site.urls[0], 100, name=f"cut-{number}-", kind="side by side")
        for _ in range(_CUTS // len(site.links)):
            for link in site.links.values():
                link.cut()
                time.sleep(0.2)
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
        assert now.threads <= before[role].threads, role
        assert now.files <= before[role].files + 3, role  # connections in a pool
    _all_is_well(site, load)


def test_a_machine_that_vanishes_without_a_word_holds_up_nothing_for_long(tmp_path: Path) -> None:
    # As by default, the broker notices sooner than the leases end: else it sends to the dead what they held.
    with Distributed(tmp_path, amqp_heartbeat_s=1) as site:
        load = Load(tmp_path / "load", seed=1)
        worker, link = site.programs["worker0"], site.links["worker0 to RabbitMQ"]
        load.submit_now(site.urls[0], 4, name="held-", kind="alone", seconds=4.0)
        wait_for(lambda: len(load.runs()) == 4)
        time.sleep(0.5)  # that both workers have told what they have
        held = {run.source_id for run in load.runs() if run.worker_pid == worker.pid}
        link.freeze()  # so that nobody is told of the end
        vanished_at = time.time()
        kill(worker.pid)
        load.submit_now(site.urls[0], 60, name="later-", kind="in a row", seconds=0.05)
        _all_is_well(site, load)
        again = {run.source_id: run.at - vanished_at for run in load.runs() if run.source_id in held}
        assert min(again.values()) > 0.5 * LEASE_S, "it did not vanish: the test shows nothing"
        # A second more: the engine looks that often, which is a third of the short lease here.
        assert max(again.values()) < 1.5 * LEASE_S + 1.0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["server0 to MariaDB", "server0 to RabbitMQ", "worker0 to RabbitMQ"])
def test_work_goes_on_after_a_network_that_hung_for_longer_than_all_limits(
    site: Distributed, load: Load, name: str, request: pytest.FixtureRequest
) -> None:
    load.submit_now(site.urls[0], 300, name=f"{name.replace(' ', '-')}-")
    wait_for(lambda: len(load.runs()) > 20)
    site.links[name].freeze()
    time.sleep(80.0)  # the read time-out of the database is 60 s, two missed AMQP heartbeats 40 s
    site.links[name].thaw()
    _all_is_well(site, load)
