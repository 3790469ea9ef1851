"""The table of tiers, as all programs print it."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

from haste_apps.output import number_text, print_table, say, size_text
from haste_client import Result
from haste_client.totals import TierSummary, tiers_of

_HEADS = ("tier", "images", "size", "mean score")
_DEFOCUS_HEAD = "mean true defocus (µm)"


def show_tiers(
    results: Sequence[Result],
    *,
    left_out: int = 0,
    mean_defocus: Mapping[str, float] | None = None,
    as_json: bool,
) -> None:
    """Print the table of tiers on stdout, or on stderr if stdout is for JSON; and how many images ended how.

    Parameters
    ----------
    results : sequence of Result
    left_out : int
        Files and folders that did not become jobs.
    mean_defocus : mapping of str to float, optional
        In micrometres, by tier; where the truth is known.
    as_json : bool
    """
    done = sum(result.state == "done" for result in results)
    failed = sum(result.state == "failed" for result in results)
    more = f"; {left_out} left out" if left_out else ""
    say(f"{len(results)} images: {done} done, {failed} failed{more}")
    tiers = tiers_of(results)
    if not tiers:
        return
    rows = [_row(tier) for tier in tiers]
    heads = list(_HEADS)
    if mean_defocus is not None:
        heads.append(_DEFOCUS_HEAD)
        for row, tier in zip(rows, tiers, strict=True):
            row.append(number_text(mean_defocus.get(tier.tier), 2))
    print_table(heads, rows, numbers=set(heads) - {"tier"}, file=sys.stderr if as_json else sys.stdout)


def _row(tier: TierSummary) -> list[str]:
    return [tier.tier, str(tier.count), size_text(tier.size_bytes), number_text(tier.mean_score)]
