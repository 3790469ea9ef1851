"""What a microscope's computer knew of a stream when it chose images to preprocess, found out afterwards.

The same estimate follows from the same results, so nothing is written down while the computer works.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from haste_core.figures import Preprocessed

_POINTS = 160  # of the line
_LITTLE_KNOWN = 0.5  # of the variance that the course has where nothing is known
_NOMINAL_WORTH = 1e5  # bytes per CPU second: any number, as long as nothing is known


@dataclass(frozen=True)
class Mark:
    """An image that was preprocessed.

    Attributes
    ----------
    number : int
        Its place in the stream.
    worth : float
        Bytes that it saved per CPU second.
    searched : bool
        Little was known about it when it was chosen, so that it was chosen to learn; else it was exploited:
        chosen for what it was expected to save.
    """

    number: int
    worth: float
    searched: bool


@dataclass(frozen=True)
class Course:
    """What preprocessing saves per CPU second, over the number of the image.

    Attributes
    ----------
    marks : sequence of Mark
        In the order in which they were chosen.
    numbers, expected, deviations : sequences of float
        Points of the estimate: bytes per CPU second, and their standard deviation.
    span : tuple of int
        The first and last image; the second is larger.
    """

    marks: Sequence[Mark]
    numbers: Sequence[float]
    expected: Sequence[float]
    deviations: Sequence[float]
    span: tuple[int, int]

    @property
    def searched(self) -> int:
        """How many of the marks were chosen to learn."""
        return sum(mark.searched for mark in self.marks)

    @property
    def exploited(self) -> int:
        """How many were chosen for what they were expected to save."""
        return len(self.marks) - self.searched


def estimated_course(images: Iterable[Preprocessed], *, found: int) -> Course:
    """Estimate what preprocessing saves over a stream, as whoever chose the images did, one after the other.

    Parameters
    ----------
    images : iterable of Preprocessed
        At least one; of many, a sample is enough.
    found : int
        Images of the stream.
    """
    from haste_core.estimators.smooth_course import SmoothCourse  # brings numpy and scipy

    in_order = sorted(images, key=lambda image: (image.started_at, image.number))
    lowest = min(image.number for image in in_order)
    highest = max(max(image.number for image in in_order), lowest + found - 1)
    course = SmoothCourse(_NOMINAL_WORTH)
    course.cover(highest - lowest)
    marks: list[Mark] = []
    for image in in_order:
        place = image.number - lowest
        unsure = float(course.variance[place // course.cell_size]) / course.nature.variance
        worth = image.saved_bytes / image.cpu_s
        marks.append(Mark(image.number, worth, searched=not marks or unsure > _LITTLE_KNOWN))
        course.observe(place, worth)
    last = (highest - lowest) // course.cell_size
    cells = (
        [last * point // (_POINTS - 1) for point in range(_POINTS)] if last >= _POINTS else range(last + 1)
    )
    middles = (lowest + (cell + 0.5) * course.cell_size - 0.5 for cell in cells)
    return Course(
        marks=marks,
        numbers=[min(middle, float(highest)) for middle in middles],
        expected=[float(course.mean[cell]) for cell in cells],
        deviations=[math.sqrt(max(0.0, float(course.variance[cell]))) for cell in cells],
        span=(lowest, max(highest, lowest + 1)),
    )
