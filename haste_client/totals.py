"""What a submission came to: how many jobs stand how, and what each tier got."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from haste_client import notebooks
from haste_client.results import Result
from haste_core.errors import Problem


@dataclass(frozen=True)
class SubmissionProgress:
    """How far a submission is.

    Attributes
    ----------
    jobs, open, done, failed : int
        ``jobs = open + done + failed``.
    refused : int
        Images that did not become a job.
    """

    jobs: int
    open: int
    done: int
    failed: int
    refused: int


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


def submission_html(
    stream_id: str, progress: SubmissionProgress, results: Sequence[Result], problems: Sequence[Problem]
) -> str:
    """Show a submission in a notebook: how far it is, what the tiers got, what failed and why."""
    drawn = notebooks.states(progress.jobs, done=progress.done, failed=progress.failed)
    shares = [
        notebooks.TierShare(one.tier, one.count, one.size_bytes, one.mean_score) for one in tiers_of(results)
    ]
    failed = [[result.source_id, result.message] for result in results if result.state == "failed"]
    failed += [[problem.where, problem.what] for problem in problems]
    why = [notebooks.table(["failed", "why"], failed)] if failed else []
    facts = {"images": progress.jobs, "refused": progress.refused or None}
    return notebooks.card(f"Submission to {stream_id}", facts, drawn, notebooks.tiers(shares), *why)


def _sum_up(tier: str, members: list[Result]) -> TierSummary:
    scores = [result.interestingness for result in members if result.interestingness is not None]
    size_bytes = sum(result.size_bytes or 0 for result in members)
    return TierSummary(tier, len(members), size_bytes, fmean(scores) if scores else None)


def _or_below_zero(score: float | None) -> float:
    return -1.0 if score is None else score
