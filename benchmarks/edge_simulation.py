"""A microscope's computer on a simulated clock: images arrive, cores preprocess, one link sends."""

from __future__ import annotations

import heapq
from collections import deque
from dataclasses import dataclass, field
from typing import Protocol

from benchmarks.edge_traces import Trace

_ARRIVAL, _PREPROCESSED, _SENT = range(3)


class Scheduler(Protocol):
    """What decides, as `haste_core.edge_scheduling.EdgeSchedule` does."""

    def arrived(self, index: int, size_bytes: int, now: float) -> None:
        """Note a new image."""

    def preprocessing_started(self, index: int) -> None:
        """Note that a core has taken an image."""

    def preprocessing_ended(self, index: int, *, saved_bytes: int, cpu_s: float) -> None:
        """Note what preprocessing did."""

    def upload_started(self, index: int, now: float) -> None:
        """Note that an image was handed to the link."""

    def upload_ended(self, index: int, *, duration_s: float, now: float) -> None:
        """Note that an image got through."""

    def next_to_preprocess(self, now: float) -> int | None:
        """Choose an image for a free core."""

    def next_to_upload(self) -> int | None:
        """Choose an image for the link, or none if it has enough."""


@dataclass(frozen=True)
class Outcome:
    """How a simulation ended.

    Attributes
    ----------
    end_s : float
        When all was sent.
    preprocessed : int
    sent_bytes : int
    """

    end_s: float
    preprocessed: int
    sent_bytes: int


@dataclass
class _Computer:
    trace: Trace
    bytes_per_s: float
    free_cores: int
    scheduler: Scheduler
    now: float = 0.0
    preprocessed: int = 0
    sent_bytes: int = 0
    sizes: list[int] = field(init=False)
    link: deque[int] = field(default_factory=deque)
    events: list[tuple[float, int, int]] = field(init=False)

    def __post_init__(self) -> None:
        self.sizes = [image.raw_bytes for image in self.trace]
        self.events = [(image.arrival_s, _ARRIVAL, index) for index, image in enumerate(self.trace)]
        heapq.heapify(self.events)

    def run(self) -> Outcome:
        while self.events:
            self.now = self.events[0][0]
            while self.events and self.events[0][0] <= self.now:
                _, kind, index = heapq.heappop(self.events)
                (self._arrived, self._preprocessed, self._sent)[kind](index)
            self._feed_link()
            self._feed_cores()
        return Outcome(self.now, self.preprocessed, self.sent_bytes)

    def _arrived(self, index: int) -> None:
        self.scheduler.arrived(index, self.sizes[index], self.now)

    def _preprocessed(self, index: int) -> None:
        image = self.trace[index]
        self.sizes[index] -= image.saved_bytes
        self.preprocessed += 1
        self.free_cores += 1
        self.scheduler.preprocessing_ended(index, saved_bytes=image.saved_bytes, cpu_s=image.cpu_s)

    def _sent(self, index: int) -> None:
        self.link.popleft()
        self.sent_bytes += self.sizes[index]
        self.scheduler.upload_ended(index, duration_s=self.sizes[index] / self.bytes_per_s, now=self.now)
        if self.link:
            self._send(self.link[0])

    def _send(self, index: int) -> None:
        heapq.heappush(self.events, (self.now + self.sizes[index] / self.bytes_per_s, _SENT, index))

    def _feed_link(self) -> None:
        while (index := self.scheduler.next_to_upload()) is not None:
            self.scheduler.upload_started(index, self.now)
            self.link.append(index)
            if len(self.link) == 1:
                self._send(index)

    def _feed_cores(self) -> None:
        while self.free_cores and (index := self.scheduler.next_to_preprocess(self.now)) is not None:
            self.scheduler.preprocessing_started(index)
            self.free_cores -= 1
            heapq.heappush(self.events, (self.now + self.trace[index].cpu_s, _PREPROCESSED, index))


def simulate(trace: Trace, *, bytes_per_s: float, cores: int, scheduler: Scheduler) -> Outcome:
    """Let all images of a trace arrive, and wait until they are sent."""
    return _Computer(trace, bytes_per_s, cores, scheduler).run()


def bound_s(trace: Trace, *, bytes_per_s: float, cores: int) -> float:
    """Return the time that no order can beat: as if all images were there, and could be preprocessed in part.

    The least T in which the link sends all bytes but those that cores save in T when they take the images in
    order of what they save per CPU second (the solution of a linear programme).
    """
    images = sorted((image for image in trace if image.saved_bytes > 0), key=lambda image: -image.saved_per_s)
    left_bytes, cpu_s = float(sum(image.raw_bytes for image in trace)), 0.0
    for image in images:
        if left_bytes / bytes_per_s <= cpu_s / cores:
            break
        # Within this image, bytes fall and CPU time grows in proportion: where they meet, T is reached.
        missing_s = left_bytes / bytes_per_s - cpu_s / cores
        share = missing_s / (image.saved_bytes / bytes_per_s + image.cpu_s / cores)
        left_bytes -= min(share, 1.0) * image.saved_bytes
        cpu_s += min(share, 1.0) * image.cpu_s
    return left_bytes / bytes_per_s
