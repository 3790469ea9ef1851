"""Fits of the logistic curve, against NumPy's and SciPy's own."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import optimize, special

from haste_core.calibration import CalibrationError, LogisticCurve, fit_classes, fit_quantiles, quantile

QUARTERS = (0.25, 0.5, 0.75)


def normal(seed: int, mean: float, count: int, *, sd: float = 1.0) -> list[float]:
    return np.random.default_rng(seed).normal(mean, sd, count).tolist()


def most_likely(interesting: list[float], boring: list[float]) -> tuple[float, float]:
    """Maximise the likelihood of classes of the same weight, with Platt's targets, by another method."""
    fewest = min(len(interesting), len(boring))
    x = np.array([*interesting, *boring])
    unit = x.std()
    is_interesting = np.arange(len(x)) < len(interesting)
    target = np.where(is_interesting, fewest + 1, 1) / (fewest + 2)
    weight = np.where(is_interesting, 1 / len(interesting), 1 / len(boring))

    def loss(line: NDArray[np.float64]) -> float:
        z = line[0] * (x - x.mean()) / unit + line[1]
        return -float(np.sum(weight * (target * special.log_expit(z) + (1 - target) * special.log_expit(-z))))

    found = optimize.minimize(
        loss, [0.0, 0.0], method="Nelder-Mead", options={"xatol": 1e-10, "fatol": 1e-15, "maxiter": 4000}
    )
    slope, offset = found.x
    return slope / unit, x.mean() - unit * offset / slope


class TestQuantiles:
    @given(
        st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30),
        st.floats(0, 1),
    )
    def test_are_numpys(self, values: list[float], share: float) -> None:
        expected = np.quantile(values, share)
        assert quantile(sorted(values), share) == pytest.approx(expected, rel=1e-9, abs=1e-6)

    def test_a_spread_that_a_logistic_has_is_met(self) -> None:
        k, x0 = 4.5, -1.4
        inner = [x0 + math.log(number / (40 - number)) / k for number in range(1, 40)]
        curve = fit_quantiles([9.0, *inner, -9.0], quantiles=QUARTERS, scores=QUARTERS)
        assert (curve.k, curve.x0) == pytest.approx((k, x0))

    def test_symmetrical_values_have_the_median_in_the_middle(self) -> None:
        curve = fit_quantiles([-3, -3, -2, -2, -1, 0, 0, 1, 1], quantiles=QUARTERS, scores=QUARTERS)
        assert curve.x0 == pytest.approx(-1)
        assert curve.k == pytest.approx(math.log(3))  # the quartiles are one below and one above

    @pytest.mark.parametrize(
        ("quantiles", "scores"),
        [(QUARTERS, QUARTERS), ((0.1, 0.9), (0.5, 0.75)), (QUARTERS, (0.1, 0.2, 0.7))],
    )
    def test_is_the_straight_line_through_the_logits(
        self, quantiles: tuple[float, ...], scores: tuple[float, ...]
    ) -> None:
        values = np.exp(normal(1, 0, 60)).tolist()
        curve = fit_quantiles(values, quantiles=quantiles, scores=scores)
        slope, offset = np.polyfit(np.quantile(values, quantiles), special.logit(scores), 1)
        assert (curve.k, curve.x0) == pytest.approx((slope, -offset / slope))

    def test_falling_quantiles_are_the_mirror_image(self) -> None:
        values = np.exp(normal(2, 0, 60)).tolist()
        mirrored = fit_quantiles([-x for x in values], quantiles=QUARTERS, scores=QUARTERS)
        curve = fit_quantiles(values, quantiles=QUARTERS[::-1], scores=QUARTERS)
        assert (curve.k, curve.x0) == pytest.approx((-mirrored.k, -mirrored.x0))
        assert curve.k < 0

    @pytest.mark.parametrize(
        ("values", "reason"),
        [
            ([1.0] * 20, "quantiles 0.25 and 0.5 are the same"),
            ([1, *[2.0] * 15, 3, 4, 5, 6, 7], "are the same"),
            ([5 + 1e-9 * number for number in range(20)], "are the same"),
            ([1, 2, 3, 4, 5, 6, 7], "7 images that have a value are too few for 4 tiers; take 8"),
            ([], "0 images"),
        ],
    )
    def test_what_cannot_be_parted_is_told(self, values: list[float], reason: str) -> None:
        with pytest.raises(CalibrationError, match=reason):
            fit_quantiles(values, quantiles=QUARTERS, scores=QUARTERS)

    @pytest.mark.parametrize(
        ("quantiles", "scores"),
        [
            ((0.5,), (0.5,)),
            ((0.2, 0.8), QUARTERS),
            ((0.2, 1.0), (0.4, 0.6)),
            ((0.2, 0.8), (0.0, 0.6)),
            ((0.2, 0.8, 0.4), QUARTERS),
            ((0.2, 0.8), (0.6, 0.4)),
        ],
    )
    def test_targets_without_a_meaning_are_refused(
        self, quantiles: tuple[float, ...], scores: tuple[float, ...]
    ) -> None:
        with pytest.raises(ValueError, match="quantiles"):
            fit_quantiles([*range(20)], quantiles=quantiles, scores=scores)


