"""The contact sheet: one HTML file with thumbnails by tier and a histogram of the scores."""

from __future__ import annotations

import base64
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from haste_apps.output import number_text, size_text
from haste_apps.summary import tiers_of
from haste_client import Result
from haste_core.errors import HasteError

THUMBNAILS_PER_TIER = 60
"""Of 8 kB each, so that a report of five tiers stays a few megabytes whatever the number of images."""

THUMBNAIL_PX = 160
FAILURES_LISTED = 200
HISTOGRAM_BINS = 40
_WIDTH, _HEIGHT, _MARGIN = 800, 180, 30  # of the histogram, in SVG units

Thumbnail = Callable[[Path], bytes]
"""Makes a JPEG of an image file; raises HasteError if it cannot."""


@dataclass(frozen=True)
class ReportInput:
    """What the contact sheet shows.

    Attributes
    ----------
    title : str
    results : sequence of Result
    paths : mapping of str to Path
        The image file of each source_id; images without one are shown without a thumbnail.
    policy : mapping
        The stream's interval policy as JSON, for the tiers' borders.
    warnings : sequence of str
        What makes the scores doubtful.
    """

    title: str
    results: Sequence[Result]
    paths: Mapping[str, Path]
    policy: Mapping[str, Any]
    warnings: Sequence[str] = ()


def write_report(path: Path, content: ReportInput, *, thumbnail: Thumbnail | None = None) -> None:
    """Write the contact sheet.

    Parameters
    ----------
    path : Path
        Of the HTML file; it refers to no other file and no other site.
    content : ReportInput
    thumbnail : callable, optional
        Default: of TIFF, PNG and JPEG, stretched so that dim fields are visible.
    """
    environment = Environment(
        loader=PackageLoader("haste_apps"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    html = environment.get_template("report.html").render(
        title=content.title,
        warnings=content.warnings,
        counts=_counts(content.results),
        tiers=_tiers(content, thumbnail or image_thumbnail),
        histogram=_histogram(content.results, content.policy),
        failures=[result for result in content.results if result.state == "failed"][:FAILURES_LISTED],
    )
    path.write_text(html, encoding="utf-8")


def image_thumbnail(path: Path) -> bytes:
    """Make a small greyscale JPEG of an image file."""
    from haste_workers.imaging.read import read_image
    from haste_workers.imaging.thumbnail import thumbnail_jpeg

    return thumbnail_jpeg(read_image(path).pixels, THUMBNAIL_PX)


def spread(items: Sequence[Result], count: int) -> list[Result]:
    """Choose up to `count` items at even distances, the first and the last among them."""
    if len(items) <= count:
        return list(items)
    return [items[round(number * (len(items) - 1) / (count - 1))] for number in range(count)]


def _counts(results: Sequence[Result]) -> dict[str, int]:
    return {
        "images": len(results),
        "done": sum(result.state == "done" for result in results),
        "failed": sum(result.state == "failed" for result in results),
    }


def _tiers(content: ReportInput, thumbnail: Thumbnail) -> list[dict[str, Any]]:
    members: dict[str, list[Result]] = defaultdict(list)
    for result in sorted(content.results, key=_by_score):
        if result.tier is not None:
            members[result.tier].append(result)
    tiers = []
    for tier in tiers_of(content.results):
        shown = spread(members[tier.tier], THUMBNAILS_PER_TIER)
        tiers.append(
            {
                "name": tier.tier,
                "count": tier.count,
                "size": size_text(tier.size_bytes),
                "mean_score": number_text(tier.mean_score),
                "more": tier.count - len(shown),
                "images": [_image(result, content.paths, thumbnail) for result in shown],
            }
        )
    return tiers


def _by_score(result: Result) -> tuple[float, str]:
    score = -1.0 if result.interestingness is None else result.interestingness
    return -score, result.source_id


def _image(result: Result, paths: Mapping[str, Path], thumbnail: Thumbnail) -> dict[str, str]:
    return {
        "name": result.source_id,
        "score": number_text(result.interestingness),
        "plls": number_text(result.plls),
        "message": result.message,
        "jpeg": _jpeg(paths.get(result.source_id), thumbnail),
    }


def _jpeg(path: Path | None, thumbnail: Thumbnail) -> str:
    if path is None:
        return ""
    try:
        return base64.b64encode(thumbnail(path)).decode()
    except (HasteError, OSError):
        # The image was scored; that it cannot be drawn now (a NAS that is away) spoils no report.
        return ""


def _histogram(results: Iterable[Result], policy: Mapping[str, Any]) -> dict[str, Any]:
    """Lay out the bars, and the borders and names of the tiers, in SVG units."""
    scores = [result.interestingness for result in results if result.interestingness is not None]
    bins = Counter(min(int(score * HISTOGRAM_BINS), HISTOGRAM_BINS - 1) for score in scores)
    highest = max(bins.values(), default=1)
    intervals = policy.get("intervals", ())
    edges = {0.0, 1.0, *(float(interval["lo"]) for interval in intervals)}
    return {
        "width": _WIDTH + 2 * _MARGIN,
        "height": _HEIGHT + 2 * _MARGIN,
        "left": _MARGIN,
        "right": _MARGIN + _WIDTH,
        "top": _MARGIN,
        "bottom": _MARGIN + _HEIGHT,
        "highest": highest,
        "bars": [_bar(number, count, highest) for number, count in sorted(bins.items())],
        "borders": [{"x": _x(edge), "label": f"{edge:g}"} for edge in sorted(edges)],
        "tiers": [
            {"x": _x((interval["lo"] + interval["hi"]) / 2), "name": interval["tier"]}
            for interval in intervals
        ],
    }


def _bar(number: int, count: int, highest: int) -> dict[str, float | str]:
    low, high = number / HISTOGRAM_BINS, (number + 1) / HISTOGRAM_BINS
    return {
        "x": _x(low),
        "y": _MARGIN + _HEIGHT * (1 - count / highest),
        "width": _x(high) - _x(low) - 1,
        "height": _HEIGHT * count / highest,
        "label": f"{low:.3f} to {high:.3f}: {count} images",
    }


def _x(score: float) -> float:
    return _MARGIN + _WIDTH * score
