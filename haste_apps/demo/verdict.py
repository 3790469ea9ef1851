"""The demo's verdict: whether every image reached its right end."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import fmean

from haste_client import Result
from haste_core.policies import IntervalPolicy
from haste_core.routing import path_from_file_url


@dataclass(frozen=True)
class Truth:
    """What the simulated microscope really showed.

    Attributes
    ----------
    defocus_um : float
        Distance from the focal plane.
    empty : bool
        No cells in the field.
    """

    defocus_um: float
    empty: bool


def faults(
    results: Sequence[Result],
    *,
    truth: Mapping[str, Truth],
    images_dir: Path,
    tiers_dir: Path,
    policy: IntervalPolicy,
) -> list[str]:
    """List what went wrong with the demo's images; nothing if all is right.

    Parameters
    ----------
    results : sequence of Result
    truth : mapping of str to Truth
        By source_id: what each image shows.
    images_dir, tiers_dir : Path
        Where the originals are, and the folders of the tiers.
    policy : IntervalPolicy
    """
    found = {result.source_id: result for result in results}
    wrong = [f"{name} was written, but never became a job" for name in truth if name not in found]
    wrong += [f"{name} became a job, but was never written" for name in found if name not in truth]
    for result in results:
        if result.source_id in truth:
            wrong += _faults_of(
                result, truth[result.source_id], images_dir=images_dir, tiers_dir=tiers_dir, policy=policy
            )
    return wrong + _order_faults(mean_defocus_by_tier(results, truth), policy)


def mean_defocus_by_tier(results: Sequence[Result], truth: Mapping[str, Truth]) -> dict[str, float]:
    """Average the true defocus of the fields with cells, in micrometres, by tier."""
    defocus: dict[str, list[float]] = defaultdict(list)
    for result in results:
        shown = truth.get(result.source_id)
        if shown is not None and not shown.empty and result.tier is not None:
            defocus[result.tier].append(abs(shown.defocus_um))
    return {tier: fmean(values) for tier, values in defocus.items()}


def _faults_of(
    result: Result, truth: Truth, *, images_dir: Path, tiers_dir: Path, policy: IntervalPolicy
) -> list[str]:
    name = result.source_id
    if result.state != "done":
        return [f"{name} is {result.state}: {result.message}"]
    if truth.empty != (result.tier == policy.undefined):
        shows = "is empty" if truth.empty else "shows cells"
        return [f"{name} {shows}, but went to {result.tier}"]
    if (due := _tier_due(result.interestingness, policy)) != result.tier:
        return [f"{name} has the score {result.interestingness}, that is {due}, but went to {result.tier}"]
    if result.place is None or not result.place.url.startswith("file:"):
        return [f"{name} is not in its tier, but at {result.place}"]
    stored = Path(path_from_file_url(result.place.url))
    if not stored.is_relative_to(tiers_dir / str(result.tier)):
        return [f"{name} belongs to {result.tier}, but is at {stored}"]
    return _content_faults(name, stored, result.place.sha256, images_dir / name)


def _tier_due(score: float | None, policy: IntervalPolicy) -> str:
    try:
        return policy.tier_for(score)
    except ValueError:
        return "no tier at all"  # it is no number between 0 and 1


def _content_faults(name: str, stored: Path, sha256: str | None, original: Path) -> list[str]:
    from haste_workers.imaging.read import read_image

    if not stored.is_file():
        return [f"{name} should be at {stored}, but is not"]
    if hashlib.sha256(stored.read_bytes()).hexdigest() != sha256:
        return [f"{stored} is not what was recorded: its SHA-256 differs"]
    if (read_image(stored).pixels != read_image(original).pixels).any():
        return [f"{stored} does not hold the pixels that the microscope wrote"]
    return []


def _order_faults(defocus: Mapping[str, float], policy: IntervalPolicy) -> list[str]:
    best_first = [interval.tier for interval in reversed(policy.intervals) if interval.tier in defocus]
    return [
        f"{better} should be in better focus than {worse}, but its mean defocus is larger"
        for better, worse in pairwise(best_first)
        if defocus[better] >= defocus[worse]
    ]
