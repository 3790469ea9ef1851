"""Other policies over scores that are recorded, on every database: previews, and what comes of them."""

from typing import Any

import pytest

from haste_core.objects import tiers_of as foreseen
from haste_core.pipelines import Pipeline
from haste_server.store.sql import SqlStore
from tests.contract.deciding_bench import carry_out, cut_at, decided, settle, tiers_of, with_policy
from tests.contract.store_bench import NOW
from tests.contract.test_modes import QUANTILE, all_verified, put_elsewhere

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


WIDE = {f"B{number:02}": -2.0 + number * 0.2 for number in range(10)}


@pytest.mark.parametrize("more", [{}, AUDIT], ids=["plain", "audited"])
def test_what_was_put_elsewhere_stays_while_its_policy_gives_it_the_same_tier(
    store: SqlStore, more: dict[str, Any]
) -> None:
    jobs = decided(store, with_policy(cut_at(0.5)), WIDE)
    put_elsewhere(store, jobs)
    audited = as_foreseen(store, with_policy(cut_at(0.501) | more))
    assert (audited["archive"], audited["hot"]) == (6, 1), "one score lies on the border"
    assert store.decisions_about(jobs[9])[-1].origin == "retention"
    carry_out(store)
    # This one crosses the border, and the tier of the others is another one.
    assert as_foreseen(store, with_policy(cut_at(0.8))) == {"archive": 5, "hot": 1, "warm": 4}
    assert as_foreseen(store, with_policy(cut_at(0.8, high="best"))) == {"best": 5, "hot": 1, "warm": 4}


def test_a_policy_that_wants_it_where_it_was_put_ends_that(store: SqlStore) -> None:
    [job_id] = decided(store, with_policy(cut_at(0.5)), {"A01": -1.0})
    store.recall(job_id, "warm", reason="figure 2", made_by="eva", now=NOW)
    assert as_foreseen(store, with_policy(cut_at(0.999))) == {"warm": 1}
    assert as_foreseen(store, with_policy(cut_at(0.5))) == {"hot": 1}


def test_what_was_recalled_counts_where_it_is_once_ranks_decide(store: SqlStore) -> None:
    jobs = decided(store, with_policy(cut_at(0.5)), WIDE)
    store.recall(jobs[9], "warm", reason="figure 2", made_by="eva", now=NOW)
    ranked = {"type": "top-k", "k": 3, "tier": "hot", "rest": "warm", "undefined": "cold"}
    said = {
        name: count for name, (count, _) in foreseen(store.preview("s", with_policy(ranked)).shifts).items()
    }
    store.set_policy("s", with_policy(ranked))
    settle(store)
    while store.revise("s", now=NOW):
        pass
    assert tiers_of(store) == said == {"hot": 3, "warm": 7}
    assert store.decision_of(jobs[9]).decision.tier == "warm"
