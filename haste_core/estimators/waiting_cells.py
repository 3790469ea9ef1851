"""The cells of a course in which images wait: which of them stand first, and a fair sample of them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from haste_core.estimators.peaks import Peaks
from haste_core.estimators.smooth_course import SmoothCourse

_OPTIMISM = 2.0  # standard deviations, for the shortlist
_SAMPLED = 2048  # images at most


class WaitingCells:
    """How many images wait in each cell of a course, with what the course says of those cells.

    A question costs about the same however many cells there are: only those that changed are looked at again.

    Parameters
    ----------
    course : SmoothCourse
        Whoever lets it observe something says which cells that changed.
    indices : (N,) array
        Of the images that wait.
    """

    def __init__(self, course: SmoothCourse, indices: NDArray[np.int64]) -> None:
        self._course = course
        self._mean = course.mean
        self.count = np.bincount(course.cells(indices), minlength=len(course.mean))
        self._waiting = len(indices)
        self._hopes, self._fears = map(Peaks, self._heights(slice(None)))
        self._changed: set[int] = set()
        self._sample = np.zeros(0, np.int64)
        self._sampled_each = 0
        self._moved = 0  # images that came or went since the sample was drawn

    def are_of(self, course: SmoothCourse) -> bool:
        """Tell whether the course has these cells still: it gets others as more is known or covered."""
        return self._mean is course.mean

    def add(self, cell: int) -> None:
        """Let an image wait."""
        self._move(cell, 1)

    def remove(self, cell: int) -> None:
        """Let an image wait no longer."""
        self._move(cell, -1)

    def change(self, cells: Iterable[int]) -> None:
        """Take that the course says something else of these cells now."""
        self._changed.update(cells)

    @property
    def last(self) -> int:
        """The last cell in which an image waits."""
        self._refresh()
        return self._hopes.last_finite()

    def least(self) -> int:
        """Find the cell with the lowest mean, the first of several alike."""
        self._refresh()
        return int(self._fears.highest()[0])

    def most_hopeful(self, count: int) -> NDArray[np.int64]:
        """Find the cells that may turn out highest, at most so many, in ascending order."""
        self._refresh()
        return self._hopes.highest(count)

    def sample(self) -> tuple[NDArray[np.int64], int]:
        """Find the cells of every n-th image that waits, with that n: of at most 2,048.

        A sample is drawn anew when as many images came or went as one of it stands for.
        """
        each = -(-self._waiting // _SAMPLED)
        if each != self._sampled_each or self._moved >= each:
            self._refresh()
            cells = self._hopes.finite()
            places = np.arange(0, self._waiting, each)
            self._sample = cells[np.searchsorted(np.cumsum(self.count[cells]), places, side="right")]
            self._sampled_each, self._moved = each, 0
        return self._sample, each

    def _move(self, cell: int, more: int) -> None:
        self.count[cell] += more
        self._waiting += more
        self._moved += 1
        self._changed.add(cell)

    def _refresh(self) -> None:
        if self._changed:
            cells = np.fromiter(self._changed, np.int64)
            self._changed.clear()
            hopes, fears = self._heights(cells)
            self._hopes.put(cells, hopes)
            self._fears.put(cells, fears)

    def _heights(self, cells: NDArray[np.int64] | slice) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        waits, mean = self.count[cells] > 0, self._course.mean[cells]
        hopes = mean + _OPTIMISM * np.sqrt(self._course.variance[cells])
        return np.where(waits, hopes, -np.inf), np.where(waits, -mean, -np.inf)
