"""What monitoring asks, on every database."""

from haste_core.decisions import Decision
from haste_core.monitoring import TierTotal
from haste_server.store.sql import SqlStore
from tests.contract.store_bench import NOW, PIPELINE, run, spec, submitted
from tests.contract.test_looking_up import on_sqlite, plans_of

TIERS = {"s": ["hot", "hot", "cold"], "t": ["hot"]}


def test_tiers_are_summed_over_streams(store: SqlStore) -> None:
    assert store.tier_totals() == {}
    for stream_id, tiers in TIERS.items():
        store.create_stream(stream_id, PIPELINE, "observe", now=NOW)
        tasks = {"taskSequential": ["focus-score", "tier"]}
        submitted(store, *(spec(tasks, source_id=f"A{n}", stream_id=stream_id) for n in range(len(tiers))))
        run(store, "focus-score")
        waiting = store.undecided(limit=10, now=NOW)
        decided = [
            (item, Decision(0.5, tier, "why", "f" * 64, {"size_bytes": 10**10}))
            for item, tier in zip(waiting, tiers, strict=True)
        ]
        store.record_decisions(decided, now=NOW)

    totals = store.tier_totals()

    assert totals == {"hot": TierTotal(3, 3 * 10**10), "cold": TierTotal(1, 10**10)}


@on_sqlite
def test_tiers_are_summed_in_an_index(store: SqlStore) -> None:
    plans = plans_of(store, store.tier_totals)
    assert "USING COVERING INDEX ix_objects_tier" in plans
    assert "TEMP B-TREE" not in plans
