"""Results that come twice, late and in another order count once, while nothing else goes wrong."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.chaos.load import Load
from tests.chaos.rogue import LATEST_S, Rogue
from tests.chaos.sites import Distributed
from tests.chaos.verdict import Verdict, judge_jobs, judge_log, judge_queues, wait_until_ended
from tests.e2e.server_process import PROC

pytestmark = [
    pytest.mark.slow,  # the storm in test_chaos.py has copies of results in disorder, too
    pytest.mark.skipif(not PROC.is_dir(), reason="looks into /proc to see all processes"),
]


def test_copies_of_results_in_disorder_change_nothing(
    distributed: Callable[..., Distributed], tmp_path: Path
) -> None:
    verdict = Verdict()
    with distributed(tmp_path) as site:
        load = Load(tmp_path / "load", seed=1)
        rogue = Rogue(site.broker_url, seed=1)
        rogue.start()
        try:
            load.submit_now(site.urls[0], 100, name="steady-")
            wait_until_ended(site.database_url, load.accepted, timeout_s=60)
            time.sleep(LATEST_S)
        finally:
            rogue.stop()
        judge_jobs(site.database_url, load, verdict)
        site.stop_programs()
        judge_log(site.programs["server0"].log, verdict)
        judge_queues(site.broker_url, verdict)
    assert rogue.copies > 50
    assert str(verdict) == "nothing is wrong"
