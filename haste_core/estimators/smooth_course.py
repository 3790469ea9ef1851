"""A value that changes gradually from image to image, estimated with its uncertainty."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack
from threadpoolctl import ThreadpoolController

from haste_core.estimators.likelihood import Nature, correlation, most_likely, usual_variance

REACH = 24
"""Cells to either side whose covariances are kept: four lengths, beyond which less than 1 % is left."""

_CELLS_PER_LENGTH = 6.0
_MOST_CELLS = 2**16  # 13 MB of covariances
_MORE_CELLS = 512  # at a time: filling them takes a fraction of a millisecond
_TILE = 2 * REACH + 1
_EACH_UP_TO = 6  # observations: as long as each one tells much about the nature
_FIT_AGAIN = 1.12  # times as many observations
_LAST_FIT = 200  # observations: then the nature is known
_ROUNDING = 1e-6  # of the variance


class SmoothCourse:
    """A course over index as a Gaussian process that learns its own nature.

    Indices share cells of a sixth of a length, and only covariances of cells within reach of each other are
    kept. An observation changes the cells within reach, which are computed anew from the observations about
    them; so it costs the same, about a millisecond, however many there were and however many images wait.
    Length, noise, level and variance are estimated anew whenever there are an eighth more observations, up to
    200; where that changes them, all is computed anew.

    Parameters
    ----------
    level : float
        What values are expected before there is one.
    fits_itself : bool
        False: its nature is found by `fit` on a `twin`, in another thread, so that no observation takes long.
    """

    def __init__(self, level: float, *, fits_itself: bool = True) -> None:
        self._fits_itself = fits_itself
        self._nature = Nature(level, usual_variance(level))
        self._indices: list[int] = []
        self._values: list[float] = []
        self._highest = 0
        self._next_fit = 1
        self._build()

    @property
    def nature(self) -> Nature:
        """What the course is taken to be like."""
        return self._nature

    @property
    def mean(self) -> NDArray[np.float64]:
        """Expected values of the cells."""
        return self._mean

    @property
    def variance(self) -> NDArray[np.float32]:
        """How unsure the course is in each cell, in squared units; without the noise of a single image."""
        return self._variance

    @property
    def noise(self) -> float:
        """Variance of a single image about the course, in squared units."""
        return self._nature.noise * self._nature.variance

    @property
    def cell_size(self) -> int:
        """Indices that share a cell; changes as more is known."""
        return self._cell_size

    @property
    def fit_is_due(self) -> bool:
        """Whether there are so many more observations that its nature is worth finding anew."""
        return 0 < self._next_fit <= len(self._values)

    def cells(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """Find the cells of indices up to the highest one that is covered."""
        return indices // self._cell_size

    def cover(self, index: int) -> None:
        """Make room for indices up to this one."""
        self._highest = max(self._highest, index)
        if self._cells_needed() > len(self._mean):
            with _one_thread():
                self._grow()

    def observe(self, index: int, value: float) -> range:
        """Learn the value of an image; return the cells of which something else is expected now."""
        self.cover(index)
        self._indices.append(index)
        self._values.append(value)
        with _one_thread():
            if self._fits_itself and self.fit_is_due and self._find_nature():
                self._build()
                return range(len(self._mean))
            return self._take_in(index, value)

    def twin(self) -> SmoothCourse:
        """Copy what was observed, to be fitted while this course goes on."""
        twin = SmoothCourse(self._nature.level, fits_itself=self._fits_itself)
        twin._nature, twin._highest, twin._next_fit = self._nature, self._highest, self._next_fit
        twin._indices, twin._values = self._indices.copy(), self._values.copy()
        return twin

    def fit(self) -> None:
        """Find the nature of what was observed, and compute all anew."""
        with _one_thread():
            self._find_nature()
            self._build()

    def catch_up(self, course: SmoothCourse) -> None:
        """Observe what the course has observed since this one, its twin, was made."""
        self.cover(course._highest)
        known = len(self._values)
        for index, value in zip(course._indices[known:], course._values[known:], strict=True):
            self.observe(index, value)

    def covariances(self, first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.float64]:
        """Tell how pairs of cells vary together, given all that was observed.

        Parameters
        ----------
        first, second : arrays of cells
            Of shapes that broadcast.

        Returns
        -------
        array of the broadcast shape
            In squared units; 0 for cells that are not within reach of each other.
        """
        offset = second - first
        near = np.abs(offset) <= REACH
        found = self._covariance[first, np.where(near, offset, 0) + REACH]
        return np.where(near, found, 0.0)

    def covariances_about(self, cells: NDArray[np.int64]) -> NDArray[np.float64]:
        """Tell how cells vary together with those within reach of them, given all that was observed.

        Parameters
        ----------
        cells : (N,) array

        Returns
        -------
        (N, 2 REACH + 1) array
            In squared units, the cells themselves in the middle.
        """
        return self._covariance[cells].astype(np.float64)

    def _find_nature(self) -> bool:
        """Find it anew; False if it is much the same."""
        self._next_fit = _next_fit(len(self._values))
        nature = most_likely(np.array(self._indices), np.array(self._values), self._nature)
        if nature.is_like(self._nature):
            return False
        self._nature = nature
        return True

    def _take_in(self, index: int, value: float) -> range:
        cell = index // self._cell_size
        self._sum[cell] += value
        self._count[cell] += 1
        about = range(max(0, cell - REACH), min(cell + REACH + 1, len(self._mean)))
        self._solve(about.start, about.stop)
        return about

    def _cells_needed(self) -> int:
        return self._highest // self._cell_size + REACH + 1

    def _build(self) -> None:
        """Start from the nature alone, and take in all observations again."""
        self._cell_size = max(1, int(self._nature.length / _CELLS_PER_LENGTH))
        while self._cells_needed() > _MOST_CELLS:
            self._cell_size *= 2
        self._correlation = correlation(np.arange(8 * _TILE) * self._cell_size, self._nature.length)
        self._prior = self._correlation[np.abs(np.arange(-REACH, REACH + 1))]
        # Views of room for the most cells there may be; what is not used of it yet takes no memory.
        self._mean, self._sum = np.empty(_MOST_CELLS)[:0], np.empty(_MOST_CELLS)[:0]
        self._count = np.empty(_MOST_CELLS, np.int64)[:0]
        self._covariance = np.empty((_MOST_CELLS, _TILE), np.float32)[:0]
        self._variance = np.empty(_MOST_CELLS, np.float32)[:0]  # a column of these, read at once
        self._grow()
        cells = np.array(self._indices, np.int64) // self._cell_size
        np.add.at(self._sum, cells, self._values)
        np.add.at(self._count, cells, 1)
        touched = {tile for cell in cells for tile in ((cell - REACH) // _TILE, (cell + REACH) // _TILE)}
        for tile in touched:
            self._solve(max(0, tile * _TILE), (tile + 1) * _TILE)

    def _grow(self) -> None:
        """Append cells of which nothing is known; those within reach of an observation are there already."""
        if self._cells_needed() > _MOST_CELLS:
            self._build()
            return
        old = len(self._mean)
        new = min(max(self._cells_needed(), old + _MORE_CELLS), _MOST_CELLS)
        unknown = {
            "_mean": self._nature.level,
            "_sum": 0.0,
            "_count": 0,
            "_covariance": self._nature.variance * self._prior,
            "_variance": self._nature.variance,
        }
        for name, value in unknown.items():
            cells = getattr(self, name).base[:new]
            cells[old:] = value
            setattr(self, name, cells)

    def _solve(self, start: int, end: int) -> None:
        """Compute the cells from `start` to before `end` from the observations about them."""
        end = min(end, len(self._mean))
        if start >= end:
            return
        first = max(0, start - 2 * REACH)
        seen = first + np.flatnonzero(self._count[first : end + 2 * REACH])
        about = np.arange(start - REACH, end + REACH)
        count = self._count[seen]
        among = self._correlation[np.abs(seen[:, None] - seen)]
        among[np.diag_indices(len(seen))] += self._nature.noise / count + _ROUNDING
        residuals = self._sum[seen] / count - self._nature.level
        to_all = np.vstack((residuals, self._correlation[np.abs(about[:, None] - seen)])).T
        factor, _ = lapack.dpotrf(among, lower=True)
        solved, _ = lapack.dtrtrs(factor, to_all, lower=True, overwrite_b=True)
        white, weights = solved[:, 0], solved[:, 1:]
        self._mean[start:end] = self._nature.level + white @ weights[:, REACH:-REACH]
        rows = np.arange(end - start)[:, None]
        explained = (weights.T @ weights)[rows + REACH, rows + np.arange(_TILE)]
        self._covariance[start:end] = self._nature.variance * (self._prior - explained)
        self._variance[start:end] = self._covariance[start:end, REACH]


def _one_thread() -> AbstractContextManager[Any]:
    """Let no linear algebra use several threads: for a hundred rows they wait for each other only.

    On a machine that is busy preprocessing this makes it thirty times as fast.
    """
    one: AbstractContextManager[Any] = _libraries().limit(limits=1, user_api="blas")
    return one


@cache
def _libraries() -> ThreadpoolController:
    return ThreadpoolController()


def _next_fit(count: int) -> int:
    if count < _EACH_UP_TO:
        return count + 1
    following = int(count * _FIT_AGAIN) + 1
    return following if following <= _LAST_FIT else 0
