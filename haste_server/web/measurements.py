"""The page of a stream's measurements: any feature, scores over index and time, and plates."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from flask import request
from markupsafe import Markup
from werkzeug.wrappers import Response

from haste_core.figures import SampledImage
from haste_core.pipelines import Pipeline
from haste_core.policies import IntervalPolicy
from haste_core.wells import Well
from haste_runtime.drawing import score_colour
from haste_runtime.histograms import draw_histogram
from haste_runtime.plates import Cell, draw_plate
from haste_runtime.scatter import Point, draw_points
from haste_server.api.services import services
from haste_server.web.pages import blueprint, pages, show
from haste_server.web.streams import stream_overview
from haste_server.web.tiers import swatch

READ = 4000  # images
POINTS_SHOWN = 1000
PLATES_SHOWN = 6
_MINUTE_S, _HOUR_S, _DAY_S = 60.0, 3600.0, 86_400.0
_UNITS = (
    (2 * _MINUTE_S, 1.0, "seconds"),
    (2 * _HOUR_S, _MINUTE_S, "minutes"),
    (3 * _DAY_S, _HOUR_S, "hours"),
    (math.inf, _DAY_S, "days"),
)
"""Up to which span of time an axis has which unit."""


@dataclass(frozen=True)
class Plate:
    """One plate, by the wells that job specs name.

    Attributes
    ----------
    name : str
        Empty if images tell none.
    """

    name: str
    wells: int
    drawn: Markup


@blueprint.get("/stream/<stream_id>/measurements")
def measurements(stream_id: str) -> Response:
    """Show how features and scores are spread."""
    now = stream_overview(services().streams.stream(stream_id))
    images = pages().kept.get(("sample", stream_id), lambda: pages().figures.sampled(stream_id, about=READ))
    names, pipeline = features_of(images), now.stream.pipeline
    asked = request.args.get("feature", "")
    feature = asked if asked in names else _main_feature(pipeline, names)
    decided = sum(line.count for line in now.tiers)
    plates = list(_plates(images))
    return show(
        "measurements.html",
        stream_id=stream_id,
        read=len(images),
        decided=max(decided, len(images)),
        names=names,
        feature=feature,
        histogram=_histogram(images, feature, {line.tier: line.colour for line in now.tiers}),
        courses=_courses(images, pipeline),
        plates=plates[:PLATES_SHOWN],
        more_plates=len(plates[PLATES_SHOWN:]),
        lines=now.tiers,
        swatch=swatch,
    )


def features_of(images: Iterable[SampledImage]) -> list[str]:
    """Name the features that have a number for any image."""
    return sorted({name for image in images for name in image.features if _value(image, name) is not None})


def _value(image: SampledImage, name: str) -> float | None:
    value = image.features.get(name)
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return float(value) if math.isfinite(value) else None


def _main_feature(pipeline: Pipeline, names: Sequence[str]) -> str:
    spec = pipeline.interestingness
    wanted = str(spec.parameters.get("feature")) if spec is not None else ""
    return wanted if wanted in names else next(iter(names), "")


def _histogram(images: Iterable[SampledImage], feature: str, colours: Mapping[str, str]) -> Markup | None:
    groups: dict[str, list[float]] = {tier: [] for tier in colours}
    for image in images:
        value = _value(image, feature)
        if value is not None and image.tier in groups:
            groups[image.tier].append(value)
    return draw_histogram(groups, colours=colours, name=feature) if any(groups.values()) else None


def _courses(images: Sequence[SampledImage], pipeline: Pipeline) -> dict[str, Markup]:
    drawn = {"the stream": _over_index(images, pipeline), "time": _over_time(images, pipeline)}
    return {over: course for over, course in drawn.items() if course is not None}


def _over_index(images: Sequence[SampledImage], pipeline: Pipeline) -> Markup | None:
    placed = [(float(image.index), image) for image in images if image.index is not None]
    return _course(placed, "number of the image", pipeline)


def _over_time(images: Sequence[SampledImage], pipeline: Pipeline) -> Markup | None:
    if not images:
        return None
    first = min(image.taken_at for image in images)
    span = max(image.taken_at for image in images) - first
    unit, name = next((unit, name) for longest, unit, name in _UNITS if span < longest)
    placed = [((image.taken_at - first) / unit, image) for image in images]
    return _course(placed, f"{name} since the first image", pipeline)


def _course(placed: Sequence[tuple[float, SampledImage]], over: str, pipeline: Pipeline) -> Markup | None:
    scored = [(x, image, image.score) for x, image in placed if image.score is not None]
    if not scored:
        return None
    every = math.ceil(len(scored) / POINTS_SHOWN)
    points = [
        Point(x, score, score_colour(score), f"job {image.job_id}: score {score:.3f}, {image.tier}")
        for x, image, score in scored[::every]
    ]
    policy = pipeline.policy
    borders = [one.lo for one in policy.intervals[1:]] if isinstance(policy, IntervalPolicy) else []
    return draw_points(points, name="score", over=over, borders=borders)


def _plates(images: Iterable[SampledImage]) -> Iterator[Plate]:
    wells: dict[str, dict[Well, list[SampledImage]]] = defaultdict(lambda: defaultdict(list))
    for image in images:
        well = _well(image)
        if well is not None:
            wells[str(image.metadata.get("plate") or "")][well].append(image)
    for name in sorted(wells):
        cells = {
            well: Cell.of((image.score, image.tier) for image in members)
            for well, members in wells[name].items()
        }
        yield Plate(name, len(cells), draw_plate(cells))


def _well(image: SampledImage) -> Well | None:
    try:
        return Well.parse(str(image.metadata["well"]))
    except (KeyError, ValueError):
        return None
