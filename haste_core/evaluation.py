"""How well one number parts good objects from bad ones: ROC curve, area, best threshold."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Confusion:
    """What comes of calling an object good where its value is at least `threshold`.

    Attributes
    ----------
    threshold : float
    true_good, false_bad : int
        Good objects that are called good, and bad.
    false_good, true_bad : int
        Bad objects that are called good, and bad.
    """

    threshold: float
    true_good: int
    false_bad: int
    false_good: int
    true_bad: int

    @property
    def sensitivity(self) -> float:
        """Share of the good that is called good, in [0, 1]."""
        return self.true_good / (self.true_good + self.false_bad)

    @property
    def specificity(self) -> float:
        """Share of the bad that is called bad, in [0, 1]."""
        return self.true_bad / (self.true_bad + self.false_good)

    @property
    def youden_j(self) -> float:
        """Sensitivity + specificity - 1: 1 parts them without a fault, 0 is chance."""
        return self.sensitivity + self.specificity - 1


def confusion(good: Sequence[float], bad: Sequence[float], threshold: float) -> Confusion:
    """Count what a threshold does to the objects of both classes.

    Parameters
    ----------
    good, bad : sequence of float
        Finite values, at least one of each.
    threshold : float
        A value equal to it is called good.
    """
    true_good = sum(value >= threshold for value in good)
    false_good = sum(value >= threshold for value in bad)
    return Confusion(
        threshold=threshold,
        true_good=true_good,
        false_bad=len(good) - true_good,
        false_good=false_good,
        true_bad=len(bad) - false_good,
    )


def roc_curve(good: Sequence[float], bad: Sequence[float]) -> tuple[Confusion, ...]:
    """Let the threshold fall through all values, from one that calls nothing good to one that spares nothing.

    Parameters
    ----------
    good, bad : sequence of float
        Finite values, at least one of each.

    Returns
    -------
    tuple of Confusion
        One for infinity, and one for each distinct value, falling. Where a good and a bad object have the
        same value, the curve goes aslant: no threshold can part them.

    Raises
    ------
    ValueError
        A class is empty, or a value is not finite.

    References
    ----------
    Fawcett, "An introduction to ROC analysis", Pattern Recognition Letters 27 (2006),
    doi:10.1016/j.patrec.2005.10.010.
    """
    if not good or not bad:
        raise ValueError("a ROC curve needs objects of both classes")
    if not all(map(math.isfinite, [*good, *bad])):
        raise ValueError("a ROC curve needs finite values")
    good_at, bad_at = Counter(good), Counter(bad)
    true_good = false_good = 0
    points = [confusion(good, bad, math.inf)]
    for value in sorted(good_at.keys() | bad_at.keys(), reverse=True):
        true_good += good_at[value]
        false_good += bad_at[value]
        points.append(
            Confusion(
                threshold=value,
                true_good=true_good,
                false_bad=len(good) - true_good,
                false_good=false_good,
                true_bad=len(bad) - false_good,
            )
        )
    return tuple(points)


def area_under(curve: Sequence[Confusion]) -> float:
    """Measure the area under a ROC curve: how probably a good object has the higher value than a bad one.

    Parameters
    ----------
    curve : sequence of Confusion
        As `roc_curve` returns it.

    Returns
    -------
    float
        In [0, 1]; 0.5 is chance, below it the bad have the higher values. Equal values count half.
    """
    twice = sum(
        (right.false_good - left.false_good) * (right.true_good + left.true_good)
        for left, right in itertools.pairwise(curve)
    )
    return twice / (2 * curve[-1].true_good * curve[-1].false_good)


def best_threshold(good: Sequence[float], bad: Sequence[float]) -> Confusion:
    """Find the threshold with the largest Youden's J; of equals, the one that calls the fewest good.

    It lies halfway between the lowest value that is called good and the next one below, so that rounding it,
    and objects a little off those seen, change nothing.

    Parameters
    ----------
    good, bad : sequence of float
        Finite values, at least one of each.

    Raises
    ------
    ValueError
        As `roc_curve`.

    References
    ----------
    Youden, "Index for rating diagnostic tests", Cancer 3 (1950), 32-35.
    """
    _, *cuts = roc_curve(good, bad)
    # As a whole number: rounding must not decide between equals.
    gains = [cut.true_good * len(bad) - cut.false_good * len(good) for cut in cuts]
    index = gains.index(max(gains))
    above = cuts[index].threshold
    below = cuts[index + 1].threshold if index + 1 < len(cuts) else above
    middle = below + (above - below) / 2
    return confusion(good, bad, middle if middle > below else above)


def told_apart(good: Sequence[float], bad: Sequence[float]) -> float:
    """Measure how surely two classes differ, in standard deviations of the Mann-Whitney statistic.

    Parameters
    ----------
    good, bad : sequence of float
        Finite values, at least one of each.

    Returns
    -------
    float
        Positive where the good have the higher values; classes drawn from the same values lie within
        1.96 of 0 in 19 of 20 cases. 0 if all values are equal.

    References
    ----------
    Mann and Whitney, Annals of Mathematical Statistics 18 (1947), 50-60, with the variance for ties as in
    Hollander and Wolfe, "Nonparametric Statistical Methods".
    """
    pairs, total = len(good) * len(bad), len(good) + len(bad)
    ties = _ties([*good, *bad])
    variance = pairs / 12 * (total + 1 - ties / (total * (total - 1)))
    if variance <= 0:
        return 0.0
    return pairs * (area_under(roc_curve(good, bad)) - 0.5) / math.sqrt(variance)


def _ties(values: Iterable[float]) -> int:
    return sum(count**3 - count for count in Counter(values).values())
