"""Laws of rankings: who is on a shelf, and who changes places."""

import heapq
from dataclasses import replace
from itertools import accumulate
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from haste_core.errors import InvalidError
from haste_core.pipelines import Pipeline
from haste_core.policies import BudgetPolicy, TopPolicy
from haste_core.ranking import Occupied, Ranked, Shelf, place, revise

TIERS = ("hot", "warm", "cold")
SCORES = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0])  # with many ties
RANKED = st.builds(
    Ranked, st.just(0), SCORES, st.sampled_from([0, 1, 2, 5, 9]), st.sampled_from([*TIERS, "elsewhere"])
)
STREAM = st.lists(RANKED, max_size=30).map(
    lambda found: [replace(one, job_id=number) for number, one in enumerate(found)]
)


def shelves(*sizes: int) -> tuple[Shelf, ...]:
    return tuple(Shelf(tier, size, size) for tier, size in zip(TIERS, sizes, strict=False))


def revised(room: tuple[Shelf, ...], objects: list[Ranked]) -> list[Ranked]:
    moved = revise(room, "cold", objects)
    assert all(one.tier != moved[one.job_id] for one in objects if one.job_id in moved)
    return [replace(one, tier=moved.get(one.job_id, one.tier)) for one in objects]


@given(STREAM, st.integers(1, 12))
@settings(deadline=None)
def test_exactly_the_best_k_are_kept(objects: list[Ranked], k: int) -> None:
    as_one = [replace(one, weight=1) for one in objects]
    after = revised(shelves(k), as_one)
    best = heapq.nlargest(k, as_one, key=lambda one: (one.score, -one.job_id))
    assert {one.job_id for one in after if one.tier == "hot"} == {one.job_id for one in best}
    assert {one.tier for one in after} <= {"hot", "cold"}


@given(STREAM, st.integers(1, 20), st.integers(1, 20))
@settings(deadline=None)
def test_budgets_hold_the_best_that_fit(objects: list[Ranked], hot: int, warm: int) -> None:
    after = revised(shelves(hot, warm), objects)
    left = sorted(objects, key=lambda one: (-one.score, one.job_id))
    for tier, size in (("hot", hot), ("warm", warm)):
        fitting = [one for one in left if one.weight <= size]
        filled = accumulate(one.weight for one in fitting)
        expected = {one.job_id for one, total in zip(fitting, filled, strict=True) if total <= size}
        assert {one.job_id for one in after if one.tier == tier} == expected
        assert sum(one.weight for one in after if one.tier == tier) <= size
        left = [one for one in left if one.job_id not in expected]


@given(STREAM, st.integers(1, 20), st.integers(1, 20))
@settings(deadline=None)
def test_to_revise_twice_changes_nothing_and_the_order_does_not_count(
    objects: list[Ranked], hot: int, warm: int
) -> None:
    room = shelves(hot, warm)
    after = revised(room, objects)
    assert revise(room, "cold", after) == {}
    assert revise(room, "cold", objects[::-1]) == revise(room, "cold", objects)


def occupied(objects: list[Ranked]) -> list[Occupied]:
    there: dict[str, list[Ranked]] = {}
    for one in objects:
        there.setdefault(one.tier, []).append(one)
    return [
        Occupied(
            tier,
            len(found),
            sum(one.weight for one in found),
            min(one.score for one in found),
            max(one.score for one in found),
        )
        for tier, found in there.items()
    ]


@given(STREAM, RANKED, st.integers(1, 12))
@settings(deadline=None)
def test_a_new_object_goes_where_its_rank_is(objects: list[Ranked], new: Ranked, k: int) -> None:
    known = revised(shelves(k), [replace(one, weight=1) for one in objects])
    there = occupied(known)
    policy = TopPolicy(tier="hot", rest="cold", undefined="none", k=k)
    tier = place(policy.shelves(there, more=1), "cold", there, score=new.score, weight=1)
    among = [*known, replace(new, job_id=len(known), weight=1, tier=tier)]
    assert len(known) not in revise(shelves(k), "cold", among)


@pytest.mark.parametrize(
    ("percent", "count", "best"), [(10, 30, 3), (10, 31, 4), (0.1, 3000, 3), (33.3, 1000, 333), (100, 7, 7)]
)
def test_a_share_is_rounded_up_without_an_error_of_binary_numbers(
    percent: float, count: int, best: int
) -> None:
    policy = TopPolicy(tier="hot", rest="cold", undefined="none", percent=percent)
    [shelf] = policy.shelves([Occupied("cold", count - 1, 0, 0, 1)], more=1)
    assert (shelf.size, shelf.left) == (best, best)


