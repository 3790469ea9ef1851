"""Whatever is killed, whenever: every accepted job ends as it should, with each result and effect once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.chaos.sites import Distributed, Embedded, Site
from tests.chaos.storm import prove
from tests.e2e.server_process import PROC

pytestmark = [
    pytest.mark.private_services,
    pytest.mark.skipif(not PROC.is_dir(), reason="looks into /proc to see all processes"),
]


def _nothing_is_wrong(site: Site, *, kills: int, seed: int, pause_s: float) -> None:
    with site:
        proof = prove(site, kills=kills, seed=seed, pause_s=pause_s)
    assert str(proof.verdict) == "nothing is wrong", proof.struck
    assert proof.figures["jobs"] > kills, "the load was too small to show anything"


def test_nothing_is_lost_stuck_or_double_after_20_kills(tmp_path: Path) -> None:
    _nothing_is_wrong(Distributed(tmp_path), kills=20, seed=1, pause_s=3.0)


def test_nor_in_the_embedded_shape(tmp_path: Path) -> None:
    _nothing_is_wrong(Embedded(tmp_path), kills=6, seed=1, pause_s=3.0)


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("shape", [Distributed, Embedded])
def test_nor_after_200(shape: Callable[[Path], Site], tmp_path: Path) -> None:
    _nothing_is_wrong(shape(tmp_path), kills=200, seed=2, pause_s=4.0)
