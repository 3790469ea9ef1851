"""How quickly a course changes and how noisy it is, by what makes its observations most likely."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

LENGTHS = tuple(1.5 * 2**step for step in range(12))
"""Images over which a course may change, 1.5 to 3072."""

NOISES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
"""Variances of single images about the course, of the course's own variance."""

_USUAL_LENGTH = 15.0  # images of a sweep over a specimen are alike over about a dozen
_LENGTH_SPREAD = 1.0  # factor e either way
_USUAL_NOISE = 0.03
_NOISE_SPREAD = 1.5
_USUAL_VARIATION = 0.6  # standard deviation of a course, of its mean
_VARIATION_WEIGHT = 4.0  # observations
_MOST_USED = 200
_SEARCH_ALL_BELOW = 40
_ALIKE = 0.15


@dataclass(frozen=True)
class Nature:
    """What a course is like.

    Attributes
    ----------
    level : float
        What it varies about.
    variance : float
        Of the course, in squared units of its values.
    length : float
        Images over which it changes.
    noise : float
        Variance of a single image about the course, of `variance`.
    """

    level: float
    variance: float
    length: float = 12.0
    noise: float = 0.03

    def is_like(self, other: Nature) -> bool:
        """Tell whether estimates from either would hardly differ."""
        return (
            (self.length, self.noise) == (other.length, other.noise)
            and abs(self.level - other.level) < _ALIKE * math.sqrt(other.variance)
            and abs(math.log(self.variance / other.variance)) < _ALIKE
        )


def correlation(distance: NDArray[Any], length: float) -> NDArray[Any]:
    """Tell how alike a course is at two images: Matérn's function of order 3/2.

    Parameters
    ----------
    distance : array of any shape
        Images between the two.
    length : float
        Images.

    Returns
    -------
    array of the same shape
        1 at distance 0, falling to 0.

    References
    ----------
    .. [1] C. E. Rasmussen, C. K. I. Williams, "Gaussian Processes for Machine Learning", MIT Press (2006),
       equation 4.17.
    """
    scaled = math.sqrt(3) / length * np.abs(distance)
    return np.asarray((1 + scaled) * np.exp(-scaled))


def usual_variance(level: float) -> float:
    """Guess the variance of a course of which only the level is known."""
    return max((_USUAL_VARIATION * level) ** 2, 1e-12)


def most_likely(indices: NDArray[Any], values: NDArray[Any], known: Nature) -> Nature:
    """Find the nature under which the latest observations are most likely.

    Parameters
    ----------
    indices, values : (N,) array
        Observations, the latest last. The last 200 are used.
    known : Nature
        Found before. With many observations only its neighbours are tried.
    """
    indices, values = indices[-_MOST_USED:].astype(float), values[-_MOST_USED:]
    distances = indices[:, None] - indices
    lengths: tuple[float, ...] = LENGTHS
    noises: tuple[float, ...] = NOISES
    if len(values) > _SEARCH_ALL_BELOW:
        lengths, noises = _around(known.length, LENGTHS), _around(known.noise, NOISES)
    best, best_score = known, -math.inf
    for length, noise in product(lengths, noises):
        nature, score = _judged(distances, values, length, noise)
        if score > best_score:
            best, best_score = nature, score
    return best


def _around(value: float, choices: tuple[float, ...]) -> tuple[float, ...]:
    place = choices.index(value)
    return choices[max(0, place - 1) : place + 2]


def _judged(
    distances: NDArray[Any], values: NDArray[Any], length: float, noise: float
) -> tuple[Nature, float]:
    """Find level and variance for a length and a noise, and the logarithm of how likely that is."""
    count = len(values)
    covariance = correlation(distances, length) + noise * np.eye(count)
    factor = linalg.cholesky(covariance, lower=True, check_finite=False)
    solved = linalg.solve_triangular(
        factor, np.stack((np.ones(count), values), axis=1), lower=True, check_finite=False
    )
    ones, white = solved.T
    level = float(ones @ white / (ones @ ones))
    rest = white - level * ones
    freedom = count - 1 + _VARIATION_WEIGHT
    assumed = _VARIATION_WEIGHT * usual_variance(float(np.abs(values).mean()))
    variance = float(rest @ rest + assumed) / freedom
    score = -0.5 * (freedom * math.log(variance) + math.log(ones @ ones)) - np.log(np.diag(factor)).sum()
    score -= 0.5 * (math.log(length / _USUAL_LENGTH) / _LENGTH_SPREAD) ** 2
    score -= 0.5 * (math.log(noise / _USUAL_NOISE) / _NOISE_SPREAD) ** 2
    return Nature(level, variance, length, noise), float(score)
