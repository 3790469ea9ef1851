"""What preprocessing would save, of all images that wait."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from haste_core.estimators.cpu_seconds import CpuSeconds
from haste_core.estimators.smooth_course import REACH, SmoothCourse

_NOMINAL_WORTH = 1e5  # bytes per CPU second: any number, as long as nothing is known
_SHORTLISTED = 64  # cells whose worth of knowing is computed
_OPTIMISM = 2.0  # standard deviations, for the shortlist
_WORTH_OF_KNOWING = 0.5  # its neighbours would soon be known anyhow, some by each other
_SAMPLED = 2048  # images by which the threshold is found
_FEW = 2  # images left to be preprocessed: nothing more to learn for
_FEWEST_SLOTS = 1024
_PIECE = 64  # cells


@dataclass(frozen=True)
class Budget:
    """What time there is for preprocessing.

    Attributes
    ----------
    backlog_bytes : float
        What is still to be sent.
    bytes_per_s : float
        Of the link.
    cores : int
        That preprocess.
    """

    backlog_bytes: float
    bytes_per_s: float
    cores: int


@dataclass(frozen=True)
class Expectation:
    """What preprocessing an image is expected to do.

    Attributes
    ----------
    saved_bytes : float
    saved_sd_bytes : float
        Standard deviation of it, the noise of single images included.
    cpu_s : float
    """

    saved_bytes: float
    saved_sd_bytes: float
    cpu_s: float

    @property
    def saved_per_s(self) -> float:
        """Bytes saved per CPU second."""
        return self.saved_bytes / self.cpu_s


class Prospects:
    """The images that wait as they are, with what preprocessing each would save.

    What an image saves per CPU second, its worth, is estimated over its index, CPU seconds per byte over that
    worth, and bytes saved as the product. A question costs a few array operations over the cells of the
    course, which are at most 65,536, however many images wait.

    Parameters
    ----------
    fits_itself : bool
        False: the nature of the course is found by whoever takes a `twin`, and brings it back.
    """

    def __init__(self, *, fits_itself: bool = True) -> None:
        self._worth = SmoothCourse(_NOMINAL_WORTH, fits_itself=fits_itself)
        self._cost = CpuSeconds()
        self._slots: dict[int, int] = {}
        self._used = 0
        self._indices = np.zeros(_FEWEST_SLOTS, np.int64)
        self._sizes = np.zeros(_FEWEST_SLOTS)
        self._waits = np.zeros(_FEWEST_SLOTS, np.bool_)
        self._waiting_bytes = 0.0
        self._count = np.zeros(0, np.int64)  # of images that wait, by cell
        self._counted_by = (0, 0)  # size and number of these cells

    def __len__(self) -> int:
        return len(self._slots)

    def add(self, index: int, size_bytes: int) -> None:
        """Let an image wait."""
        if self._used == len(self._indices):
            self._make_room()
        self._worth.cover(index)
        slot = self._used
        self._used += 1
        self._slots[index] = slot
        self._indices[slot], self._sizes[slot], self._waits[slot] = index, size_bytes, True
        self._waiting_bytes += size_bytes
        self._recount(index, 1)

    def remove(self, index: int) -> None:
        """Let an image wait no longer."""
        slot = self._slots.pop(index)
        self._waits[slot] = False
        self._waiting_bytes -= self._sizes[slot]
        self._recount(index, -1)

    def learn(self, index: int, size_bytes: int, *, saved_bytes: int, cpu_s: float) -> None:
        """Learn from an image that was preprocessed, whether it waited here or not."""
        self._worth.observe(index, saved_bytes / cpu_s)
        self._cost.observe(saved_bytes / cpu_s, cpu_s / size_bytes)

    @property
    def fit_is_due(self) -> bool:
        """Whether a `twin` should be fitted."""
        return self._worth.fit_is_due

    def twin(self) -> SmoothCourse:
        """Copy what was observed of the worth, to be fitted meanwhile."""
        return self._worth.twin()

    def adopt(self, twin: SmoothCourse) -> None:
        """Go on with a twin that was fitted."""
        twin.catch_up(self._worth)
        self._worth = twin

    def expected(self, index: int, size_bytes: int) -> Expectation:
        """Estimate what preprocessing an image would do."""
        self._worth.cover(index)
        cell = self._worth.cells(np.array([index]))
        worth = self._worth.mean[cell]
        variance = float(self._worth.variance[cell][0]) + self._worth.noise
        cpu_s = float(self._cost.expected(worth)[0]) * size_bytes
        return Expectation(
            saved_bytes=float(worth[0]) * cpu_s, saved_sd_bytes=math.sqrt(variance) * cpu_s, cpu_s=cpu_s
        )

    def least(self) -> int | None:
        """Choose the image whose preprocessing is worth least, the lowest of several alike."""
        cells = np.flatnonzero(self._counts())
        return self._first_of(cells[np.argmin(self._worth.mean[cells])]) if len(cells) else None

    def best(self, budget: Budget | None, *, under_way: Collection[int], more_to_come: bool) -> int | None:
        """Choose the image whose preprocessing is worth most, what it would teach included.

        Knowing an image better is worth what the choice among its neighbours gains by it on average: that of
        "Knowledge gradient" policies, where the ones that get preprocessed are those above a threshold.

        Parameters
        ----------
        budget : Budget, optional
            None if the link's speed is not known yet; then all may get preprocessed.
        under_way : collection of int
            Indices of images that are being preprocessed: what they will teach is not looked for twice.
        more_to_come : bool
            Whether images arrive still, so that it is of use to know what comes behind the last one.

        References
        ----------
        .. [1] P. Frazier, W. Powell, S. Dayanik, "The Knowledge-Gradient Policy for Correlated Normal
           Beliefs", INFORMS Journal on Computing 21(4), 599-613 (2009).
        """
        count = self._counts().astype(float)
        cells = np.flatnonzero(count)
        if not len(cells):
            return None
        threshold, left = self._threshold(cells, count[cells], budget)
        candidates = self._shortlist(cells)
        worth = self._worth.mean[candidates]
        if left > _FEW:
            if more_to_come:
                last = int(cells[-1])
                count[last + 1 : last + 1 + REACH] = self._worth.cell_size
            known = self._worth.cells(np.array(list(under_way), np.int64))
            worth = worth + _WORTH_OF_KNOWING * self._worth_of_knowing(candidates, count, known, threshold)
        return self._first_of(candidates[np.argmax(worth)])

    def _counts(self) -> NDArray[np.int64]:
        """Return how many images wait in each cell; counted anew where the course has other cells now."""
        cells = (self._worth.cell_size, len(self._worth.mean))
        if cells != self._counted_by:
            waiting = self._indices[: self._used][self._waits[: self._used]]
            self._count = np.bincount(self._worth.cells(waiting), minlength=cells[1])
            self._counted_by = cells
        return self._count

    def _recount(self, index: int, more: int) -> None:
        if self._counted_by == (self._worth.cell_size, len(self._worth.mean)):
            self._count[index // self._worth.cell_size] += more

    def _first_of(self, cell: np.int64) -> int:
        """Return the lowest index that waits in a cell."""
        size, indices = self._worth.cell_size, self._indices[: self._used]
        inside = (indices >= cell * size) & (indices < (cell + 1) * size) & self._waits[: self._used]
        return int(indices[inside].min())

    def _shortlist(self, cells: NDArray[np.int64]) -> NDArray[np.int64]:
        if len(cells) <= _SHORTLISTED:
            return cells
        hope = self._worth.mean[cells] + _OPTIMISM * np.sqrt(self._worth.variance[cells])
        return cells[np.sort(_highest(hope, _SHORTLISTED))]

    def _threshold(
        self, cells: NDArray[np.int64], count: NDArray[Any], budget: Budget | None
    ) -> tuple[float, float]:
        """Find the worth above which there is time to preprocess, and how many images that are."""
        waiting = len(self)
        step = -(-waiting // _SAMPLED)
        sample = cells[np.searchsorted(np.cumsum(count), np.arange(0, waiting, step), side="right")]
        worths = np.sort(self._worth.mean[sample])[::-1]
        if budget is None:
            return float(worths[-1]), float(waiting)
        each_s = self._cost.expected(worths) * (step * self._waiting_bytes / waiting)
        cpu_s, saved = np.cumsum(each_s), np.cumsum(worths * each_s)
        time_s = (budget.backlog_bytes - saved) / budget.bytes_per_s
        left = int(np.count_nonzero(time_s * budget.cores >= cpu_s))
        return float(worths[min(left, len(worths) - 1)]), float(left * step)

    def _worth_of_knowing(
        self,
        candidates: NDArray[np.int64],
        count: NDArray[Any],
        known: NDArray[np.int64],
        threshold: float,
    ) -> NDArray[Any]:
        """Tell how much more a candidate's neighbours would save on average, once it is known.

        In bytes per CPU second, summed over the images that wait.
        """
        near = candidates[:, None] + np.arange(-REACH, REACH + 1)
        inside = (near >= 0) & (near < len(count))
        near = np.where(inside, near, candidates[:, None])
        own = self._worth.covariances(candidates, candidates)
        shared = self._worth.covariances(candidates[:, None], near)
        if len(known):
            own, shared = self._given(known, candidates, near, own, shared)
        noise = self._worth.noise
        images = np.where(inside, count[near], 0.0)
        images[:, REACH] -= 1
        shift = np.abs(shared) / np.sqrt(np.maximum(own, 0.0) + noise)[:, None]
        shift = np.maximum(shift, 1e-9)
        distance = np.abs(self._worth.mean[near] - threshold) / shift
        gain = shift * (np.exp(-0.5 * distance**2) / math.sqrt(2 * math.pi) - distance * ndtr(-distance))
        return np.asarray((images * gain).sum(axis=1))

    def _given(
        self,
        known: NDArray[np.int64],
        candidates: NDArray[np.int64],
        near: NDArray[np.int64],
        own: NDArray[Any],
        shared: NDArray[Any],
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """Take away what will be known from images that are under way."""
        course = self._worth
        among = course.covariances(known[:, None], known) + course.noise * np.eye(len(known))
        weights = np.linalg.solve(
            among + 1e-9 * course.nature.variance * np.eye(len(known)),
            course.covariances(known[:, None], candidates),
        )
        to_near = course.covariances(known[:, None, None], near)
        own = own - np.einsum("ka,ka->a", weights, course.covariances(known[:, None], candidates))
        return own, shared - np.einsum("ka,kan->an", weights, to_near)

    def _make_room(self) -> None:
        """Forget the slots of images that wait no longer, and double what is left."""
        kept = np.flatnonzero(self._waits)
        size = max(_FEWEST_SLOTS, 2 * len(kept))
        for name in ("_indices", "_sizes", "_waits"):
            old = getattr(self, name)
            new = np.zeros(size, old.dtype)
            new[: len(kept)] = old[kept]
            setattr(self, name, new)
        self._used = len(kept)
        self._slots = {int(index): slot for slot, index in enumerate(self._indices[: self._used])}


def _highest(values: NDArray[Any], count: int) -> NDArray[np.int64]:
    """Find the places of the highest values, in any order.

    `argpartition` takes ten times as long where most values are the same, as they are where nothing is known;
    so it gets only the pieces with the highest values in them.
    """
    places = np.arange(len(values))
    if len(values) > count * _PIECE:
        tops = np.maximum.reduceat(values, places[::_PIECE])
        pieces = np.argpartition(tops, -count)[-count:]
        places = (pieces[:, None] * _PIECE + np.arange(_PIECE)).ravel()
        places = places[places < len(values)]
    return places[np.argpartition(values[places], -count)[-count:]]
