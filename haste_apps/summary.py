"""The outcome of a run: counts, tiers, and one entry for each image."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from haste_client import Result
from haste_client.totals import tiers_of


def failure_lines(results: Iterable[Result]) -> list[str]:
    """Say why images failed: one line for those whose messages differ in the images' names only."""
    alike: dict[str, list[Result]] = defaultdict(list)
    for result in results:
        if result.state == "failed":
            alike[result.message.replace(result.source_id, "\0")].append(result)
    return [
        f"{first.source_id}{f' and {len(others)} more' if others else ''}: {first.message}"
        for first, *others in alike.values()
    ]


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
