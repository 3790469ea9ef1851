"""Schedulers to compare with: in order of arrival, the paper's, and one that knows what every image saves."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import ClassVar

from benchmarks.edge_traces import Trace
from haste_core.estimators import Interpolation

PAPER_COMMITTED = 20
PAPER_SEARCHES = 5  # every fifth image is a search


class InArrivalOrder:
    """Preprocesses and sends what came first, what is preprocessed before what is not."""

    stops: ClassVar[bool] = False

    def __init__(self, trace: Trace, bytes_per_s: float, *, committed: int = 1) -> None:
        self.trace, self.bytes_per_s, self.committed = trace, bytes_per_s, committed
        self.raw: dict[int, int] = {}
        self.preprocessed: dict[int, int] = {}
        self.sizes: dict[int, int] = {}
        self.at_link = 0

    def arrived(self, index: int, size_bytes: int, now: float) -> None:
        """Note a new image."""
        self.raw[index] = self.sizes[index] = size_bytes

    def preprocessing_started(self, index: int) -> None:
        """Note that a core has taken an image."""
        del self.raw[index]

    def preprocessing_ended(self, index: int, *, saved_bytes: int, cpu_s: float) -> None:
        """Note what preprocessing did."""
        self.sizes[index] -= saved_bytes
        self.preprocessed[index] = self.sizes[index]

    def upload_started(self, index: int, now: float) -> None:
        """Note that an image was handed to the link."""
        self.at_link += 1
        (self.preprocessed if index in self.preprocessed else self.raw).pop(index)

    def upload_ended(self, index: int, *, duration_s: float, now: float) -> None:
        """Note that an image got through."""
        self.at_link -= 1

    def next_to_preprocess(self, now: float) -> int | None:
        """Choose an image for a free core."""
        if not self.raw:
            return None
        index = self.best_raw()
        return None if self.stops and self._runs_dry(index) else index

    def next_to_upload(self) -> int | None:
        """Choose an image for the link, or none if it has enough."""
        if self.at_link >= self.committed:
            return None
        if self.preprocessed:
            return self.first_preprocessed()
        return self.least_raw() if self.raw else None

    def best_raw(self) -> int:
        """Choose what to preprocess."""
        return min(self.raw)

    def least_raw(self) -> int:
        """Choose what to send as it is."""
        return min(self.raw)

    def first_preprocessed(self) -> int:
        """Choose what to send of what is preprocessed."""
        return min(self.preprocessed)

    def _runs_dry(self, index: int) -> bool:
        others = sum(self.raw.values()) - self.raw[index] + sum(self.preprocessed.values())
        return others / self.bytes_per_s < self.trace[index].cpu_s


class WithoutPreprocessing(InArrivalOrder):
    """Sends everything as it is."""

    def next_to_preprocess(self, now: float) -> int | None:
        """Choose none."""
        return None


class Oracle(InArrivalOrder):
    """Knows what every image would save, commits two to the link, and stops before the link runs dry."""

    stops = True

    def __init__(self, trace: Trace, bytes_per_s: float, *, committed: int = 2) -> None:
        super().__init__(trace, bytes_per_s, committed=committed)

    def best_raw(self) -> int:
        """Choose what saves most per CPU second."""
        return max(self.raw, key=self._worth)

    def least_raw(self) -> int:
        """Choose what saves least per CPU second."""
        return min(self.raw, key=self._worth)

    def _worth(self, index: int) -> float:
        return self.trace[index].saved_per_s


class Paper(InArrivalOrder):
    """As the paper's agent did in the run that was logged.

    Every fifth image is a search: any one; the others climb: the highest estimate. Up to 20 images are at the
    link, and it never stops.
    """

    def __init__(self, trace: Trace, bytes_per_s: float, *, seed: int) -> None:
        super().__init__(trace, bytes_per_s, committed=PAPER_COMMITTED)
        self.estimator = Interpolation()
        self.random = random.Random(seed)
        self.choices = 0
        self._estimates: list[float] | None = None

    def preprocessing_ended(self, index: int, *, saved_bytes: int, cpu_s: float) -> None:
        """Note what preprocessing did."""
        super().preprocessing_ended(index, saved_bytes=saved_bytes, cpu_s=cpu_s)
        self.estimator.observe(index, saved_bytes / cpu_s)
        self._estimates = None

    def best_raw(self) -> int:
        """Search or climb."""
        self.choices += 1
        if self.choices % PAPER_SEARCHES == 1:
            return self.random.choice(list(self.raw))
        return self._extreme(max)

    def least_raw(self) -> int:
        """Choose the lowest estimate."""
        return self._extreme(min)

    def first_preprocessed(self) -> int:
        """Choose any."""
        return self.random.choice(list(self.preprocessed))

    def _extreme(self, which: Callable[[list[float]], float]) -> int:
        if self._estimates is None:
            self._estimates = self.estimator.expected(range(len(self.trace)))
        extreme = which([self._estimates[index] for index in self.raw])
        return self.random.choice([index for index in self.raw if self._estimates[index] == extreme])
