"""What the demo shows at its end."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from haste_apps.output import print_json, say
from haste_apps.summary import summary_json
from haste_client import Result


def show_end(
    results: Sequence[Result], *, refused: int = 0, report: Path, hints: Sequence[str], as_json: bool
) -> None:
    """Name the report, say how to go on, and print the JSON object if asked."""
    say(f"Report: {report}")
    for hint in hints:
        say(hint)
    if as_json:
        print_json(summary_json(results, refused=refused))
