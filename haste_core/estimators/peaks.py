"""The highest of many values of which a few change at a time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_PIECE = 32  # values: about the root of how many there are, over how many are asked for


class Peaks:
    """Values whose highest are found without looking at all of them: the highest of each piece is kept.

    Where several are alike, the first ones count as higher.

    Parameters
    ----------
    values : (N,) array
        Minus infinity where there is none.
    """

    def __init__(self, values: NDArray[np.float64]) -> None:
        self._pieces = np.full((-(-len(values) // _PIECE), _PIECE), -np.inf)
        self._values = self._pieces.reshape(-1)
        self._values[: len(values)] = values
        self._tops = self._pieces.max(axis=1)

    def put(self, places: NDArray[np.int64], values: NDArray[np.float64]) -> None:
        """Change the values at some places."""
        self._values[places] = values
        changed = np.unique(places // _PIECE)
        self._tops[changed] = self._pieces[changed].max(axis=1)

    def highest(self, count: int = 1) -> NDArray[np.int64]:
        """Find the places of the highest values above minus infinity, in ascending order of place.

        Parameters
        ----------
        count : int
            Of places, if there are as many.
        """
        # A stable sort is fast where most values are alike, as they are where nothing is known.
        pieces = np.sort(np.argsort(-self._tops, kind="stable")[:count])
        places = self._in(pieces)
        values = self._values[places]
        order = np.sort(np.argsort(-values, kind="stable")[:count])
        return places[order[values[order] > -np.inf]]

    def finite(self) -> NDArray[np.int64]:
        """List the places of all values above minus infinity, in ascending order."""
        places = self._in(np.flatnonzero(self._tops > -np.inf))
        return places[self._values[places] > -np.inf]

    def last_finite(self) -> int:
        """Find the last place with a value above minus infinity; there has to be one."""
        piece = int(np.flatnonzero(self._tops > -np.inf)[-1])
        return piece * _PIECE + int(np.flatnonzero(self._pieces[piece] > -np.inf)[-1])

    def _in(self, pieces: NDArray[np.int64]) -> NDArray[np.int64]:
        return (pieces[:, None] * _PIECE + np.arange(_PIECE)).reshape(-1)
