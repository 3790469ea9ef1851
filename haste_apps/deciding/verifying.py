"""`haste verify`: whether all decisions of a stream are what their records say."""

from __future__ import annotations

from dataclasses import asdict

from haste_apps.output import print_json, print_table, say
from haste_client import HasteClient
from haste_client.verification import Verdict
from haste_runtime.exit_codes import ExitCode


def verify(client: HasteClient, stream_id: str, *, as_json: bool) -> ExitCode:
    """Make all decisions of a stream once more from their records, and print what differs.

    Raises
    ------
    NotFoundError
        If there is no such stream.
    """
    verdict = client.verify(stream_id)
    if as_json:
        print_json(
            {
                "decisions": verdict.decisions,
                "origins": dict(verdict.origins),
                "differences": [asdict(found) for found in verdict.differences],
                "not_verified": dict(verdict.not_verified),
            }
        )
    elif verdict.differences:
        heads = ["decision", "job", "image", "what is wrong"]
        rows = [
            [str(one.decision_id), str(one.job_id), one.source_id, one.what] for one in verdict.differences
        ]
        print_table(heads, rows, numbers={"decision", "job"})
    _sum_up(stream_id, verdict)
    return ExitCode.WORK_FAILED if verdict.differences else ExitCode.DONE


def _sum_up(stream_id: str, verdict: Verdict) -> None:
    for why, count in verdict.not_verified.items():
        say(f"{count} scores or tiers were not computed again: {why}.")
    kinds = ", ".join(f"{count} {origin}" for origin, count in sorted(verdict.origins.items()))
    wrong = len(verdict.differences)
    found = f"{wrong} are not what their records say" if wrong else "all are what their records say"
    say(f"{verdict.decisions} decisions of stream {stream_id} ({kinds or 'none yet'}): {found}.")
