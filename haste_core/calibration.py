"""Fitting the logistic interestingness function to a lab's own images."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from haste_core.errors import HasteError
from haste_core.evaluation import told_apart

FEWEST_IN_CLASS = 5
"""Below this many, hardly any difference between two classes is more than chance."""

FEWEST_PER_TIER = 2
"""Values that a quantile needs between its neighbours to mean anything."""

SURE = 1.96
"""Standard deviations that chance exceeds in one of 20 cases."""

_FLATTEST = 0.01  # change of the logit over one standard deviation of all values
_SAME = 1e-6  # relative: what float32 leaves of a difference between two features
_CONVERGED = 1e-10  # of the gradient of a mean log-likelihood, a number near 1
_MOST_STEPS = 100


class CalibrationError(HasteError):
    """No curve can be fitted to these values; the message says what would help."""


@dataclass(frozen=True)
class LogisticCurve:
    """``1 / (1 + exp(-k (x - x0)))``.

    Attributes
    ----------
    k : float
        Steepness per unit of x; negative if low values are interesting.
    x0 : float
        The x whose score is 0.5.
    """

    k: float
    x0: float

    def rounded(self) -> LogisticCurve:
        """Round to what a person wants to read; no score moves by more than 0.0001."""
        k = float(f"{self.k:.6g}")
        return LogisticCurve(k, round(self.x0, 4 + math.ceil(math.log10(abs(k)))))


def quantile(values: Sequence[float], share: float) -> float:
    """Find the value below which a share of all values lies.

    Parameters
    ----------
    values : sequence of float
        Sorted, at least one.
    share : float
        In [0, 1].

    Returns
    -------
    float
        Between two values linearly interpolated, as NumPy does and definition 7 of the reference.

    References
    ----------
    Hyndman and Fan, "Sample quantiles in statistical packages", The American Statistician 50 (1996).
    """
    place = share * (len(values) - 1)
    below = math.floor(place)
    above = min(below + 1, len(values) - 1)
    return values[below] + (place - below) * (values[above] - values[below])


def fit_quantiles(
    values: Sequence[float], *, quantiles: Sequence[float], scores: Sequence[float]
) -> LogisticCurve:
    """Fit a logistic curve that gives the values at some quantiles the scores that they shall have.

    With q the values at the quantiles and y = ln(s / (1 - s)) of their scores s, the straight line
    y = k (q - x0) is fitted by least squares: k = cov(q, y) / var(q), x0 = mean(q) - mean(y) / k. Two
    quantiles are met exactly. Where the scores lie symmetrically about 0.5, x0 is the mean of the values q,
    which is the median if they lie symmetrically about that.

    Parameters
    ----------
    values : sequence of float
        Finite, in any order.
    quantiles : sequence of float
        At least two in (0, 1), rising; or falling, if low values are interesting.
    scores : sequence of float
        As many, in (0, 1), rising.

    Returns
    -------
    LogisticCurve

    Raises
    ------
    CalibrationError
        There are too few values, or the values at two quantiles are the same.
    ValueError
        Quantiles or scores are not as described.
    """
    _check_targets(quantiles, scores)
    fewest = FEWEST_PER_TIER * (len(scores) + 1)
    if len(values) < fewest:
        raise CalibrationError(
            f"{len(values)} images that have a value are too few for {len(scores) + 1} tiers; "
            f"take {fewest} or more"
        )
    ordered = sorted(values)
    met = [quantile(ordered, share) for share in quantiles]
    for (left, x), (right, next_x) in itertools.pairwise(zip(quantiles, met, strict=True)):
        if math.isclose(x, next_x, rel_tol=_SAME):
            raise CalibrationError(
                f"the values at the quantiles {left:g} and {right:g} are the same ({x:g}), so no curve can "
                "part them: take images that differ, or other quantiles"
            )
    logits = [math.log(score / (1 - score)) for score in scores]
    middle, middle_logit = _mean(met), _mean(logits)
    k = sum((x - middle) * (y - middle_logit) for x, y in zip(met, logits, strict=True)) / sum(
        (x - middle) ** 2 for x in met
    )
    return LogisticCurve(k, middle - middle_logit / k)


def _check_targets(quantiles: Sequence[float], scores: Sequence[float]) -> None:
    rising = all(left < right for left, right in itertools.pairwise(quantiles))
    falling = all(left > right for left, right in itertools.pairwise(quantiles))
    if len(quantiles) != len(scores) or len(quantiles) < 2:
        raise ValueError("there should be as many quantiles as scores, and two at least")
    if not all(0 < number < 1 for number in [*quantiles, *scores]):
        raise ValueError("quantiles and scores lie between 0 and 1")
    if not (rising or falling) or not all(left < right for left, right in itertools.pairwise(scores)):
        raise ValueError("quantiles rise or fall, scores rise")


def fit_classes(interesting: Sequence[float], boring: Sequence[float]) -> LogisticCurve:
    """Fit a logistic curve to two classes by maximum likelihood.

    Both classes weigh the same, whatever their numbers, since those say how many images somebody has
    collected and not how many a microscope will make: score 0.5 is where an image is as likely of one class
    as of the other.

    The score that an image should have is not 1 or 0 but Platt's (n + 1) / (n + 2) or 1 / (n + 2), with n the
    number of images of the smaller class: the probability after n successes in n trials, by Laplace's rule.
    Where classes overlap this changes next to nothing. Where they do not, the likelihood of scores 1 and 0
    would rise for ever as k does; with Platt's, k stays finite, and is the larger the more images there are.

    Parameters
    ----------
    interesting, boring : sequence of float
        Finite values, at least `FEWEST_IN_CLASS` of each.

    Returns
    -------
    LogisticCurve
        With a negative k if low values are interesting.

    Raises
    ------
    CalibrationError
        There are too few values, the classes differ by no more than chance would have it, or few values
        hide the difference of the others.

    References
    ----------
    Platt, "Probabilistic outputs for support vector machines and comparisons to regularized likelihood
    methods", in Advances in Large Margin Classifiers (1999).

    Lin, Lin and Weng, "A note on Platt's probabilistic outputs for support vector machines", Machine
    Learning 68 (2007), doi:10.1007/s10994-007-5018-6: Newton's method with backtracking, as used here.
    """
    fewest = min(len(interesting), len(boring))
    if fewest < FEWEST_IN_CLASS:
        raise CalibrationError(
            f"{len(interesting)} and {len(boring)} images that have a value are too few; "
            f"take {FEWEST_IN_CLASS} or more of each"
        )
    _refuse_if_alike(interesting, boring)
    values = [*interesting, *boring]
    middle = _mean(values)
    spread = math.sqrt(_mean([(x - middle) ** 2 for x in values]))
    target = (fewest + 1) / (fewest + 2)
    examples = [((x - middle) / spread, target, 0.5 / len(interesting)) for x in interesting]
    examples += [((x - middle) / spread, 1 - target, 0.5 / len(boring)) for x in boring]
    slope, offset = _most_likely_line(examples)
    if abs(slope) < _FLATTEST:
        raise CalibrationError(
            f"the curve would be flat: a few values far from all others (they go from {min(values):g} to "
            f"{max(values):g}) outweigh the rest. Look at these images, or take another feature"
        )
    return LogisticCurve(slope / spread, middle - spread * offset / slope)


def _refuse_if_alike(interesting: Sequence[float], boring: Sequence[float]) -> None:
    if abs(told_apart(interesting, boring)) < SURE:
        raise CalibrationError(
            f"the {len(interesting)} and {len(boring)} images cannot be told apart by this feature: their "
            "values overlap as much as chance would have it. Take more images, or another feature"
        )


_Example = tuple[float, float, float]  # value, target, weight


def _most_likely_line(examples: Sequence[_Example]) -> tuple[float, float]:
    """Find slope and offset of the logit by Newton's method; the loss is convex and has one minimum."""
    line, loss = (0.0, 0.0), _loss((0.0, 0.0), examples)
    for _ in range(_MOST_STEPS):
        gradient, step = _newton(line, examples)
        if max(map(abs, gradient)) < _CONVERGED:
            return line
        size = 1.0
        while True:
            nearer = (line[0] - size * step[0], line[1] - size * step[1])
            lower = _loss(nearer, examples)
            if lower < loss or size < _CONVERGED:
                break
            size /= 2
        if lower >= loss:  # as near as the numbers can tell
            return line
        line, loss = nearer, lower
    raise CalibrationError(
        f"the fit has not ended after {_MOST_STEPS} steps; is a value far from all others?"
    )


def _loss(line: tuple[float, float], examples: Sequence[_Example]) -> float:
    """Return the mean of -t ln p - (1 - t) ln(1 - p), written so that nothing overflows."""
    slope, offset = line
    logits = ((slope * x + offset, target, weight) for x, target, weight in examples)
    return sum(
        weight * (max(logit, 0) - target * logit + math.log1p(math.exp(-abs(logit))))
        for logit, target, weight in logits
    )


def _newton(
    line: tuple[float, float], examples: Sequence[_Example]
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return the gradient of the loss, and the step that would end at the minimum of a parabola."""
    slope_gradient = offset_gradient = xx = x1 = ones = 0.0
    for x, target, weight in examples:
        p = 0.5 * (1 + math.tanh((line[0] * x + line[1]) / 2))
        error, curvature = weight * (p - target), weight * p * (1 - p)
        slope_gradient += error * x
        offset_gradient += error
        xx += curvature * x * x
        x1 += curvature * x
        ones += curvature
    determinant = xx * ones - x1 * x1
    step = (
        (ones * slope_gradient - x1 * offset_gradient) / determinant,
        (xx * offset_gradient - x1 * slope_gradient) / determinant,
    )
    return (slope_gradient, offset_gradient), step


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
