"""A task that takes longer than RabbitMQ waits for its acknowledgement runs once, and counts."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.chaos.load import Load
from tests.chaos.sites import Distributed
from tests.chaos.verdict import Verdict, judge_jobs, judge_queues, wait_until_ended
from tests.e2e.server_process import PROC
from tests.services.rabbitmq import RabbitMQ

pytestmark = [
    pytest.mark.private_services,
    pytest.mark.skipif(not PROC.is_dir(), reason="looks into /proc to see all processes"),
]


@pytest.mark.parametrize(
    ("workers", "consumer_timeout_s", "task_s"),
    [
        (2, 2, 7.0),
        pytest.param(1, 4, 20.0, marks=pytest.mark.slow),
        pytest.param(2, 4, 20.0, marks=pytest.mark.slow),
    ],
)
def test_a_task_that_rabbitmq_gives_up_goes_on_and_counts(
    distributed: Callable[..., Distributed],
    tmp_path: Path,
    workers: int,
    consumer_timeout_s: int,
    task_s: float,
) -> None:
    settings = {"consumer_timeout": 1000 * consumer_timeout_s, "channel_tick_interval": 1000}
    with (
        RabbitMQ(tmp_path / "rabbitmq", settings=settings) as rabbitmq,
        distributed(tmp_path, workers=workers, rabbitmq=rabbitmq) as site,
    ):
        load = Load(tmp_path / "load", seed=1)
        numbers = load.submit_now(site.urls[0], 2, name="long-", kind="alone", seconds=task_s)
        numbers += load.submit_now(site.urls[0], 20, name="short-", kind="in a row", seconds=0.1)
        wait_until_ended(site.database_url, numbers, timeout_s=90)
        verdict = Verdict()
        judge_jobs(site.database_url, load, verdict)
        logs = "".join(program.log.read_text() for name, program in site.programs.items() if "worker" in name)
        site.stop_programs()
        judge_queues(site.broker_url, verdict)
    assert str(verdict) == "nothing is wrong"
    assert site.faults == []
    assert re.search("delivery acknowledgement on channel .* timed out", logs), "RabbitMQ never gave it up"
    long_runs = [(run.source_id, run.attempt) for run in load.runs() if run.source_id.startswith("long-")]
    assert sorted(long_runs) == [("long-000000", 1), ("long-000001", 1)]
