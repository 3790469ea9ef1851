"""The table of tiers, and what a policy and a function say about them."""

from __future__ import annotations

import math
from array import array
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from haste_apps.output import number_text, size_text
from haste_client.answers import ImageAnswer, PipelineAnswer
from haste_core.interestingness import value_of
from haste_core.score_ranges import Range, ranges_by_tier, ranges_text


@dataclass(frozen=True)
class TierRow:
    """One line of the table of tiers.

    Attributes
    ----------
    ranges : tuple of (float, float)
        The scores that the policy sends here, the best first; none where it does not decide by intervals.
    share : float
        Of all images, in [0, 1].
    mean_score, mean_feature : float or None
        Of those that have one.
    """

    tier: str
    ranges: tuple[Range, ...]
    count: int
    share: float
    size_bytes: int
    mean_score: float | None
    mean_feature: float | None
    holds_unscored: bool

    @property
    def range_text(self) -> str:
        """The scores that belong here, in the words of the table."""
        return ranges_text(self.ranges) or ("no score" if self.holds_unscored else "-")

    def as_texts(self) -> list[str]:
        """Write the line's cells, after the tier's name and range."""
        return [
            str(self.count),
            f"{self.share:.1%}",
            size_text(self.size_bytes),
            number_text(self.mean_score),
            number_text(self.mean_feature),
        ]


@dataclass
class _Members:
    """The images of a tier, as far as its line needs them: 16 bytes each."""

    count: int = 0
    size_bytes: int = 0
    # Not sums: these would depend on the order of the images, in the last digit.
    scores: array[float] = field(default_factory=lambda: array("d"))
    values: array[float] = field(default_factory=lambda: array("d"))

    def add(self, image: ImageAnswer, feature: str | None) -> None:
        self.count += 1
        self.size_bytes += image.size_bytes or 0
        if image.score is not None:
            self.scores.append(image.score)
        value = value_of(image.features, feature) if feature else None
        if value is not None:
            self.values.append(value)


def feature_of(pipeline: PipelineAnswer) -> str | None:
    """Name the feature that a pipeline's function reads, if it reads one."""
    name = _function(pipeline).get("parameters", {}).get("feature")
    return name if isinstance(name, str) else None


def intervals_of(pipeline: PipelineAnswer) -> list[tuple[float, float, str]]:
    """List a policy's intervals with their tiers, the best first; none if it decides otherwise."""
    given = (pipeline.policy or {}).get("intervals", ())
    return sorted(((float(one["lo"]), float(one["hi"]), str(one["tier"])) for one in given), reverse=True)


def score_borders(pipeline: PipelineAnswer) -> list[float]:
    """List the scores between the intervals of a policy."""
    return sorted(lo for lo, _, _ in intervals_of(pipeline) if 0 < lo < 1)


def feature_borders(pipeline: PipelineAnswer) -> list[float]:
    """List the values of the feature at which the score crosses from tier to tier.

    They are known of the logistic function, s = 1 / (1 + exp(-k (x - x0))): x = x0 + ln(s / (1 - s)) / k.
    """
    function = _function(pipeline)
    parameters = function.get("parameters", {})
    k, x0 = (value_of(parameters, name) for name in ("k", "x0"))
    if function.get("function") != "logistic" or not k or x0 is None:
        return []
    return sorted(x0 + math.log(score / (1 - score)) / k for score in score_borders(pipeline))


def tier_rows(images: Iterable[ImageAnswer], pipeline: PipelineAnswer) -> list[TierRow]:
    """Sum images up by tier.

    Tiers stand in the order of the policy's intervals, the best first, with those that got nothing; after
    them others by their mean score, and last the tier of images without a score.
    """
    feature = feature_of(pipeline)
    members: dict[str, _Members] = defaultdict(_Members)
    for image in images:
        members[image.tier].add(image, feature)
    total = sum(one.count for one in members.values())
    ranges = ranges_by_tier(intervals_of(pipeline))
    undefined = (pipeline.policy or {}).get("undefined")
    names = dict.fromkeys([*ranges, *sorted(members)])
    rows = [
        _row(
            tier,
            members[tier],
            of=total,
            ranges=ranges.get(tier, ()),
            holds_unscored=tier == undefined,
        )
        for tier in names
    ]
    return sorted(rows, key=_place)


def _row(
    tier: str,
    members: _Members,
    *,
    of: int,
    ranges: tuple[Range, ...],
    holds_unscored: bool,
) -> TierRow:
    return TierRow(
        tier=tier,
        ranges=ranges,
        count=members.count,
        share=members.count / of if of else 0.0,
        size_bytes=members.size_bytes,
        mean_score=fmean(members.scores) if members.scores else None,
        mean_feature=fmean(members.values) if members.values else None,
        holds_unscored=holds_unscored,
    )


def _place(row: TierRow) -> tuple[int, float, str]:
    if row.ranges:
        return 0, -row.ranges[0][0], row.tier
    unscored = row.holds_unscored or row.mean_score is None
    return (2, 0.0, row.tier) if unscored else (1, -(row.mean_score or 0.0), row.tier)


def _function(pipeline: PipelineAnswer) -> Mapping[str, Any]:
    return pipeline.interestingness or {}
