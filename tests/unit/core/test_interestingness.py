"""Interestingness functions that come with the program."""

import re
import statistics
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from haste_core.findings import problems_of
from haste_core.interestingness import (
    InterestingnessError,
    ScoredObject,
    StreamObject,
    built_in,
    expression,
    precomputed,
    quantile,
)
from haste_core.pipelines import InterestingnessSpec


def among(values: list[Any], x: Any) -> ScoredObject:
    others = [StreamObject(f"{n}.tif", {"plls": value}, None, "tierA") for n, value in enumerate(values)]
    return ScoredObject(features={"plls": x}, metadata={}, others=lambda: others)


@pytest.mark.parametrize(
    ("x", "score"), [(-1, 0.125), (23.5, 0.125), (24.5, 0.375), (49.6, 0.625), (76, 0.875), (1e9, 0.875)]
)
def test_quantile_scores_the_middle_of_its_part(x: float, score: float) -> None:
    assert quantile(feature="plls")(among([*range(100)], x)) == score


@given(st.lists(st.floats(-10, 10), min_size=16, max_size=60), st.floats(-10, 10), st.integers(2, 7))
def test_quantile_agrees_with_the_borders_between_parts(others: list[float], x: float, tiers: int) -> None:
    score = quantile(feature="plls", tiers=tiers)(among(others, x))
    part = round((score * 2 * tiers - 1) / 2)
    below = sum(value < x for value in others)
    up_to = sum(value <= x for value in others)
    assert below / len(others) < (part + 1) / tiers or part == tiers - 1
    assert up_to / len(others) >= part / tiers


def test_equal_parts_of_the_stream_get_equal_numbers() -> None:
    values = [float(number) for number in range(400)]
    scores = [quantile(feature="plls", tiers=4)(among(values, x)) for x in values]
    assert statistics.multimode(scores) == [0.125, 0.375, 0.625, 0.875]


def test_few_others_put_nothing_away() -> None:
    score = quantile(feature="plls", tiers=4, min_objects=3)
    assert score(among([5, None, 7, float("nan"), True, 10**400], 1)) == 0.875
    assert score(among([5, 6, 7], 1)) == 0.125
    assert quantile(feature="plls", min_objects=0)(among([], 1)) == 0.875


@pytest.mark.parametrize(
    ("name", "parameters", "reason"),
    [
        ("quantile", {"feature": "plls", "tiers": 1}, "tiers: is 1; the least that is possible is 2"),
        ("quantile", {"feature": "plls", "min_objects": -1}, "min_objects"),
        ("logistic", {"feature": "plls", "k": "steep", "x0": 0}, "k: "),
        ("logistic", {"feature": "plls", "k": 1}, "x0: "),
        ("logistic", {"feature": "plls", "k": 0, "x0": 0}, "k: with 0, all images have the score 0.5"),
        ("precomputed", {"field": "x", "feature": "y"}, "feature: "),
        ("expression", {"expression": "plls +"}, "cannot read 'plls \\+'"),
        ("rest", {"url": "ftp://gpu1/score"}, "is no address of a service"),
        ("rest", {"url": "http:///score"}, "is no address of a service"),
        ("rest", {"url": "http://me:secret@gpu1/score"}, "should hold no user name"),
        ("rest", {"url": "http://gpu1/a b"}, "should hold no user name"),
        ("rest", {"url": "http://gpu1", "timeout_s": 0}, "timeout_s: is 0"),
        ("rest", {"url": "http://gpu1", "timeout_s": 61}, "timeout_s: is 61"),
        ("rest", {"url": "http://gpu1", "fields": []}, "fields: may not be empty"),
        ("rest", {"url": "http://gpu1", "fields": "plls"}, "fields: "),
        ("rest", {"url": "http://gpu1", "get": "print"}, "get: "),
        ("rest", {}, "url: "),
    ],
)
def test_parameters_that_do_not_fit_are_refused_where_the_pipeline_is_read(
    name: str, parameters: dict[str, Any], reason: str
) -> None:
    with pytest.raises(InterestingnessError, match=reason):
        built_in(name, parameters)
    with pytest.raises(ValidationError) as caught:
        InterestingnessSpec(function=name, features_from="focus-score", parameters=parameters)
    said = "; ".join(str(problem) for problem in problems_of(caught.value))
    assert said.startswith("parameters")
    assert re.search(reason, said)


def test_precomputed_takes_what_was_submitted() -> None:
    score = precomputed(field="liking")
    assert score(ScoredObject(features={"liking": 0.1}, metadata={"liking": 0.7})) == 0.7
    with pytest.raises(InterestingnessError, match="no number 'liking' \\(it is 'high'\\)"):
        score(ScoredObject(features={}, metadata={"liking": "high"}))


def test_expressions_compute_scores() -> None:
    scored = ScoredObject(features={"plls": -1.5, "snr": 8}, metadata={"weight": 0.5}, timestamp=10.0)
    assert expression(expression="(plls + 3) / 3 * metadata.weight")(scored) == 0.25
    assert expression(expression="snr / timestamp")(scored) == 0.8
    assert expression(expression="snr", clip=True)(scored) == 1
    assert expression(expression="plls", clip=True)(scored) == 0
    assert expression(expression="snr")(scored) == 8  # whoever decides refuses it


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("focus + 1", "no number focus"),
        ("huge", "gave 1000"),
        ("plls / huge", "too large to convert"),
        ("plls / 0", "division by zero"),
        ("plls > -2", "gave True, which is no number"),
        ("metadata.weight", "gave None, which is no number"),
    ],
)
def test_expressions_that_give_no_score_say_why(text: str, reason: str) -> None:
    with pytest.raises(InterestingnessError, match=reason):
        expression(expression=text)(ScoredObject(features={"plls": -1.5, "huge": 10**400}, metadata={}))


def test_an_expression_that_cannot_be_read_is_refused_at_once() -> None:
    with pytest.raises(InterestingnessError, match="cannot read"):
        expression(expression="plls + __import__('os')")
