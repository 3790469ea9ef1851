"""Work goes on soon after RabbitMQ, MariaDB or a worker was away."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.recovery import after_death, after_outage
from tests.chaos.sites import LEASE_S, Distributed
from tests.e2e.server_process import PROC

pytestmark = pytest.mark.skipif(not PROC.is_dir(), reason="looks into /proc to see all processes")


def test_hand_out_resumes_within_10_s_of_rabbitmqs_return(site: Distributed, tmp_path: Path) -> None:
    assert after_outage(site, site.rabbitmq, tmp_path / "rabbitmq") < 10.0


def test_hand_out_resumes_within_2_s_of_mariadbs_return(site: Distributed, tmp_path: Path) -> None:
    assert after_outage(site, site.mariadb, tmp_path / "mariadb") < 2.0


def test_what_a_dead_worker_held_runs_again_within_one_and_a_half_leases(
    site: Distributed, tmp_path: Path
) -> None:
    assert after_death(site, tmp_path / "worker") < 1.5 * LEASE_S
