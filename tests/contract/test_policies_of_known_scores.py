"""Other policies over scores that are recorded, on every database: previews, and what comes of them."""

from typing import Any

import pytest

from haste_core.objects import tiers_of as foreseen
from haste_core.pipelines import Pipeline
from haste_server.store.sql import SqlStore
from tests.contract.deciding_bench import carry_out, cut_at, decided, settle, tiers_of, with_policy
from tests.contract.test_modes import QUANTILE, all_verified

PLLS = {f"C{number:02}": -3 + number * 0.1 for number in range(20)}
AUDIT = {"audit": {"fraction": 0.5, "tier": "audit"}}


def as_foreseen(store: SqlStore, pipeline: Pipeline) -> dict[str, int]:
    """Tell which tiers a preview says; that it agrees with what comes of it is asserted."""
    said = {
        name: count for name, (count, _) in foreseen(store.preview("s", pipeline).shifts).items() if count
    }
    store.set_policy("s", pipeline)
    settle(store)
    assert tiers_of(store) == said
    assert all_verified(store)
    return said


@pytest.mark.parametrize("more", [{}, AUDIT], ids=["plain", "audited"])
def test_another_policy_takes_the_scores_that_are_recorded(store: SqlStore, more: dict[str, Any]) -> None:
    jobs = decided(store, with_policy(cut_at(0.5), **QUANTILE), PLLS)
    scores = [store.decision_of(job_id).decision.score for job_id in jobs]
    before = tiers_of(store)
    after = as_foreseen(store, with_policy(cut_at(0.5, high="best") | more, **QUANTILE))
    assert after["best"] == before["hot"]
    assert [store.decision_of(job_id).decision.score for job_id in jobs] == scores
    carry_out(store)
    assert store.unmoved("s") == (0, 0)
