"""Priorities that the client computes: from what is known so far, and again as more becomes known."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from haste_client.results import Result

# Recomputing everything may take at most this share of the time, however slow the user's function is.
_BUSY_SHARE = 0.2


@dataclass(frozen=True)
class ImageView:
    """One image, as a priority function sees it.

    Attributes
    ----------
    source_id : str
        Its name in the stream: the path relative to the submitted folder, with ``/``.
    path : Path
        Where it can be opened, should its content be asked.
    index : int
        Its number in the stream.
    size_bytes : int
    modified_at : float
        Time of the last change of the file, seconds since 1970.
    """

    source_id: str
    path: Path
    index: int
    size_bytes: int
    modified_at: float


@dataclass(frozen=True)
class Known:
    """All that is known at the moment at which priorities are computed.

    Attributes
    ----------
    images : tuple of ImageView
        Every image of the submission that was found so far, in the order of its index.
    results : mapping of str to Result
        The results so far, by source_id: of jobs that are done or failed.
    """

    images: tuple[ImageView, ...]
    results: Mapping[str, Result]


PriorityFunction: TypeAlias = Callable[[ImageView, Known], float]
"""Computes the priority of one image: the higher, the earlier its tasks are handed out."""


class Prioritiser:
    """Remembers the priorities that were sent, and finds those that have changed since.

    Parameters
    ----------
    function : callable
    """

    def __init__(self, function: PriorityFunction) -> None:
        self._function = function
        self._images: dict[str, ImageView] = {}
        self._sent: dict[str, float] = {}
        self._not_before = 0.0

    def first(self, images: Iterable[ImageView], results: Mapping[str, Result]) -> dict[str, float]:
        """Add images and compute the priorities with which they are submitted."""
        added = {image.source_id: image for image in images}
        self._images.update(added)
        return self._compute(added.values(), results)

    def join(self, image: ImageView, priority: float) -> None:
        """Add an image that the server has already, with the priority that it has there."""
        self._images[image.source_id] = image
        self._sent[image.source_id] = priority

    def changed(self, open_ids: Iterable[str], results: Mapping[str, Result]) -> dict[str, float]:
        """Compute the priorities of open jobs again, and return those that differ from what was sent.

        Returns nothing while the function needs a rest; what was missed is made up at the next call.
        """
        if time.monotonic() < self._not_before:
            return {}
        images = [self._images[source_id] for source_id in open_ids if source_id in self._images]
        computed = self._compute(images, results)
        return {name: value for name, value in computed.items() if self._sent.get(name) != value}

    def confirm(self, priorities: Mapping[str, float]) -> None:
        """Remember priorities that the server has now."""
        self._sent.update(priorities)

    def _compute(self, images: Iterable[ImageView], results: Mapping[str, Result]) -> dict[str, float]:
        ordered = sorted(self._images.values(), key=lambda image: image.index)
        known = Known(tuple(ordered), results)
        began = time.monotonic()
        priorities = {image.source_id: self._checked(image, known) for image in images}
        now = time.monotonic()
        self._not_before = now + (now - began) * (1 - _BUSY_SHARE) / _BUSY_SHARE
        return priorities

    def _checked(self, image: ImageView, known: Known) -> float:
        priority = self._function(image, known)
        if not math.isfinite(priority):
            raise ValueError(
                f"the priority function gave {priority} for {image.source_id}; it must be a finite number"
            )
        return float(priority)
