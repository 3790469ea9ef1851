"""How far a microscope's computer is with a stream: what it preprocesses, sends and saves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from haste_core.edge_images import EDGE_KEYS
from haste_core.figures import EdgeFlow, Preprocessed
from haste_core.pipelines import Pipeline
from haste_core.tasktree import leaves
from haste_server.api.services import services
from haste_server.web.edge_figure import Course, Mark, draw_course
from haste_server.web.pages import pages

MARKS_SHOWN = 300  # preprocessed images: the estimate takes a millisecond for each
TICKS_SHOWN = 200  # images that were sent as they were found
_POINTS = 160  # of the line
_SPEED_S = 60.0  # over which the speed is measured
_LITTLE_KNOWN = 0.5  # of the variance that the course has where nothing is known
_NOMINAL_WORTH = 1e5  # bytes per CPU second: any number, as long as nothing is known


@dataclass(frozen=True)
class EdgeStanding:
    """How far the images are.

    Attributes
    ----------
    bytes_per_s : float
        That were sent in the last minute.
    searched, exploited : int
        Of the images that are drawn, those that were preprocessed where little was known, and the others.
    """

    flow: EdgeFlow
    bytes_per_s: float
    figure: Markup | None
    searched: int
    exploited: int


def edge_standing(stream_id: str, pipeline: Pipeline) -> EdgeStanding | None:
    """Look how far the images of a stream are; None if they are not preprocessed and sent."""
    if not {task.task_key for task in leaves(pipeline.tasks)} >= set(EDGE_KEYS):
        return None
    return pages().kept.get(("edge", stream_id), lambda: _look(stream_id))


def _look(stream_id: str) -> EdgeStanding:
    figures, now = pages().figures, services().clock()
    flow = figures.edge_flow(stream_id)
    sent_bytes = figures.sent_bytes(stream_id, since=now - _SPEED_S)
    images = figures.preprocessed(stream_id, limit=MARKS_SHOWN)
    course = estimate(images, found=flow.found) if images else None
    skipped = figures.sent_as_found(stream_id, width=max(1, math.ceil(flow.found / TICKS_SHOWN)))
    return EdgeStanding(
        flow=flow,
        bytes_per_s=sent_bytes / _SPEED_S,
        figure=None if course is None else draw_course(course, skipped=skipped),
        searched=sum(mark.searched for mark in course.marks) if course else 0,
        exploited=sum(not mark.searched for mark in course.marks) if course else 0,
    )


def estimate(images: Sequence[Preprocessed], *, found: int) -> Course:
    """Estimate what preprocessing saves over a stream, as whoever chose the images did, one after the other.

    Parameters
    ----------
    images : sequence of Preprocessed
        At least one.
    found : int
        Images of the stream.

    Returns
    -------
    Course
        Where little was known about an image when it was chosen, its mark is ``searched``.
    """
    from numpy import arange, int64, linspace

    from haste_core.estimators.smooth_course import SmoothCourse  # brings numpy and scipy

    lowest = min(image.number for image in images)
    highest = max(max(image.number for image in images), lowest + found - 1)
    course = SmoothCourse(_NOMINAL_WORTH)
    marks: list[Mark] = []
    course.cover(highest - lowest)
    for image in sorted(images, key=lambda image: (image.started_at, image.number)):
        place = image.number - lowest
        unsure = float(course.variance[place // course.cell_size]) / course.nature.variance
        worth = image.saved_bytes / image.cpu_s
        marks.append(Mark(image.number, worth, searched=not marks or unsure > _LITTLE_KNOWN))
        course.observe(place, worth)
    last = (highest - lowest) // course.cell_size
    cells = arange(last + 1) if last < _POINTS else linspace(0, last, _POINTS).astype(int64)
    middles = lowest + (cells + 0.5) * course.cell_size - 0.5
    return Course(
        marks=marks,
        numbers=[min(float(middle), float(highest)) for middle in middles],
        expected=[float(value) for value in course.mean[cells]],
        deviations=[math.sqrt(max(0.0, float(value))) for value in course.variance[cells]],
        span=(lowest, max(highest, lowest + 1)),
    )
