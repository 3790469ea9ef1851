"""Whatever is killed, whenever: every accepted job ends as it should, with each result and effect once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.sites import Distributed
from tests.chaos.storm import survive
from tests.e2e.server_process import PROC
from tests.services.rabbitmq import RabbitMQ

pytestmark = [
    pytest.mark.private_services,
    pytest.mark.skipif(not PROC.is_dir(), reason="looks into /proc to see all processes"),
]


def test_nothing_is_lost_stuck_or_double_after_kills(tmp_path: Path, rabbitmq_server: RabbitMQ) -> None:
    # This seed kills a worker, the engine, the web process, RabbitMQ, MariaDB, and then the whole server.
    # It takes nobody's data, so that RabbitMQ, which takes longest to start, can be that of the test run.
    survive(Distributed(tmp_path, rabbitmq=rabbitmq_server), kills=6, seed=15, pause_s=1.5)


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_nor_after_200(tmp_path: Path) -> None:
    survive(Distributed(tmp_path), kills=200, seed=2, pause_s=4.0)
