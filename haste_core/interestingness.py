"""Interestingness functions: from an object's features to a score in [0, 1]."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol


class InterestingnessError(ValueError):
    """The score could not be computed; the object is not ranked by accident."""


@dataclass(frozen=True)
class ScoredObject:
    """What an interestingness function may look at.

    Attributes
    ----------
    features : mapping of str to JSON value
        Numbers extracted from the object, for example ``plls``.
    metadata : mapping
        As submitted with the job.
    timestamp : float, optional
        Time of acquisition, seconds since 1970.
    location : tuple of float
    substream_id : str, optional
    """

    features: Mapping[str, Any]
    metadata: Mapping[str, Any]
    timestamp: float | None = None
    location: tuple[float, ...] = ()
    substream_id: str | None = None


class InterestingnessFunction(Protocol):
    """Computes a score in [0, 1] from an object; raises InterestingnessError if it cannot."""

    def __call__(self, scored: ScoredObject, /) -> float:
        """Score one object."""


def logistic(*, feature: str, k: float, x0: float) -> InterestingnessFunction:
    """Build ``1 / (1 + exp(-k (x - x0)))`` of one feature x.

    Parameters
    ----------
    feature : str
        Name of the feature.
    k : float
        Steepness; positive if high values are interesting.
    x0 : float
        The value whose score is 0.5.

    References
    ----------
    Blamey et al., "Rapid development of cloud-native intelligent data pipelines for scientific data streams
    using the HASTE Toolkit", GigaScience 10 (2021), case study 1: PLLS, k = 4.5, x0 = -1.4.
    """

    def score(scored: ScoredObject) -> float:
        x = scored.features.get(feature)
        if isinstance(x, bool) or not isinstance(x, int | float) or not math.isfinite(x):
            raise InterestingnessError(f"the object has no number {feature!r} (it is {x!r})")
        # tanh does not overflow where exp does
        return 0.5 * (1 + math.tanh(k * (x - x0) / 2))

    return score


BUILT_IN: Mapping[str, Callable[..., InterestingnessFunction]] = {"logistic": logistic}
"""Interestingness functions that a stream may name."""
