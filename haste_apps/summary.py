"""The outcome of a run: counts, tiers, and one entry for each image."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from haste_client import Result


@dataclass(frozen=True)
class TierSummary:
    """What one tier got.

    Attributes
    ----------
    count : int
    size_bytes : int
    mean_score : float or None
        In [0, 1]; None if none of its images has a score.
    """

    tier: str
    count: int
    size_bytes: int
    mean_score: float | None


def tiers_of(results: Iterable[Result]) -> list[TierSummary]:
    """Sum up results by tier, the tier with the highest mean score first, without a score last."""
    by_tier: dict[str, list[Result]] = defaultdict(list)
    for result in results:
        if result.tier is not None:
            by_tier[result.tier].append(result)
    tiers = [_sum_up(tier, members) for tier, members in by_tier.items()]
    return sorted(tiers, key=lambda tier: (-_or_below_zero(tier.mean_score), tier.tier))


def summary_json(results: Sequence[Result], *, refused: int = 0) -> dict[str, Any]:
    """Write the outcome as the JSON object that `--json` prints as its last line.

    Parameters
    ----------
    results : sequence of Result
    refused : int
        Images that did not become a job; they count as failed.
    """
    return {
        "jobs": len(results) + refused,
        "done": sum(result.state == "done" for result in results),
        "failed": sum(result.state == "failed" for result in results) + refused,
        "tiers": {tier.tier: tier.count for tier in sorted(tiers_of(results), key=lambda one: one.tier)},
        "images": [
            {
                "source_id": result.source_id,
                "plls": result.plls,
                "interestingness": result.interestingness,
                "tier": result.tier,
                "state": result.state,
            }
            for result in results
        ],
    }


def _sum_up(tier: str, members: Sequence[Result]) -> TierSummary:
    scores = [result.interestingness for result in members if result.interestingness is not None]
    size_bytes = sum(result.size_bytes or 0 for result in members)
    return TierSummary(tier, len(members), size_bytes, fmean(scores) if scores else None)


def _or_below_zero(score: float | None) -> float:
    return -1.0 if score is None else score
