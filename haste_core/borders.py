"""Where on a feature's axis the borders of a policy lie."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable


def least_reaching(score: Callable[[float], float], wanted: float, *, rising: bool) -> float:
    """Find the feature value from which on a monotone score is at least `wanted`.

    Found by bisection over the numbers themselves, so that it is exact.

    Parameters
    ----------
    score : callable
        From a value to its score; never falls where it is to rise, and the other way round.
    wanted : float
    rising : bool
        Whether high values have high scores.

    Returns
    -------
    float
        If rising, the least such value; else the greatest one. Infinite if none does.
    """
    sign = 1.0 if rising else -1.0
    below, reached = _rank(-math.inf), _rank(math.inf)
    if score(sign * _number(reached - 1)) < wanted:
        return sign * math.inf
    while reached - below > 1:
        middle = (below + reached) // 2
        if score(sign * _number(middle)) >= wanted:
            reached = middle
        else:
            below = middle
    return sign * _number(reached)


def _rank(number: float) -> int:
    """Return the place of a number in the order of all floats."""
    (bits,) = struct.unpack("<q", struct.pack("<d", number))
    return int(bits) if bits >= 0 else -(int(bits) & 0x7FFF_FFFF_FFFF_FFFF)


def _number(rank: int) -> float:
    bits = rank if rank >= 0 else -rank | (1 << 63)
    (number,) = struct.unpack("<d", struct.pack("<Q", bits))
    return float(number)
