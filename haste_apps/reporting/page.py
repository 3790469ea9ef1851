"""The report as one HTML page that needs nothing else."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from haste_apps.output import number_text, size_text
from haste_apps.reporting.plates import PLATES_SHOWN, by_plate, cell_of, draw_grid
from haste_apps.reporting.provenance import changes, makings
from haste_apps.reporting.spool import Answers
from haste_apps.reporting.spots import Spot, spots_of
from haste_apps.reporting.thumbnails import Thumbnail, as_base64, spread
from haste_apps.reporting.tiers import (
    TierRow,
    feature_borders,
    feature_of,
    score_borders,
    tier_rows,
)
from haste_apps.reporting.times import rows_by_time
from haste_client.answers import DecisionAnswer, ImageAnswer, PipelineAnswer, StreamAnswer
from haste_core.interestingness import value_of
from haste_runtime.drawing import UNSCORED, score_colour
from haste_runtime.histograms import draw_histogram
from haste_runtime.plates import draw_plate

THUMBNAILS_PER_TIER = 60
"""Of 8 kB each, so that a report of five tiers stays a few megabytes whatever the number of images."""

FAILURES_LISTED = 200


@dataclass(frozen=True)
class Report:
    """What a report tells.

    Attributes
    ----------
    stream : StreamAnswer
    images : Answers of ImageAnswer
        All objects of the stream that were decided about, those that were deleted since included. They
        may be many: nothing holds them all.
    decisions : Answers of DecisionAnswer
        All that were ever made about them.
    made_at : float
        Seconds since 1970.
    title : str
    failures : sequence of (str, str)
        Names of images whose jobs have failed, and why.
    warnings : sequence of str
        What makes the scores doubtful.
    """

    stream: StreamAnswer
    images: Answers[ImageAnswer]
    decisions: Answers[DecisionAnswer]
    made_at: float
    title: str
    failures: Sequence[tuple[str, str]] = ()
    warnings: Sequence[str] = ()

    @property
    def kept(self) -> Iterator[ImageAnswer]:
        """The images that were not deleted from a trash."""
        return (image for image in self.images if image.deleted_at is None)

    @property
    def deleted_bytes(self) -> int:
        """What the deleted images held."""
        return sum(image.size_bytes or 0 for image in self.images if image.deleted_at is not None)


def draw_page(report: Report, thumbnail: Thumbnail) -> str:
    """Write the page: histograms, table of tiers, plates, grid, thumbnails, and how it was decided.

    Parameters
    ----------
    report : Report
    thumbnail : callable
        Draws an image, or gives None.
    """
    environment = Environment(
        loader=PackageLoader("haste_apps"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    feature = feature_of(report.stream.pipeline)
    rows = tier_rows(report.kept, report.stream.pipeline)
    count = sum(row.count for row in rows)
    colours = {row.tier: _colour(row) for row in rows}
    spots = list(spots_of(report.images, feature))
    sheets = _sheets(rows, report.images, spots, thumbnail, feature)
    return environment.get_template("report.html").render(
        report=report,
        count=count,
        deleted=len(report.images) - count,
        deleted_size=size_text(report.deleted_bytes),
        made_at=_time_text(report.made_at),
        pipeline=report.stream.pipeline,
        feature=feature,
        rows=rows,
        colours=colours,
        histograms=_histograms(report.stream.pipeline, spots, colours),
        plates=_plates(spots),
        sheets=[sheet for sheet in sheets if sheet["count"]],
        unreadable=sum(sheet["unreadable"] for sheet in sheets),
        makings=makings(report.decisions),
        changes=changes(report.decisions),
        time_text=_time_text,
        scale=[score_colour(step / 10) for step in range(11)],
        failures=report.failures[:FAILURES_LISTED],
    )


def pictures_in(images: Iterable[ImageAnswer]) -> int:
    """Count how many images the page shows."""
    counts = Counter(image.tier for image in images)
    return sum(min(count, THUMBNAILS_PER_TIER) for count in counts.values())


def _colour(row: TierRow) -> str:
    """Colour a tier as the scores in the middle of it."""
    if row.ranges:
        return score_colour(sum(row.ranges[0]) / 2)
    return UNSCORED if row.holds_unscored else score_colour(row.mean_score)


def _histograms(pipeline: PipelineAnswer, spots: Iterable[Spot], colours: Mapping[str, str]) -> list[Markup]:
    """Draw the score, and the feature that it was made from, as far as images have them."""
    scores: dict[str, list[float]] = {tier: [] for tier in colours}
    values: dict[str, list[float]] = {tier: [] for tier in colours}
    for spot in spots:
        if spot.score is not None:
            scores[spot.tier].append(spot.score)
        if spot.value is not None:
            values[spot.tier].append(spot.value)
    drawn = []
    if any(scores.values()):
        borders = score_borders(pipeline)
        drawn.append(draw_histogram(scores, colours=colours, name="score", span=(0, 1), borders=borders))
    if any(values.values()):
        borders = feature_borders(pipeline)
        drawn.append(draw_histogram(values, colours=colours, name=str(feature_of(pipeline)), borders=borders))
    return drawn


def _plates(spots: Iterable[Spot]) -> dict[str, Any]:
    plates = by_plate(spots)
    shown = []
    for name, wells in list(plates.items())[:PLATES_SHOWN]:
        times = rows_by_time(wells)
        shown.append(
            {
                "name": name,
                "map": draw_plate({well: cell_of(members) for well, members in wells.items()}),
                "grid": draw_grid(times) if times else None,
                "images": sum(map(len, wells.values())),
                "wells": len(wells),
            }
        )
    return {"shown": shown, "more": len(plates) - len(shown)}


def _sheets(
    rows: Iterable[TierRow],
    images: Answers[ImageAnswer],
    spots: Iterable[Spot],
    thumbnail: Thumbnail,
    feature: str | None,
) -> list[dict[str, Any]]:
    """Draw images of each tier, at even distances in the order of their scores."""
    members: dict[str, list[Spot]] = defaultdict(list)
    for spot in spots:
        members[spot.tier].append(spot)
    chosen = {
        tier: spread(sorted(there, key=_best_first), THUMBNAILS_PER_TIER) for tier, there in members.items()
    }
    numbers = {spot.number for shown in chosen.values() for spot in shown}
    shown = {number: image for number, image in enumerate(images) if number in numbers}
    return [
        _sheet(
            row,
            [shown[spot.number] for spot in chosen.get(row.tier, ())],
            thumbnail=thumbnail,
            feature=feature,
        )
        for row in rows
    ]


def _sheet(
    row: TierRow, shown: Iterable[ImageAnswer], *, thumbnail: Thumbnail, feature: str | None
) -> dict[str, Any]:
    drawn = [_figure(image, as_base64(thumbnail(image)), feature) for image in shown]
    return {
        "tier": row.tier,
        "count": row.count,
        "figures": drawn,
        "more": row.count - len(drawn),
        "unreadable": sum(not figure["jpeg"] for figure in drawn),
    }


def _best_first(spot: Spot) -> tuple[float, str]:
    return (1.0 if spot.score is None else -spot.score), spot.source_id


def _figure(image: ImageAnswer, jpeg: str, feature: str | None) -> dict[str, str]:
    value = number_text(value_of(image.features, feature)) if feature else None
    return {
        "jpeg": jpeg,
        "name": image.source_id,
        "caption": f"score\u00a0{number_text(image.score)}" + (f", {feature}\u00a0{value}" if value else ""),
        "reason": image.reason,
    }


def _time_text(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
