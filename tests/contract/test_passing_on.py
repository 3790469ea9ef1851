"""Objects go on from tiers that are full, or in which they were for long enough, on every database."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from haste_core.decisions import Decision
from haste_core.errors import NotFoundError
from haste_core.objects import ObjectFilter
from haste_core.tier_limits import TierLimits
from haste_server.engine.keeper import Keeper
from haste_server.store.sql import SqlStore
from tests.contract.store_bench import NOW, claim, spec, submitted
from tests.contract.test_redeciding import THIRDS, _response, carry_out, decided_stream

DAY_S = 86_400.0
SCORES = {"A01": 0.75, "A02": 0.25, "A03": 0.5, "A04": 0.125}  # 103 bytes each


def tiers_of(store: SqlStore) -> dict[str, tuple[int, int]]:
    return {name: (tier.count, tier.size_bytes) for name, tier in store.progress("s").tiers.items()}


def pass_on(store: SqlStore, limits: TierLimits, *, now: float = NOW, limit: int = 100) -> int:
    return store.pass_on("hot", limits, now=now, limit=limit)


def names_in(store: SqlStore, tier: str) -> set[str]:
    page = store.objects("s", ObjectFilter(tier=tier), order="job", cursor=None, limit=100)
    return {item.decision.source_id for item in page.items}


def test_the_lowest_scores_go_on_until_the_quota_is_kept(store: SqlStore) -> None:
    jobs = decided_stream(store, SCORES)
    limits = TierLimits("cold", quota_bytes=250)
    assert pass_on(store, limits) == 2
    assert pass_on(store, limits) == 0
    assert names_in(store, "cold") == {"A02", "A04"}
    assert len(store.start_moves(limit=10, now=NOW)) == 2
    moved = carry_out(store)
    assert {message.place.url for message in moved} == {"file:///hot/A02", "file:///hot/A04"}
    [_, last] = store.decisions_about(jobs["A02"])
    assert (last.origin, last.made_by, last.score, last.tier) == ("quota", None, 0.25, "cold")
    assert "more than its quota of 250 bytes" in last.reason


def test_what_a_full_tier_passes_on_does_not_wait_like_what_a_period_does(store: SqlStore) -> None:
    decided_stream(store, {"A01": 0.25, "A02": 0.25, "B01": 0.25})
    assert pass_on(store, TierLimits("cold", quota_bytes=210)) == 1
    assert len(store.start_moves(limit=10, now=NOW)) == 1
    assert pass_on(store, TierLimits("cold", retain_days=1), now=NOW + 2 * DAY_S) == 2
    store.start_moves(limit=10, now=NOW)
    submitted(store, spec("tier", source_id="new", stream_id="s", response=_response("new")))
    [item] = store.undecided(limit=10, now=NOW)
    store.record_decisions([(item, Decision(0.25, "hot", "first", "f" * 64, {}))], now=NOW + 1)
    found = [message.job["source_id"] for message in claim(store, "tier", now=NOW + 2)]
    assert found == ["B01", "new", "A01", "A02"]  # of equal scores the last one goes on


def test_what_is_within_its_quota_stays(store: SqlStore) -> None:
    decided_stream(store, SCORES)
    assert pass_on(store, TierLimits("cold", quota_bytes=412)) == 0


def test_a_pinned_object_never_goes_on(store: SqlStore) -> None:
    jobs = decided_stream(store, SCORES)
    store.pin(jobs["A04"], "hot", reason="control", made_by="eva", now=NOW)
    store.start_moves(limit=10, now=NOW)
    carry_out(store)
    assert pass_on(store, TierLimits("cold", quota_bytes=310)) == 1
    assert names_in(store, "cold") == {"A02"}
    assert pass_on(store, TierLimits("cold", retain_days=1), now=NOW + 2 * DAY_S) == 2
    assert names_in(store, "hot") == {"A04"}


def test_what_was_there_for_long_enough_goes_on_and_what_was_recalled_counts_anew(store: SqlStore) -> None:
    jobs = decided_stream(store, SCORES)
    limits = TierLimits("cold", retain_days=30)
    assert pass_on(store, limits, now=NOW + 29 * DAY_S) == 0
    assert pass_on(store, limits, now=NOW + 31 * DAY_S) == 4
    store.start_moves(limit=10, now=NOW)
    carry_out(store)
    store.recall(jobs["A01"], "hot", reason="again", made_by="eva", now=NOW + 40 * DAY_S)
    store.start_moves(limit=10, now=NOW)
    [message] = carry_out(store)
    assert message.decision is not None
    assert (message.decision.tier, message.place.url) == ("hot", "file:///cold/A01")
    assert pass_on(store, limits, now=NOW + 69 * DAY_S) == 0
    assert pass_on(store, limits, now=NOW + 71 * DAY_S) == 1
    origins = [record.origin for record in store.decisions_about(jobs["A01"])]
    assert origins == ["policy", "retention", "recall", "retention"]


def do_meanwhile(monkeypatch: pytest.MonkeyPatch, store: SqlStore, action: Callable[[], object]) -> None:
    """Do something between what the server looks at and what it decides by that."""
    redecide = store.redecide

    def later(_: SqlStore, *given: Any, **named: Any) -> int:
        monkeypatch.undo()
        action()
        return redecide(*given, **named)

    monkeypatch.setattr(SqlStore, "redecide", later)


def test_what_was_decided_otherwise_meanwhile_gets_no_decision(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = decided_stream(store, {"A01": 0.25})
    to_warm = partial(store.recall, jobs["A01"], "warm", reason="again", made_by="eva", now=NOW)
    do_meanwhile(monkeypatch, store, to_warm)
    assert pass_on(store, TierLimits("cold", quota_bytes=1)) == 0
    assert [record.origin for record in store.decisions_about(jobs["A01"])] == ["policy", "recall"]


def test_a_policy_that_was_changed_meanwhile_is_asked(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    decided_stream(store, {"A01": 0.25})
    do_meanwhile(monkeypatch, store, partial(store.set_policy, "s", THIRDS))
    assert pass_on(store, TierLimits("cold", quota_bytes=1)) == 0
    assert [item.source_id for item in store.to_redecide(limit=10)] == ["A01"]


def test_an_observing_stream_is_left_alone(store: SqlStore) -> None:
    decided_stream(store, SCORES, mode="observe")
    assert pass_on(store, TierLimits("cold", quota_bytes=1, retain_days=1), now=NOW + 9 * DAY_S) == 0


def test_a_pinned_object_is_not_recalled(store: SqlStore) -> None:
    jobs = decided_stream(store, SCORES)
    store.pin(jobs["A01"], "cold", reason="control", made_by=None, now=NOW)
    with pytest.raises(NotFoundError, match="pinned"):
        store.recall(jobs["A01"], "hot", reason="again", made_by=None, now=NOW)


def test_the_keeper_goes_on_until_all_is_done(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    decided_stream(store, SCORES)
    monkeypatch.setattr("haste_server.engine.keeper.BATCH", 1)
    monkeypatch.setattr("haste_server.engine.keeper.LOOK_EVERY_S", 0.0)
    limits = {"hot": TierLimits("cold", quota_bytes=150)}
    Keeper(store=store, limits=limits, clock=lambda: NOW).step()
    assert tiers_of(store) == {"hot": (1, 103), "cold": (3, 309)}
    assert names_in(store, "hot") == {"A01"}
