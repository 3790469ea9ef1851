"""ROC curve, area and best threshold, against counting by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from haste_core.evaluation import area_under, best_threshold, confusion, roc_curve, told_apart

TIED = st.lists(st.integers(-4, 4).map(float), min_size=1, max_size=12)
"""Few distinct values, so that most samples hold ties, also between the classes."""

ANY = st.lists(st.floats(allow_nan=False, allow_infinity=False, width=32), min_size=1, max_size=8)


def test_a_table_counted_by_hand() -> None:
    at = confusion([5, 4, 3, 1], [4, 2, 0], 4)
    assert (at.true_good, at.false_bad, at.false_good, at.true_bad) == (2, 2, 1, 2)
    assert at.sensitivity == 0.5
    assert at.specificity == pytest.approx(2 / 3)
    assert at.youden_j == pytest.approx(1 / 6)


@given(TIED, TIED)
def test_the_curve_has_a_point_for_each_distinct_value(good: list[float], bad: list[float]) -> None:
    first, *points = roc_curve(good, bad)
    assert (first.threshold, first.true_good, first.false_good) == (math.inf, 0, 0)
    assert [point.threshold for point in points] == sorted({*good, *bad}, reverse=True)
    for point in points:
        assert point == confusion(good, bad, point.threshold)
    assert (points[-1].sensitivity, points[-1].specificity) == (1, 0)


@given(TIED, TIED)
def test_the_area_is_the_share_of_pairs_in_which_the_good_is_higher(
    good: list[float], bad: list[float]
) -> None:
    pairs = [(g > b) + (g == b) / 2 for g in good for b in bad]
    assert area_under(roc_curve(good, bad)) == pytest.approx(np.mean(pairs), abs=1e-12)


@given(TIED | ANY, TIED | ANY)
def test_no_threshold_is_better_than_the_best(good: list[float], bad: list[float]) -> None:
    best = best_threshold(good, bad)
    every = [np.mean(np.array(good) >= t) - np.mean(np.array(bad) >= t) for t in {*good, *bad}]
    assert best.youden_j == pytest.approx(max(every), abs=1e-12)
    assert best == confusion(good, bad, best.threshold)


def test_the_best_threshold_lies_between_two_values() -> None:
    assert best_threshold([5, 7], [1, 3]).threshold == 4
    # Of equals, the one that calls the fewest good: at 9 J is 1/2, as it is at 5.
    assert best_threshold([9, 5], [7, 1]).threshold == 8
    assert best_threshold([1, 1], [2, 3]).threshold == 1
    above = math.nextafter(1, 2)
    assert best_threshold([above], [1]).youden_j == 1


@given(TIED, TIED)
def test_told_apart_is_the_mann_whitney_test(good: list[float], bad: list[float]) -> None:
    if len({*good, *bad}) == 1:
        assert told_apart(good, bad) == 0
        return
    test = stats.mannwhitneyu(good, bad, method="asymptotic", use_continuity=False)
    assert 2 * stats.norm.sf(abs(told_apart(good, bad))) == pytest.approx(test.pvalue, abs=1e-9)
    assert told_apart(good, bad) == pytest.approx(-told_apart(bad, good))


@pytest.mark.parametrize(("good", "bad"), [([], [1]), ([1], []), ([1, math.nan], [1]), ([1], [math.inf])])
def test_what_has_no_curve(good: list[float], bad: list[float]) -> None:
    with pytest.raises(ValueError, match="ROC curve"):
        roc_curve(good, bad)
