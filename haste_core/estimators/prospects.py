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
from haste_core.estimators.waiting_cells import WaitingCells

_NOMINAL_WORTH = 1e5  # bytes per CPU second: any number, as long as nothing is known
_SHORTLISTED = 64  # cells whose worth of knowing is computed
_WORTH_OF_KNOWING = 0.5  # its neighbours would soon be known anyhow, some by each other
_FEW = 2  # images left to be preprocessed: nothing more to learn for
_FEWEST_SLOTS = 1024
_QUICKLY_TRIED = 256  # indices


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
    worth, and bytes saved as the product. A question costs a few operations on small arrays, however many
    images wait.

    Parameters
    ----------
    fits_itself : bool
        False: the nature of the course is found by whoever takes a `twin`, and brings it back.
    """

    def __init__(self, *, fits_itself: bool = True) -> None:
        self._worth = SmoothCourse(_NOMINAL_WORTH, fits_itself=fits_itself)
        self._cost = CpuSeconds()
        self._slots: dict[int, int] = {}
        self._free: list[int] = []  # slots of images that wait no longer
        self._used = 0
        self._indices = np.zeros(_FEWEST_SLOTS, np.int64)
        self._sizes = np.zeros(_FEWEST_SLOTS)
        self._waits = np.zeros(_FEWEST_SLOTS, np.bool_)
        self._waiting_bytes = 0.0
        self._cells = self._counted()

    def __len__(self) -> int:
        return len(self._slots)

    def add(self, index: int, size_bytes: int) -> None:
        """Let an image wait."""
        self._worth.cover(index)
        slot = self._slots[index] = self._free.pop() if self._free else self._new_slot()
        self._indices[slot], self._sizes[slot], self._waits[slot] = index, size_bytes, True
        self._waiting_bytes += size_bytes
        if self._cells.are_of(self._worth):
            self._cells.add(index // self._worth.cell_size)

    def remove(self, index: int) -> None:
        """Let an image wait no longer."""
        slot = self._slots.pop(index)
        self._free.append(slot)
        self._waits[slot] = False
        self._waiting_bytes -= self._sizes[slot]
        if self._cells.are_of(self._worth):
            self._cells.remove(index // self._worth.cell_size)

    def learn(self, index: int, size_bytes: int, *, saved_bytes: int, cpu_s: float) -> None:
        """Learn from an image that was preprocessed, whether it waited here or not."""
        self._cells.change(self._worth.observe(index, saved_bytes / cpu_s))
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
        self._current_cells()

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
        return self._first_of(self._current_cells().least()) if self._slots else None

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
        if not self._slots:
            return None
        cells = self._current_cells()
        candidates = cells.most_hopeful(_SHORTLISTED)
        worth = self._worth.mean[candidates]
        threshold, left = self._threshold(*cells.sample(), budget)
        if left > _FEW:
            last = cells.last if more_to_come else None
            known = self._worth.cells(np.array(list(under_way), np.int64))
            worth = worth + _WORTH_OF_KNOWING * self._worth_of_knowing(candidates, last, known, threshold)
        return self._first_of(int(candidates[np.argmax(worth)]))

    def _current_cells(self) -> WaitingCells:
        """Return the cells in which images wait; counted anew where the course has others now."""
        if not self._cells.are_of(self._worth):
            self._cells = self._counted()
        return self._cells

    def _counted(self) -> WaitingCells:
        return WaitingCells(self._worth, self._indices[: self._used][self._waits[: self._used]])

    def _first_of(self, cell: int) -> int:
        """Return the lowest index that waits in a cell."""
        size = self._worth.cell_size
        inside = range(cell * size, (cell + 1) * size)
        if size <= _QUICKLY_TRIED:
            return next(index for index in inside if index in self._slots)
        indices = self._indices[: self._used][self._waits[: self._used]]
        return int(indices[(indices >= inside.start) & (indices < inside.stop)].min())

    def _threshold(self, sample: NDArray[np.int64], each: int, budget: Budget | None) -> tuple[float, float]:
        """Find the worth above which there is time to preprocess, and how many images that are."""
        waiting = len(self)
        worths = np.sort(self._worth.mean[sample])[::-1]
        if budget is None:
            return float(worths[-1]), float(waiting)
        each_s = self._cost.expected(worths) * (each * self._waiting_bytes / waiting)
        cpu_s, saved = np.cumsum(each_s), np.cumsum(worths * each_s)
        time_s = (budget.backlog_bytes - saved) / budget.bytes_per_s
        left = int(np.count_nonzero(time_s * budget.cores >= cpu_s))
        return float(worths[min(left, len(worths) - 1)]), float(left * each)

    def _worth_of_knowing(
        self,
        candidates: NDArray[np.int64],
        last: int | None,
        known: NDArray[np.int64],
        threshold: float,
    ) -> NDArray[Any]:
        """Tell how much more a candidate's neighbours would save on average, once it is known.

        In bytes per CPU second, summed over the images that wait; behind the last of them, if it is told, as
        many are expected as there is room for.
        """
        count = self._cells.count
        near = candidates[:, None] + np.arange(-REACH, REACH + 1)
        inside = (near >= 0) & (near < len(count))
        near = np.where(inside, near, candidates[:, None])
        shared = self._worth.covariances_about(candidates)
        own = shared[:, REACH]
        if len(known):
            own, shared = self._given(known, candidates, near, own, shared)
        noise = self._worth.noise
        images = np.where(inside, count[near], 0.0)
        if last is not None:
            images[inside & (near > last) & (near <= last + REACH)] = self._worth.cell_size
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

    def _new_slot(self) -> int:
        if self._used == len(self._indices):
            for name in ("_indices", "_sizes", "_waits"):
                values = getattr(self, name)
                setattr(self, name, np.append(values, np.zeros_like(values)))
        self._used += 1
        return self._used - 1
