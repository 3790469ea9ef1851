"""A task that takes longer than RabbitMQ waits for its acknowledgement runs once, and counts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.chaos.load import Load
from tests.chaos.sites import Distributed
from tests.chaos.verdict import Verdict, judge_jobs, judge_queues, wait_until_ended
from tests.e2e.server_process import PROC

pytestmark = [
    pytest.mark.slow,
    pytest.mark.private_services,
    pytest.mark.skipif(not PROC.is_dir(), reason="looks into /proc to see all processes"),
]

_CONSUMER_TIMEOUT_S = 4
_TASK_S = 20.0


@pytest.mark.parametrize("workers", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_a_task_that_rabbitmq_gives_up_goes_on_and_counts(tmp_path: Path, workers: int) -> None:
    settings = {"consumer_timeout": 1000 * _CONSUMER_TIMEOUT_S, "channel_tick_interval": 1000}
    with Distributed(tmp_path, workers=workers, rabbitmq_settings=settings) as site:
        load = Load(tmp_path / "load", seed=1)
        numbers = load.submit_now(site.urls[0], 2, name="long-", kind="alone", seconds=_TASK_S)
        numbers += load.submit_now(site.urls[0], 20, name="short-", kind="in a row", seconds=0.1)
        wait_until_ended(site.database_url, numbers, timeout_s=90)
        verdict = Verdict()
        judge_jobs(site.database_url, load, verdict)
        logs = "".join(program.log.read_text() for name, program in site.programs.items() if "worker" in name)
        site.stop_programs()
        judge_queues(site.rabbitmq.url, verdict)
    assert str(verdict) == "nothing is wrong"
    assert site.faults == []
    assert re.search("delivery acknowledgement on channel .* timed out", logs), "RabbitMQ never gave it up"
    long_runs = [(run.source_id, run.attempt) for run in load.runs() if run.source_id.startswith("long-")]
    assert sorted(long_runs) == [("long-000000", 1), ("long-000001", 1)]
