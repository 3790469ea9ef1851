"""How far a microscope's computer is with a stream: what it preprocesses, sends and saves."""

from __future__ import annotations

import math
from dataclasses import dataclass

from markupsafe import Markup

from haste_core.edge_course import estimated_course
from haste_core.edge_images import EDGE_KEYS
from haste_core.figures import EdgeFlow
from haste_core.pipelines import Pipeline
from haste_core.tasktree import leaves
from haste_server.api.services import services
from haste_server.web.edge_figure import draw_course
from haste_server.web.pages import pages

MARKS_SHOWN = 300  # preprocessed images: the estimate takes a millisecond for each
TICKS_SHOWN = 200  # images that were sent as they were found
_SPEED_S = 60.0  # over which the speed is measured


@dataclass(frozen=True)
class EdgeOverview:
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


def edge_overview(stream_id: str, pipeline: Pipeline) -> EdgeOverview | None:
    """Look how far the images of a stream are; None if they are not preprocessed and sent."""
    if not {task.task_key for task in leaves(pipeline.tasks)} >= set(EDGE_KEYS):
        return None
    return pages().kept.get(("edge", stream_id), lambda: _look(stream_id))


def _look(stream_id: str) -> EdgeOverview:
    figures, now = pages().figures, services().clock()
    flow = figures.edge_flow(stream_id)
    sent_bytes = figures.sent_bytes(stream_id, since=now - _SPEED_S)
    images = figures.preprocessed(stream_id, limit=MARKS_SHOWN)
    course = estimated_course(images, found=flow.found) if images else None
    skipped = figures.sent_as_found(stream_id, width=max(1, math.ceil(flow.found / TICKS_SHOWN)))
    return EdgeOverview(
        flow=flow,
        bytes_per_s=sent_bytes / _SPEED_S,
        figure=None if course is None else draw_course(course, skipped=skipped),
        searched=course.searched if course else 0,
        exploited=course.exploited if course else 0,
    )
