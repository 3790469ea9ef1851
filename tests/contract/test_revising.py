"""How the objects of streams with rankings change places, on every database."""

import random
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from haste_core.decisions import Decision
from haste_core.objects import ObjectFilter
from haste_core.pipelines import Pipeline
from haste_core.ranking import Ranked, Shelf, revise
from haste_core.states import Phase
from haste_server.engine.evaluation import StreamsSoFar, evaluate
from haste_server.engine.reviser import Reviser
from haste_server.store import revising
from haste_server.store.sql import SqlStore
from tests.contract.store_bench import NOW, PIPELINE, spec, submitted
from tests.contract.test_passing_on import do_meanwhile

TOP = {"type": "top-k", "tier": "hot", "rest": "cold", "undefined": "none", "k": 5}
BUDGET = {
    "type": "budget",
    "budgets": [{"tier": "hot", "bytes": 1000}, {"tier": "warm", "bytes": 2500}],
    "rest": "cold",
    "undefined": "none",
}


@pytest.fixture(autouse=True)
def _narrow_borders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revising, "BORDER", 3)


def with_policy(policy: dict[str, Any]) -> Pipeline:
    by_field = {"function": "precomputed", "features_from": "focus-score", "parameters": {"field": "score"}}
    return Pipeline.parse({**PIPELINE.to_json(), "interestingness": by_field, "policy": policy})


def add(store: SqlStore, *objects: tuple[float | None, int], stream_id: str = "s") -> list[int]:
    """Have objects of some scores and sizes decided about, as the engine does."""
    first = store.progress(stream_id).open
    specs = [
        spec(
            "tier",
            source_id=f"{first + number:04}",
            stream_id=stream_id,
            metadata={} if score is None else {"score": score},
            response={
                "focus-score": {"size_bytes": size, **({"undefined": "empty"} if score is None else {})}
            },
        )
        for number, (score, size) in enumerate(objects)
    ]
    ids = submitted(store, *specs)
    answered = [
        (item, evaluate(item, StreamsSoFar(lambda _: []))) for item in store.undecided(limit=100, now=NOW)
    ]
    assert all(isinstance(answer, Decision) for _, answer in answered), answered
    store.record_decisions(answered, now=NOW)
    return ids


def settle(store: SqlStore) -> int:
    moved = 0
    for _ in range(50):
        changed = store.revise("s", now=NOW)
        moved += changed
        if not changed:
            return moved
    raise AssertionError("it goes round in circles")


def tiers(store: SqlStore) -> dict[int, str]:
    return {job_id: item.tier for job_id, item in present(store).items()}


def present(store: SqlStore) -> dict[int, Any]:
    pages = store.objects("s", ObjectFilter(), order="job_id", cursor=None, limit=1000)
    return {item.job.job_id: item.decision for item in pages.items}


def counts(store: SqlStore) -> dict[str, int]:
    return {name: tier.count for name, tier in store.progress("s").tiers.items()}


def test_the_best_so_far_are_kept_and_others_leave(store: SqlStore) -> None:
    store.create_stream("s", with_policy(TOP), "observe", now=NOW)
    first = add(store, *((0.1 * number, 1) for number in range(5)), (None, 1))
    assert counts(store) == {"hot": 5, "none": 1}
    assert settle(store) == 0

    better, late, worst = add(store, (0.95, 1), (0.1, 1), (0.0, 1))
    assert counts(store) == {"hot": 7, "cold": 1, "none": 1}  # room is made when it is revised
    assert settle(store) == 2
    after = tiers(store)
    assert {job_id for job_id, tier in after.items() if tier == "hot"} == {*first[1:5], better}
    assert {after[late], after[worst], after[first[0]]} == {"cold"}
    assert settle(store) == 0

    [decision] = [one for job_id, one in present(store).items() if job_id == first[0]]
    assert decision.origin == "revision"
    assert decision.reason == "its score is 0.0000, which is not among the best 5 so far, so it goes to cold"


