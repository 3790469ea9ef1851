"""Two servers on one MariaDB and one RabbitMQ share the work, and either may die in the middle of it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.chaos.load import Load
from tests.chaos.sites import Distributed
from tests.chaos.storm import prove
from tests.chaos.verdict import Verdict, judge_jobs, judge_queues, wait_until_ended
from tests.e2e.server_process import PROC
from tests.waiting import wait_for

pytestmark = pytest.mark.skipif(not PROC.is_dir(), reason="looks into /proc to see all processes")

_HAND_OUT_S = 0.5  # a server hands out at once what it has been given


def _recorded(site: Distributed, name: str) -> int:
    """Count the results that the engine of one server has recorded."""
    lines = site.programs[name].log.read_text().splitlines()
    parsed = (json.loads(line) for line in lines if line.startswith("{"))
    return sum(line.get("action") == "task_state" for line in parsed)


def _die_with_hands_full(site: Distributed, victim: str, survivor: str, load: Load) -> None:
    """Kill a server for good, and lose what it, and nobody else, has just sent to RabbitMQ."""
    survivors_database, victims_broker = (
        site.links[f"{survivor} to MariaDB"],
        site.links[f"{victim} to RabbitMQ"],
    )
    survivors_database.freeze()
    victims_broker.freeze()
    load.submit_now(site.urls[int(victim[-1])], 12, name="last-", kind="alone")
    time.sleep(_HAND_OUT_S)
    site.programs[victim].kill_for_good()
    victims_broker.cut()
    victims_broker.thaw()
    survivors_database.thaw()


@pytest.mark.parametrize(
    ("victim", "jobs"),
    [
        ("server0", 40),
        pytest.param("server0", 150, marks=pytest.mark.slow),
        pytest.param("server1", 150, marks=pytest.mark.slow),
    ],
)
def test_either_finishes_what_both_had_begun(
    distributed: Callable[..., Distributed], tmp_path: Path, victim: str, jobs: int
) -> None:
    survivor = {"server0": "server1", "server1": "server0"}[victim]
    with distributed(tmp_path, servers=2) as site:
        load = Load(tmp_path / "load", seed=1)
        for url in site.urls:
            load.submit_now(url, jobs, name=f"of-{url.rpartition(':')[2]}-")
        wait_for(lambda: min(_recorded(site, name) for name in (victim, survivor)) > jobs // 5)
        _die_with_hands_full(site, victim, survivor, load)
        before = _recorded(site, survivor)
        wait_until_ended(site.database_url, load.accepted, timeout_s=90)
        verdict = Verdict()
        judge_jobs(site.database_url, load, verdict)
        del site.programs[victim]
        assert _recorded(site, survivor) > before
        site.stop_programs()
        judge_queues(site.broker_url, verdict)
    assert str(verdict) == "nothing is wrong"
    assert site.faults == []
    begun = {attempt: {run[:2] for run in load.runs() if run.attempt == attempt} for attempt in (1, 2)}
    assert begun[2] - begun[1], "all that it had handed out arrived: the test shows nothing of leases"


@pytest.mark.slow
@pytest.mark.private_services
@pytest.mark.timeout(1500)
def test_a_storm_over_two_servers(tmp_path: Path) -> None:
    with Distributed(tmp_path, servers=2) as site:
        proof = prove(site, kills=30, seed=3)
    assert str(proof.verdict) == "nothing is wrong", proof.struck
