"""Tiers of rankings that pass objects on, since they are full or for a time's sake, on every database."""

import random
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from haste_core.tier_limits import TierLimits
from haste_server.store import revising
from haste_server.store.sql import SqlStore
from tests.contract.store_bench import NOW
from tests.contract.test_passing_on import DAY_S
from tests.contract.test_ranked_preview import POLICIES, apply, check, nothing_moves, other
from tests.contract.test_revising import BUDGET, TOP, add, settle, tiers, with_policy

SIZE = 100
KEPT, HELD = 8, 4  # what the ranking keeps, and what its tier has room for
TOP_8 = TOP | {"k": KEPT}
BUDGET_8 = BUDGET | {"budgets": [{"tier": "hot", "bytes": KEPT * SIZE}]}
BUDGETS_8 = BUDGET | {"budgets": [{"tier": "hot", "bytes": KEPT * SIZE}, {"tier": "warm", "bytes": 600}]}
QUOTA = TierLimits("warm", quota_bytes=HELD * SIZE)
RISING = [number / 24 for number in range(24)]
MIXED = random.Random(7).sample(RISING, len(RISING))


@pytest.fixture(autouse=True)
def _narrow_borders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revising, "BORDER", 3)


def keep_limits(store: SqlStore, limits: TierLimits, *, now: float = NOW) -> None:
    """Let reviser and keeper look in turn until nothing moves."""
    for _ in range(20):
        store.start_moves(limit=1000, now=now)
        if not (settle(store) + store.pass_on("hot", limits, now=now, limit=100)):
            return
    raise AssertionError("it goes round in circles")


def in_tier(store: SqlStore, tier: str) -> set[int]:
    return {job_id for job_id, where in tiers(store).items() if where == tier}


def ways(store: SqlStore, job_id: int) -> list[str]:
    """List the tiers through which an object went."""
    known = [record.tier for record in store.decisions_about(job_id)]
    return [tier for number, tier in enumerate(known) if number == 0 or tier != known[number - 1]]


def by_rank(scores: dict[int, float]) -> list[int]:
    return sorted(scores, key=lambda job_id: (-scores[job_id], job_id))


def run(
    store: SqlStore, policy: dict[str, Any], limits: TierLimits, scores: Sequence[float], *, at_once: int = 2
) -> dict[int, float]:
    """Let images come by some at a time, each with its look at ranks and limits; return their scores."""
    store.create_stream("s", with_policy(policy), "enforce", now=NOW)
    known: dict[int, float] = {}
    for start in range(0, len(scores), at_once):
        some = scores[start : start + at_once]
        known |= zip(add(store, *((score, SIZE) for score in some)), some, strict=True)
        keep_limits(store, limits)
    return known


@pytest.mark.parametrize("policy", [TOP_8, BUDGET_8, BUDGETS_8], ids=["top-k", "budget", "budgets"])
@pytest.mark.parametrize("scores", [RISING, MIXED], ids=["rising", "mixed"])
def test_a_quota_below_what_a_ranking_keeps_holds_the_best(
    store: SqlStore, policy: dict[str, Any], scores: Sequence[float]
) -> None:
    ranks = by_rank(known := run(store, policy, QUOTA, scores))
    assert in_tier(store, "hot") == set(ranks[:HELD])
    assert set(ranks[HELD:KEPT]) <= in_tier(store, "warm")
    before = {job_id: ways(store, job_id) for job_id in known}
    # Into the best tier once if at all, on from it once, and then to where a lower rank belongs.
    assert all(way.count("hot") <= 1 and "hot" not in way[1:] for way in before.values()), before
    assert all(len(way) <= (3 if policy is BUDGETS_8 else 2) for way in before.values()), before
    if policy is BUDGETS_8:  # what went on follows its rank again once that is another one
        assert in_tier(store, "warm") == set(ranks[HELD : KEPT + 6])
        assert in_tier(store, "cold") == set(ranks[KEPT + 6 :])
    keep_limits(store, QUOTA)
    assert {job_id: ways(store, job_id) for job_id in known} == before