def test_a_budget_counts_what_is_there() -> None:
    policy = BudgetPolicy.model_validate(
        {"budgets": [{"tier": "hot", "bytes": "1 kB"}], "rest": "cold", "undefined": "none"}
    )
    [shelf] = policy.shelves([Occupied("hot", 3, 700, 0, 1), Occupied("cold", 3, 9000, 0, 1)])
    assert (shelf.size, shelf.left, policy.weight(40)) == (1000, 300, 40)


TOP: dict[str, Any] = {"type": "top-k", "tier": "hot", "rest": "cold", "undefined": "none", "k": 5}
BUDGET: dict[str, Any] = {
    "type": "budget",
    "budgets": [{"tier": "hot", "bytes": 10}, {"tier": "warm", "bytes": 20}],
    "rest": "cold",
    "undefined": "none",
}
OWN: dict[str, Any] = {"type": "own", "policy": "mine", "tiers": ["hot", "cold"], "undefined": "none"}
HALVES: dict[str, Any] = {
    "intervals": [{"lo": 0, "hi": 0.5, "tier": "cold"}, {"lo": 0.5, "hi": 1, "tier": "hot"}],
    "undefined": "none",
}


def pipeline(policy: dict[str, Any]) -> Pipeline:
    spec = {"function": "precomputed", "features_from": "a", "parameters": {"field": "score"}}
    return Pipeline.parse(
        {"name": "p", "description": "d", "tasks": "tier", "interestingness": spec, "policy": policy}
    )


@pytest.mark.parametrize("policy", [TOP, TOP | {"k": None, "percent": 5}, BUDGET, OWN, HALVES])
def test_policies_survive_the_round_trip(policy: dict[str, Any]) -> None:
    audited = policy | {"audit": {"fraction": 0.1, "seed": 3, "tier": "audited"}}
    for given_policy in (policy, audited):
        read = pipeline(given_policy)
        assert Pipeline.parse(read.to_json()) == read
        assert read.policy is not None
        assert (read.policy.lowest, read.policy.highest) == ("cold", "hot")
    assert pipeline(audited).policy.tiers - pipeline(policy).policy.tiers == {"audited"}  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("policy", "complaint"),
    [
        (TOP | {"k": 0}, r"k: is 0; the least that is possible is 1"),
        (TOP | {"k": 1.5}, "whole number"),
        (TOP | {"k": None}, "give k .* or percent"),
        (TOP | {"percent": 5}, "give k .* or percent"),
        (TOP | {"k": None, "percent": 0}, "percent: is 0"),
        (TOP | {"k": None, "percent": 100.1}, "percent: is 100.1"),
        (TOP | {"rest": "hot"}, "'hot' is named twice"),
        (TOP | {"undefined": "hot"}, "what has no score needs another tier"),
        (TOP | {"tier": "../hot"}, "'../hot' is not the name of a tier"),
        (BUDGET | {"rest": "warm"}, "'warm' is named twice"),
        (BUDGET | {"budgets": []}, "budgets: may not be empty"),
        (BUDGET | {"budgets": [{"tier": "hot", "bytes": 0}]}, "bytes: is 0"),
        (BUDGET | {"budgets": [{"tier": "hot", "bytes": "much"}]}, "bytes"),
        (BUDGET | {"undefined": "warm"}, "what has no score needs another tier"),
        (OWN | {"tiers": []}, "tiers: may not be empty"),
        (OWN | {"tiers": ["hot", "hot"]}, "'hot' is named twice"),
        (TOP | {"type": "bottom-k"}, "the type of a policy is intervals, top-k, budget or own"),
        (HALVES | {"audit": {"fraction": 0, "tier": "x"}}, "fraction: is 0"),
        (HALVES | {"audit": {"fraction": 1.1, "tier": "x"}}, "fraction: is 1.1"),
        (HALVES | {"audit": {"fraction": 0.1, "tier": "cold"}}, "where they would be without it"),
        (TOP | {"audit": {"fraction": 0.1, "tier": "hot"}}, "audit needs a tier of its own"),
        (BUDGET | {"audit": {"fraction": 0.1, "tier": "warm"}}, "audit needs a tier of its own"),
        (OWN | {"audit": {"fraction": 0.1, "tier": "cold"}}, "where they would be without it"),
    ],
)
def test_policies_that_leave_a_doubt_are_refused(policy: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InvalidError, match=complaint):
        pipeline(policy)
