"""The same in the embedded shape."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.sites import Embedded
from tests.chaos.storm import survive
from tests.e2e.server_process import PROC

pytestmark = pytest.mark.skipif(not PROC.is_dir(), reason="looks into /proc to see all processes")


def test_nothing_is_lost_stuck_or_double_after_each_was_killed(tmp_path: Path) -> None:
    survive(Embedded(tmp_path), kills=4, seed=1, pause_s=1.5)


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_nothing_is_lost_stuck_or_double_after_200_kills(tmp_path: Path) -> None:
    survive(Embedded(tmp_path), kills=200, seed=2, pause_s=4.0)