def test_what_ranks_lower_does_not_come_in_behind_what_was_sent_on(store: SqlStore) -> None:
    ranks = by_rank(run(store, TOP_8, QUOTA, RISING[::-1], at_once=1))
    assert [ways(store, job_id) for job_id in ranks[:HELD]] == [["hot"]] * HELD
    assert [ways(store, job_id) for job_id in ranks[HELD:KEPT]] == [["hot", "warm"]] * (KEPT - HELD)
    assert [ways(store, job_id) for job_id in ranks[KEPT:]] == [["cold"]] * (len(ranks) - KEPT)
    [_, sent_on] = store.decisions_about(ranks[HELD])
    assert sent_on.reason.endswith("quota of 400 bytes; in the ranking it still counts in hot")


def test_of_equals_the_first_stay(store: SqlStore) -> None:
    ids = list(run(store, TOP_8, QUOTA, [0.5] * 10, at_once=1))
    assert in_tier(store, "hot") == set(ids[:HELD])
    assert in_tier(store, "warm") == set(ids[HELD:KEPT])


@pytest.mark.parametrize("policy", [TOP_8, BUDGET_8], ids=["top-k", "budget"])
def test_what_was_in_its_tier_for_long_enough_keeps_its_place(
    store: SqlStore, policy: dict[str, Any]
) -> None:
    limits = TierLimits("warm", retain_days=30)
    ranks = by_rank(known := run(store, policy, limits, MIXED))
    assert in_tier(store, "hot") == set(ranks[:KEPT])
    keep_limits(store, limits, now=NOW + 31 * DAY_S)
    assert in_tier(store, "warm") == set(ranks[:KEPT])
    better, _ = add(store, (0.97, SIZE), (0.3, SIZE))
    keep_limits(store, limits)
    assert in_tier(store, "hot") == {better}
    assert in_tier(store, "warm") == set(ranks[:KEPT])  # a tier of no ranking: what ranks lower now stays
    assert len(known) == 24


def test_what_rises_above_the_tier_that_sent_it_on_comes(store: SqlStore) -> None:
    limits = TierLimits("archive", retain_days=30)
    store.create_stream("s", with_policy(TOP | {"k": 2}), "enforce", now=NOW)
    first, second, third, _ = add(store, *((score, SIZE) for score in (0.9, 0.8, 0.7, 0.6)))
    keep_limits(store, limits)
    assert store.pass_on("cold", limits, now=NOW + 31 * DAY_S, limit=100) == 2
    keep_limits(store, limits)
    store.delete(first)
    keep_limits(store, limits)
    assert in_tier(store, "hot") == {second, third}


def test_a_place_is_lost_to_a_better_one_and_not_to_a_policy_of_the_same_tiers(store: SqlStore) -> None:
    store.create_stream("s", with_policy(TOP_8), "enforce", now=NOW)
    ids = add(store, *((score, SIZE) for score in RISING[::-1]))
    keep_limits(store, QUOTA)
    before = {job_id: ways(store, job_id) for job_id in ids}
    apply(store, with_policy(TOP | {"k": 6}))
    keep_limits(store, QUOTA)
    assert {job_id: ways(store, job_id) for job_id in ids} == before
    apply(store, with_policy(TOP | {"k": 9}))  # of those that are in warm, two have lost their places
    keep_limits(store, QUOTA)
    assert in_tier(store, "hot") == set(ids[:HELD])
    assert in_tier(store, "warm") == set(ids[HELD:9])
    assert in_tier(store, "cold") == set(ids[9:])


def test_another_score_ends_that_an_object_was_sent_on(store: SqlStore) -> None:
    store.create_stream("s", with_policy(TOP_8), "enforce", now=NOW)
    limits = TierLimits("warm", quota_bytes=450)  # of any four
    ids = add(store, *((number / 12, 112 - number) for number in range(12)))
    keep_limits(store, limits)
    assert in_tier(store, "hot") == set(ids[8:])
    apply(store, other(TOP_8, "size_bytes / 1000"))
    keep_limits(store, limits)
    assert in_tier(store, "hot") == set(ids[:4])


