"""How soon work goes on after RabbitMQ, MariaDB or a worker was away, in seconds."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

from tests.chaos.load import Load
from tests.chaos.programs import kill
from tests.chaos.sites import SLOTS, Distributed
from tests.chaos.verdict import wait_until_ended
from tests.services.mariadb import MariaDB
from tests.services.rabbitmq import RabbitMQ
from tests.waiting import wait_for

# All who try again have come to their longest pauses by then: pauses to RabbitMQ double from 0.2 to 5 s.
_OUTAGE_S = 8.0
_JOBS = 90  # enough that tasks are left when it returns
_TOLERANCE_S = 0.05
_END_S = 90.0


def after_outage(site: Distributed, service: RabbitMQ | MariaDB, folder: Path) -> float:
    """Take a service away, and tell how long after its return a task began."""
    load = Load(folder, seed=1, longest_task_s=0.2)
    load.submit_now(site.urls[0], _JOBS, name=f"{folder.name}-")
    wait_for(lambda: len(load.runs()) > 20)
    service.kill()
    time.sleep(_OUTAGE_S)
    service.start()
    returned_at = time.time()
    wait_for(lambda: load.runs()[-1].at > returned_at + _TOLERANCE_S)
    first_at = min(run.at for run in load.runs() if run.at > returned_at + _TOLERANCE_S)
    _end(site, load)
    return first_at - returned_at


def after_death(site: Distributed, folder: Path) -> float:
    """Kill the worker that has most, and tell how long after that the last of its tasks began anew."""
    load = Load(folder, seed=1)
    load.submit_now(site.urls[0], SLOTS, name=f"{folder.name}-", kind="alone", seconds=6.0)
    wait_for(lambda: len(load.runs()) == SLOTS)
    time.sleep(0.5)  # that both workers have told what they have
    # The other one has a free slot for each of these.
    [(busiest, _)] = Counter(run.worker_pid for run in load.runs()).most_common(1)
    held = {run.source_id for run in load.runs() if run.worker_pid == busiest}
    died_at = time.time()
    kill(busiest)
    _end(site, load)
    again = {run.source_id: run.at for run in load.runs() if run.attempt > 1}
    if again.keys() != held:
        raise AssertionError(f"{held} were held, and {set(again)} ran again")
    return max(again.values()) - died_at


def _end(site: Distributed, load: Load) -> None:
    stuck = wait_until_ended(site.database_url, load.accepted, timeout_s=_END_S)
    if stuck:
        raise AssertionError(f"jobs {stuck} did not end")