@pytest.mark.parametrize("policy", [TOP, BUDGET, TOP | {"k": None, "percent": 20}], ids=["k", "bytes", "%"])
def test_what_is_about_the_borders_suffices(store: SqlStore, policy: dict[str, Any]) -> None:
    store.create_stream("s", with_policy(policy), "observe", now=NOW)
    chance = random.Random(5)
    known: dict[int, tuple[float, int]] = {}
    for _ in range(5):
        objects = [
            (chance.choice([0.2, 0.4, 0.6, 0.8, chance.random()]), chance.choice([100, 300, 2000]))
            for _ in range(9)
        ]
        known |= zip(add(store, *objects), objects, strict=True)  # type: ignore[arg-type]
        settle(store)
        parsed = with_policy(policy).policy
        assert parsed is not None
        weights = {job_id: parsed.weight(size) for job_id, (_, size) in known.items()}  # type: ignore[union-attr]
        ranked = [Ranked(job_id, score, weights[job_id], "") for job_id, (score, _) in known.items()]
        sizes = {
            "k": [("hot", 5)],
            "bytes": [("hot", 1000), ("warm", 2500)],
            "%": [("hot", -(-len(known) // 5))],
        }["bytes" if policy is BUDGET else "k" if policy is TOP else "%"]
        assert tiers(store) == revise([Shelf(tier, size, size) for tier, size in sizes], "cold", ranked)


def test_pinned_and_recalled_objects_stay_and_take_room(store: SqlStore) -> None:
    store.create_stream("s", with_policy(TOP | {"k": 2}), "observe", now=NOW)
    ids = add(store, (0.9, 1), (0.8, 1), (0.1, 1), (0.2, 1))
    for job_id, origin in ((ids[2], "pin"), (ids[3], "recall")):
        store.redecide_one(
            job_id,
            _to_hot,
            origin=origin,
            made_by="eva",
            now=NOW,  # type: ignore[arg-type]
            pinned=True if origin == "pin" else None,
        )
    assert settle(store) == 2
    assert tiers(store) == {ids[0]: "cold", ids[1]: "cold", ids[2]: "hot", ids[3]: "hot"}


def test_an_object_that_is_decided_about_anew_stays_until_it_is_revised(store: SqlStore) -> None:
    store.create_stream("s", with_policy(TOP | {"k": 2}), "observe", now=NOW)
    ids = add(store, (0.9, 1), (0.8, 1), (0.1, 1))
    settle(store)
    for job_id in ids:
        store.force_retry_task(store.job(job_id).tasks[0].task_id, now=NOW)
    waiting = store.undecided(limit=10, now=NOW)
    answered = [(item, evaluate(item, StreamsSoFar(lambda _: []))) for item in waiting]
    store.record_decisions(answered, now=NOW)
    assert tiers(store) == {ids[0]: "hot", ids[1]: "hot", ids[2]: "cold"}
    assert [decision.seen for decision in present(store).values()] == [waiting[0].seen] * 3


def test_a_new_ranking_moves_only_about_its_borders(store: SqlStore) -> None:
    store.create_stream("s", with_policy(TOP), "observe", now=NOW)
    ids = add(store, *((number / 20, 1) for number in range(20)))
    settle(store)
    before = len(store.decided("s", after=0, up_to=2**62, limit=1000))
    store.set_policy("s", with_policy(TOP | {"k": 8}))
    assert store.to_redecide(limit=100) == []
    settle(store)
    assert {job_id for job_id, tier in tiers(store).items() if tier == "hot"} == set(ids[12:])
    assert len(store.decided("s", after=0, up_to=2**62, limit=1000)) == before + 3


def test_what_is_too_large_for_a_tier_hides_nobody(store: SqlStore) -> None:
    store.create_stream("s", with_policy(BUDGET), "observe", now=NOW)
    large = add(store, *[(0.9, 2600)] * 5)
    small = add(store, *[(0.5, 300)] * 4)
    settle(store)
    assert tiers(store) == dict.fromkeys(large, "cold") | dict.fromkeys(small[:3], "hot") | {small[3]: "warm"}


def test_of_many_equals_the_first_stay(store: SqlStore) -> None:
    store.create_stream("s", with_policy(TOP | {"k": 9}), "observe", now=NOW)
    ids = add(store, *[(0.5, 1)] * 12)
    settle(store)
    for k, moved in ((5, 4), (8, 3)):
        store.set_policy("s", with_policy(TOP | {"k": k}))
        assert settle(store) == moved
        assert {job_id for job_id, tier in tiers(store).items() if tier == "hot"} == set(ids[:k])


def test_streams_with_rankings_are_found_with_their_latest_decision(store: SqlStore) -> None:
    store.create_stream("s", with_policy(TOP), "observe", now=NOW)
    store.create_stream("other", PIPELINE, "observe", now=NOW)
    sha256 = with_policy(TOP).sha256
    assert store.ranked_streams() == {"s": (sha256, 0, 0, False)}
    add(store, (0.5, 1))
    [one] = store.decided("s", after=0, up_to=2**62, limit=10)
    assert store.ranked_streams() == {"s": (sha256, one.decision_id, 1, False)}
    store.set_mode("s", "enforce")
    assert store.ranked_streams() == {"s": (sha256, one.decision_id, 1, True)}
    store.set_policy("s", PIPELINE)
    assert store.ranked_streams() == {}
    assert store.revise("s", now=NOW) == 0


def test_a_share_of_what_leaves_is_kept_for_audit(store: SqlStore) -> None:
    audited = TOP | {"k": 1, "audit": {"fraction": 0.5, "seed": 1, "tier": "audited"}}
    policy = with_policy(audited).policy
    assert policy is not None
    store.create_stream("s", with_policy(audited), "observe", now=NOW)
    ids = add(store, *((number / 20, 1) for number in range(20)))
    settle(store)
    chosen = [job_id for number, job_id in enumerate(ids[:-1]) if policy.takes_for_audit("s", f"{number:04}")]
    assert 3 < len(chosen) < 16
    assert counts(store) == {"hot": 1, "audited": len(chosen), "cold": 19 - len(chosen)}
    assert {job_id for job_id, tier in tiers(store).items() if tier == "audited"} == set(chosen)
    reason = present(store)[chosen[0]].reason
    assert reason.endswith("; but it is one of the 50 % of cold that are kept in audited for audit")


def test_an_audit_that_comes_later_takes_its_share_of_what_is_there(store: SqlStore) -> None:
    audited = with_policy(TOP | {"k": 1, "audit": {"fraction": 0.5, "seed": 1, "tier": "audited"}})
    store.create_stream("s", with_policy(TOP | {"k": 1}), "observe", now=NOW)
    add(store, *((number / 20, 1) for number in range(20)))
    settle(store)
    expected = {shift.after: 0 for shift in store.preview("s", audited).shifts}
    for shift in store.preview("s", audited).shifts:
        expected[shift.after] += shift.count
    store.set_policy("s", audited)
    due = [(item, evaluate(item, StreamsSoFar(lambda _: []))) for item in store.to_redecide(limit=100)]
    store.redecided(due, now=NOW)  # type: ignore[arg-type]
    settle(store)
    assert counts(store) == expected
    assert expected["audited"] > 3


def _to_hot(decision: Decision) -> Decision:
    return replace(decision, tier="hot", reason="so it is wanted")


def test_the_engine_revises_a_stream_about_which_something_was_decided(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("haste_server.engine.reviser.LOOK_EVERY_S", 0)
    reviser = Reviser(store=store, clock=lambda: NOW)
    store.create_stream("s", with_policy(TOP), "enforce", now=NOW)
    add(store, *((0.1, 1) for _ in range(5)))
    add(store, *((0.9, 1) for _ in range(20)))
    assert counts(store) == {"hot": 25}

    reviser.step()
    assert counts(store) == {"hot": 5, "cold": 20}
    assert {store.job(job_id).tasks[0].phase for job_id in tiers(store)} == {Phase.READY}

    for _ in range(2):
        reviser.step()
    before = store.decided("s", after=0, up_to=2**62, limit=1000)
    reviser.step()
    assert store.decided("s", after=0, up_to=2**62, limit=1000) == before
    reviser.stop()


def test_what_was_recalled_meanwhile_is_not_revised(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.create_stream("s", with_policy(TOP | {"k": 1}), "enforce", now=NOW)
    first, second = (add(store, (score, 100))[0] for score in (0.25, 0.5))
    assert tiers(store)[second] == "hot"
    recalled = partial(store.recall, first, "warm", reason="again", made_by="eva", now=NOW)
    do_meanwhile(monkeypatch, store, recalled)
    store.revise("s", now=NOW)
    assert tiers(store)[first] == "warm"


def test_the_engine_revises_a_stream_that_is_complete_by_its_next_policy(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("haste_server.engine.reviser.LOOK_EVERY_S", 0)
    reviser = Reviser(store=store, clock=lambda: NOW)
    store.create_stream("s", with_policy(TOP), "observe", now=NOW)
    add(store, *((number / 20, 1) for number in range(20)))
    for _ in range(3):
        reviser.step()
    assert counts(store) == {"hot": 5, "cold": 15}
    store.set_policy("s", with_policy(TOP | {"k": 8}))
    reviser.step()
    assert counts(store) == {"hot": 8, "cold": 12}


def test_who_is_next_takes_the_place_of_a_job_that_is_deleted(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("haste_server.engine.reviser.LOOK_EVERY_S", 0)
    reviser = Reviser(store=store, clock=lambda: NOW)
    store.create_stream("s", with_policy(TOP | {"k": 1}), "observe", now=NOW)
    best, second = add(store, (0.9, 1), (0.8, 1))
    for _ in range(3):
        reviser.step()
    assert tiers(store) == {best: "hot", second: "cold"}
    store.delete(best)
    reviser.step()
    assert tiers(store) == {second: "hot"}