def test_what_was_recalled_counts_by_its_rank_once_its_tier_has_sent_it_on(store: SqlStore) -> None:
    ranks = by_rank(run(store, TOP_8, QUOTA, RISING[::-1]))
    for job_id in (ranks[5], ranks[20]):
        store.recall(job_id, "hot", reason="look", made_by="eva", now=NOW)
    settle(store)
    assert {ranks[5], ranks[20]} <= in_tier(store, "hot")
    keep_limits(store, QUOTA)
    assert in_tier(store, "hot") == set(ranks[:HELD])
    assert in_tier(store, "warm") == {*ranks[HELD:KEPT], ranks[20]}


def test_a_pinned_object_is_never_sent_on_and_takes_its_room(store: SqlStore) -> None:
    ranks = by_rank(run(store, TOP_8, QUOTA, RISING[::-1]))
    store.pin(ranks[7], "hot", reason="control", made_by="eva", now=NOW)
    keep_limits(store, QUOTA)
    assert in_tier(store, "hot") == {*ranks[:3], ranks[7]}


def test_what_is_decided_at_the_same_time_by_several_comes_out_the_same(store: SqlStore) -> None:
    store.create_stream("s", with_policy(TOP_8), "enforce", now=NOW)
    known: dict[int, float] = {}
    is_over = threading.Event()

    def bring() -> None:
        for start in range(0, len(MIXED), 4):
            some = MIXED[start : start + 4]
            known.update(zip(add(store, *((score, SIZE) for score in some)), some, strict=True))

    def look(work: Callable[[], object]) -> None:
        while not is_over.is_set():
            work()

    works = (
        partial(store.revise, "s", now=NOW),
        partial(store.revise, "s", now=NOW),
        partial(store.pass_on, "hot", QUOTA, now=NOW, limit=2),
        partial(store.start_moves, limit=10, now=NOW),
    )
    with ThreadPoolExecutor() as pool:
        looking = [pool.submit(look, work) for work in works]
        try:
            bring()
        finally:
            is_over.set()
        for one in looking:
            one.result()
    keep_limits(store, QUOTA)
    ranks = by_rank(known)
    assert in_tier(store, "hot") == set(ranks[:HELD])
    assert set(ranks[HELD:KEPT]) <= in_tier(store, "warm")


def send_on(store: SqlStore, chance: random.Random) -> None:
    """Send the lower half of each tier on, one after another, and recall some."""
    for tier, following in {
        "hot": "warm",
        "cold": "archive",
        "audited": "archive",
        "warm": "archive",
    }.items():
        there = store.progress("s").tiers.get(tier)
        if there is not None:
            store.start_moves(limit=1000, now=NOW)
            store.pass_on(tier, TierLimits(following, there.size_bytes // 2), now=NOW, limit=100)
    for job_id in chance.sample([number for number in sorted(tiers(store)) if number % 5], 2):
        store.recall(job_id, "hot", reason="look", made_by="eva", now=NOW)


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 30))])
def test_a_preview_knows_what_keeps_its_place(store: SqlStore, seed: int) -> None:
    chance = random.Random(seed)
    store.create_stream("s", with_policy(TOP), "enforce", now=NOW)
    some = [
        (chance.choice([None, 0.2, 0.4, chance.random(), chance.random()]), chance.choice([100, 300]))
        for _ in range(24)
    ]
    ids = add(store, *some)
    for job_id in ids:
        if job_id % 5 == 0 and job_id % 3 == 0:
            store.pin(job_id, "hot", reason="mine", made_by="eva", now=NOW)
    for policy in chance.sample([*POLICIES, *POLICIES], 4):
        settle(store)
        send_on(store, chance)
        check(store, with_policy(policy))
        assert nothing_moves(store, with_policy(policy)), policy
    check(store, other(TOP, "size_bytes / 1000"))
    send_on(store, chance)
    check(store, other(BUDGET, "(size_bytes - 150) / 1000"))
