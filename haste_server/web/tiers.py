"""The tiers of a stream: their order, colours and shares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from haste_core.pipelines import Pipeline
from haste_core.policies import IntervalPolicy
from haste_core.score_ranges import Range, ranges_by_tier, ranges_text
from haste_core.stores import TierCount
from haste_runtime.drawing import UNSCORED, element, score_colour

_BAR_WIDTH, _BAR_HEIGHT = 1000, 14  # in SVG units; the page stretches it
_NOTHING = TierCount(count=0, size_bytes=0, mean_score=None)


@dataclass(frozen=True)
class TierLine:
    """One tier of a stream.

    Attributes
    ----------
    ranges : tuple of (float, float)
        The scores that the policy sends here, the best first; none where it does not decide by intervals.
    share : float
        Of the images that have a decision, in [0, 1].
    """

    tier: str
    ranges: tuple[Range, ...]
    count: int
    share: float
    size_bytes: int
    mean_score: float | None
    colour: str

    @property
    def range_text(self) -> str:
        """The scores that belong here, in the words of the table."""
        return ranges_text(self.ranges) or "-"


def tier_lines(tiers: Mapping[str, TierCount], pipeline: Pipeline) -> list[TierLine]:
    """List tiers, those of the policy's intervals first, the best at the top, also if they are empty."""
    policy = pipeline.policy
    intervals = policy.intervals if isinstance(policy, IntervalPolicy) else ()
    ranges = ranges_by_tier((one.lo, one.hi, one.tier) for one in intervals)
    others = sorted(set(tiers) - ranges.keys(), key=lambda name: _place(name, tiers[name]))
    images = sum(tier.count for tier in tiers.values())
    return [
        _line(name, tiers.get(name, _NOTHING), ranges.get(name, ()), images) for name in [*ranges, *others]
    ]


def share_bar(lines: Sequence[TierLine]) -> Markup:
    """Draw shares as one bar; empty where nothing was decided yet."""
    pieces, left = [], 0.0
    for line in lines:
        if line.count:
            said = element("title", f"{line.tier}: {line.count}")
            width = _BAR_WIDTH * line.share
            pieces.append(
                element("rect", said, x=left, y=0, width=width, height=_BAR_HEIGHT, fill=line.colour)
            )
            left += width
    if not pieces:
        return Markup("")
    return element(
        "svg",
        *pieces,
        viewBox=f"0 0 {_BAR_WIDTH} {_BAR_HEIGHT}",
        preserveAspectRatio="none",
        class_="bar",
        role="img",
        aria_label=shares_text(lines),
    )


def shares_text(lines: Sequence[TierLine]) -> str:
    """Say the same in words."""
    return ", ".join(f"{line.tier} {line.count}" for line in lines if line.count)


def swatch(colour: str) -> Markup:
    """Draw the key to a colour."""
    box = element("rect", width=10, height=10, fill=colour)
    return element("svg", box, viewBox="0 0 10 10", class_="key", aria_hidden="true")


def _line(name: str, tier: TierCount, ranges: tuple[Range, ...], images: int) -> TierLine:
    middle = sum(ranges[0]) / 2 if ranges else tier.mean_score
    return TierLine(
        tier=name,
        ranges=ranges,
        count=tier.count,
        share=tier.count / images if images else 0.0,
        size_bytes=tier.size_bytes,
        mean_score=tier.mean_score,
        colour=UNSCORED if middle is None else score_colour(middle),
    )


def _place(name: str, tier: TierCount) -> tuple[bool, float, str]:
    return tier.mean_score is None, -(tier.mean_score or 0.0), name
