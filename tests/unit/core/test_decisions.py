"""Scores, policies, pipelines and decisions."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from haste_core.decisions import decide
from haste_core.errors import InvalidError
from haste_core.interestingness import InterestingnessError, ScoredObject, built_in, logistic
from haste_core.pipelines import InterestingnessSpec, Pipeline
from haste_core.policies import IntervalPolicy

QUARTERS = IntervalPolicy.model_validate(
    {
        "intervals": [
            {"lo": lo, "hi": lo + 0.25, "tier": tier}
            for lo, tier in ((0.75, "A"), (0.5, "B"), (0.25, "C"), (0.0, "D"))
        ],
        "undefined": "U",
    }
)
SPEC = InterestingnessSpec(
    function="logistic",
    features_from="focus-score",
    undefined_if="empty",
    parameters={"feature": "plls", "k": 4.5, "x0": -1.4},
)


made = built_in


def scored(**features: Any) -> ScoredObject:
    return ScoredObject(features=features, metadata={})


@pytest.mark.parametrize(
    ("score", "tier"),
    [(0, "D"), (0.2499, "D"), (0.25, "C"), (0.5, "B"), (0.75, "A"), (1, "A"), (None, "U")],
)
def test_intervals_hold_their_lower_end_and_the_last_its_upper(score: float | None, tier: str) -> None:
    assert QUARTERS.tier_for(score) == tier


@pytest.mark.parametrize(
    ("intervals", "complaint"),
    [
        ([(0, 0.5), (0.6, 1)], "there is a gap between 0.5 and 0.6"),
        ([(0, 0.6), (0.5, 1)], "there is an overlap between 0.6 and 0.5"),
        ([(0.1, 1)], "from 0 to 1"),
        ([(0, 1.01)], "from 0 to 1"),
        ([(0, 0), (0, 1)], "is empty"),
        ([], "at least 1"),
    ],
)
def test_policies_that_leave_a_doubt_are_refused(intervals: list[Any], complaint: str) -> None:
    given_intervals = [{"lo": lo, "hi": hi, "tier": "t"} for lo, hi in intervals]
    with pytest.raises(ValidationError, match=complaint):
        IntervalPolicy.model_validate({"intervals": given_intervals, "undefined": "t"})


def test_the_papers_logistic() -> None:
    score = logistic(feature="plls", k=4.5, x0=-1.4)
    assert score(scored(plls=-1.4)) == 0.5
    assert score(scored(plls=-1.0)) == pytest.approx(0.858148935)
    assert score(scored(plls=-1e9)) == 0
    assert score(scored(plls=1e9)) == 1


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_the_logistic_never_falls(first: float, second: float) -> None:
    score = logistic(feature="x", k=2, x0=0)
    low, high = sorted((first, second))
    assert 0 <= score(scored(x=low)) <= score(scored(x=high)) <= 1


@pytest.mark.parametrize(
    "features", [{}, {"plls": None}, {"plls": "1"}, {"plls": True}, {"plls": float("nan")}]
)
def test_an_object_without_the_number_is_an_error_and_never_a_tier(features: Any) -> None:
    with pytest.raises(InterestingnessError, match="plls"):
        decide(scored(**features), spec=SPEC, policy=QUARTERS, build=made)


def test_a_decision_says_why() -> None:
    decision = decide(scored(plls=-1.0, empty=False), spec=SPEC, policy=QUARTERS, build=made)
    assert (round(decision.score or 0, 4), decision.tier) == (0.8581, "A")
    assert "0.8581" in decision.reason
    assert "k=4.5" in decision.reason


@pytest.mark.parametrize(
    "features", [{"plls": 0.9, "empty": True}, {"undefined": "every pixel has the value 7"}]
)
def test_what_has_no_score_goes_to_the_tier_for_it(features: Any) -> None:
    decision = decide(scored(**features), spec=SPEC, policy=QUARTERS, build=made)
    assert (decision.score, decision.tier) == (None, "U")
    assert decision.reason.startswith("no score: ")


GATED = SPEC.model_copy(
    update={"undefined_if": {"empty field": "empty", "too dim": "plls > -1.65 and noise_lift > 0.25"}}
)


@pytest.mark.parametrize(
    ("features", "reason"),
    [
        ({"empty": True, "noise_lift": 0.9}, "no score: empty field"),
        ({"empty": False, "noise_lift": 0.9}, "no score: too dim"),
        ({"empty": False, "noise_lift": 0.1}, None),
        ({"empty": False}, None),
    ],
)
def test_the_first_condition_that_holds_is_the_reason(features: Any, reason: str | None) -> None:
    decision = decide(scored(plls=0.1, **features), spec=GATED, policy=QUARTERS, build=made)
    assert (decision.tier, decision.reason) == ("U", reason) if reason else decision.tier == "A"


def test_a_condition_that_cannot_be_computed_is_an_error() -> None:
    with pytest.raises(InterestingnessError, match="undefined_if: cannot compute"):
        decide(scored(plls=0.1, empty=False, noise_lift="high"), spec=GATED, policy=QUARTERS, build=made)


@pytest.mark.parametrize("conditions", ["plls >", {"too dim": "plls >"}, {" ": "empty"}])
def test_conditions_that_cannot_be_read_are_refused(conditions: Any) -> None:
    with pytest.raises(ValidationError, match="undefined_if"):
        InterestingnessSpec(function="logistic", features_from="a", undefined_if=conditions)


@pytest.mark.parametrize("value", [1.5, -0.1, float("nan"), None, "0.5", True])
def test_a_function_that_gives_no_score_is_an_error(value: Any) -> None:
    with pytest.raises(InterestingnessError):
        decide(scored(plls=0), spec=SPEC, policy=QUARTERS, build=lambda *_: lambda _: value)


def test_the_input_of_a_decision_is_recognised() -> None:
    def fingerprint(plls: float) -> str:
        return decide(scored(plls=plls), spec=SPEC, policy=QUARTERS, build=made).input_sha256

    assert fingerprint(-1) == fingerprint(-1)
    assert fingerprint(-1) != fingerprint(-1.0001)


def test_a_pipeline_that_tiers_needs_a_policy() -> None:
    with pytest.raises(InvalidError, match="policy"):
        Pipeline.parse({"name": "p", "description": "d", "tasks": {"taskSequential": ["a", "tier"]}})


def test_a_pipeline_survives_the_round_trip() -> None:
    pipeline = Pipeline(
        name="p",
        description="d",
        tasks={"taskSequential": ["focus-score", {"taskParallel": ["a", "tier"]}]},
        interestingness=SPEC,
        policy=QUARTERS,
    )
    gated = pipeline.model_copy(update={"interestingness": GATED})
    for one in (pipeline, gated):
        assert Pipeline.parse(one.to_json()) == one
