"""The same in the embedded shape; its quick form is the benchmark's, in tests/e2e/test_benchmarks.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.sites import Embedded
from tests.chaos.storm import survive
from tests.e2e.server_process import PROC

pytestmark = pytest.mark.skipif(not PROC.is_dir(), reason="looks into /proc to see all processes")


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_nothing_is_lost_stuck_or_double_after_200_kills(tmp_path: Path) -> None:
    survive(Embedded(tmp_path), kills=200, seed=2, pause_s=4.0)
