"""What preprocessing costs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_NOMINAL_S_PER_BYTE = 1e-6
_PRIOR_WEIGHT = 5.0  # images: until more are known, the slope is drawn towards 0
_USUAL_VARIATION = 0.5  # standard deviation of the worth, of its mean


class CpuSeconds:
    """CPU seconds per byte of an image, as a straight line over what it saves per CPU second.

    An image with more to save often takes longer. Least squares, whose slope is drawn towards 0 while little
    is known.
    """

    def __init__(self) -> None:
        self._count = 0
        self._mean_worth = self._mean_cost = self._spread = self._joint = 0.0

    def observe(self, worth: float, cost: float) -> None:
        """Learn from an image: bytes saved per CPU second, and CPU seconds per byte of it."""
        self._count += 1
        off = worth - self._mean_worth
        self._mean_worth += off / self._count
        self._mean_cost += (cost - self._mean_cost) / self._count
        self._spread += off * (worth - self._mean_worth)
        self._joint += off * (cost - self._mean_cost)

    def expected(self, worths: NDArray[Any]) -> NDArray[Any]:
        """Estimate CPU seconds per byte.

        Parameters
        ----------
        worths : (N,) array
            Expected bytes saved per CPU second.

        Returns
        -------
        (N,) array
            At least a quarter of the mean.
        """
        if not self._count:
            return np.full(len(worths), _NOMINAL_S_PER_BYTE)
        assumed = _PRIOR_WEIGHT * (_USUAL_VARIATION * self._mean_worth) ** 2
        slope = self._joint / (self._spread + assumed) if self._spread + assumed else 0.0
        line = self._mean_cost + slope * (worths - self._mean_worth)
        return np.maximum(line, self._mean_cost / 4)