class TestClasses:
    @pytest.mark.parametrize(
        ("interesting", "boring"),
        [
            (normal(1, 1, 20), normal(2, 0, 20)),  # overlapping
            (normal(3, 2, 8), normal(4, 0, 40)),  # unequal
            (normal(5, -1.0, 25, sd=0.2), normal(6, -1.5, 25, sd=0.5)),  # as PLLS goes
            (normal(7, 10, 6), normal(8, 0, 30)),  # separable
            (normal(9, 1e9, 12, sd=1e7), normal(10, 9.9e8, 12, sd=1e7)),  # total intensities
            (normal(11, 0, 15), normal(12, 2, 15)),  # inverted
        ],
    )
    def test_is_the_most_likely_curve(self, interesting: list[float], boring: list[float]) -> None:
        curve = fit_classes(interesting, boring)
        k, x0 = most_likely(interesting, boring)
        assert curve.k == pytest.approx(k, rel=1e-5)
        assert curve.k * (curve.x0 - x0) == pytest.approx(0, abs=1e-5)

    @pytest.mark.parametrize("few", [3000, 300])
    def test_two_normal_classes_have_the_curve_of_discriminant_analysis(self, few: int) -> None:
        curve = fit_classes(normal(1, -1, few, sd=0.5), normal(2, -1.6, 3000, sd=0.5))
        assert curve.k == pytest.approx((-1 + 1.6) / 0.5**2, rel=0.1)
        assert curve.x0 == pytest.approx((-1 - 1.6) / 2, abs=0.03)

    @pytest.mark.parametrize("count", [5, 20, 500])
    def test_perfectly_parted_classes_have_a_finite_curve(self, count: int) -> None:
        curve = fit_classes([2.0] * count, [1.0] * 2 * count)
        assert curve.x0 == pytest.approx(1.5)
        assert special.expit(curve.k * (2 - curve.x0)) == pytest.approx((count + 1) / (count + 2))

    def test_swapped_classes_turn_the_curve_over(self) -> None:
        good, bad = normal(1, 1, 20), normal(2, 0, 12)
        curve, swapped = fit_classes(good, bad), fit_classes(bad, good)
        assert (swapped.k, swapped.x0) == pytest.approx((-curve.k, curve.x0))
        assert swapped.k < 0 < curve.k

    @pytest.mark.parametrize(
        ("interesting", "boring", "reason"),
        [
            (normal(1, 0, 30), normal(2, 0, 30), "the 30 and 30 images cannot be told apart"),
            ([1.0] * 9, [1.0] * 9, "cannot be told apart"),
            ([3, 4, 5, 6], [1, 2, 1, 2, 1, 2], "4 and 6 images that have a value are too few; take 5"),
            ([1.0] * 9 + [-9.0], [0.0] * 10, "would be flat.*from -9 to 1"),
        ],
    )
    def test_what_cannot_be_parted_is_told(
        self, interesting: list[float], boring: list[float], reason: str
    ) -> None:
        with pytest.raises(CalibrationError, match=reason):
            fit_classes(interesting, boring)


@given(
    st.floats(-9, 9).map(lambda power: 10**power),
    st.booleans(),
    st.floats(-1e6, 1e6),
    st.floats(-8, 8),
)
def test_rounding_moves_no_score(k: float, falling: bool, place: float, logit: float) -> None:
    exact = LogisticCurve(-k if falling else k, place / k)
    rounded = exact.rounded()
    x = exact.x0 + logit / exact.k
    before, after = (special.expit(curve.k * (x - curve.x0)) for curve in (exact, rounded))
    assert after == pytest.approx(before, abs=1e-4)
