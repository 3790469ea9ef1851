"""How the scores of a stream are spread: the histogram with the policy's borders, and examples by tier."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from markupsafe import Markup

from haste_core.figures import ImageRow, ScoreBin
from haste_core.pipelines import Pipeline
from haste_core.policies import IntervalPolicy
from haste_runtime.charts import Bin, draw_bins
from haste_server.web.pages import pages
from haste_server.web.tiers import TierLine

FINE_BINS = 200
"""Borders are dragged in steps of these: what would move is then counted without asking the server."""

BARS = 40
EXAMPLES = 6
"""Pictures of each tier."""

Spread = Mapping[str, Mapping[int, ScoreBin]]


@dataclass(frozen=True)
class Gallery:
    """Pictures of images of one tier, from high to low scores."""

    line: TierLine
    images: Sequence[ImageRow]


@dataclass(frozen=True)
class ScoreFigure:
    """How scores are spread.

    Attributes
    ----------
    histogram : Markup
    data : str
        The same as JSON, for the script that moves borders.
    galleries : list of Gallery
        For each tier that images of the stream are in, or may get to.
    """

    histogram: Markup
    data: str
    galleries: list[Gallery]


def score_figure(stream_id: str, lines: Sequence[TierLine], pipeline: Pipeline) -> ScoreFigure | None:
    """Draw how scores are spread; None where there are none."""
    spread = pages().kept.get(
        ("scores", stream_id), lambda: pages().figures.score_spread(stream_id, bins=FINE_BINS)
    )
    if not spread:
        return None
    policy = pipeline.policy
    intervals = policy.intervals if isinstance(policy, IntervalPolicy) else ()
    borders = [one.hi for one in intervals[:-1]]
    histogram = draw_bins(
        _bars(spread, [line.tier for line in lines]),
        colours={line.tier: line.colour for line in lines},
        name="score",
        borders=borders,
        between=[f"{lower.tier} and {upper.tier}" for lower, upper in pairwise(intervals)],
    )
    data = {
        "bins": FINE_BINS,
        "bars": BARS,
        "borders": borders,
        "intervals": [one.tier for one in intervals],
        "tiers": [[line.tier, line.colour, line.count, line.size_bytes] for line in lines],
        "spread": {
            tier: [[number, one.count, one.size_bytes] for number, one in sorted(bins.items())]
            for tier, bins in spread.items()
        },
    }
    return ScoreFigure(histogram, json.dumps(data, separators=(",", ":")), _galleries(lines, spread))


def _bars(spread: Spread, tiers: Sequence[str]) -> list[Bin]:
    shown = [tier for tier in tiers if tier in spread]
    counts = {tier: [0] * BARS for tier in shown}
    for tier in shown:
        for number, one in spread[tier].items():
            counts[tier][number * BARS // FINE_BINS] += one.count
    return [
        Bin(number / BARS, (number + 1) / BARS, {tier: counts[tier][number] for tier in shown})
        for number in range(BARS)
    ]


def _galleries(lines: Sequence[TierLine], spread: Spread) -> list[Gallery]:
    chosen = {line.tier: examples(spread.get(line.tier, {})) for line in lines}
    wanted = [job_id for job_ids in chosen.values() for job_id in job_ids]
    found = {row.job_id: row for row in pages().figures.rows_of(wanted)}
    return [
        Gallery(line, sorted((found[one] for one in chosen[line.tier] if one in found), key=_falling))
        for line in lines
        if line.ranges or chosen[line.tier]
    ]


def examples(bins: Mapping[int, ScoreBin]) -> list[int]:
    """Choose jobs of a tier that stand for all of it: at even distances in the order of their scores."""
    numbers = sorted(bins)
    jobs = [job_id for number in numbers for job_id in dict.fromkeys(bins[number].examples)]
    if len(jobs) <= EXAMPLES:
        return jobs
    ends = list(accumulate(bins[number].count for number in numbers))
    ranks = [place * (ends[-1] - 1) / (EXAMPLES - 1) for place in range(EXAMPLES)]
    spread_out = [
        bins[next(number for number, end in zip(numbers, ends, strict=True) if rank < end)].examples[-1]
        for rank in ranks
    ]
    return list(dict.fromkeys([*spread_out, *jobs]))[:EXAMPLES]


def _falling(row: ImageRow) -> tuple[float, int]:
    return -(row.score or 0.0), row.job_id
