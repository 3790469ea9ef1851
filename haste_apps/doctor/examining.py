"""`haste doctor`: all that is looked at, in the order in which one thing needs the other."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace
from importlib.metadata import version
from itertools import groupby

from haste_apps.doctor.computer import examine_settings, examine_watching
from haste_apps.doctor.findings import Finding, Outcome, unknown
from haste_apps.doctor.server import examine_parts, examine_token, reach
from haste_apps.doctor.workers import CHECKS, examine_workers
from haste_apps.output import line_width, print_json, print_line, say
from haste_client import HasteClient, InvalidError
from haste_client.settings import ClientSettings, gather_settings
from haste_runtime.configuration import Gathered
from haste_runtime.exit_codes import ExitCode

_PATIENCE_S = 1.0
_OF_SERVER = ("token", "database", "broker", "engine", *CHECKS)
_OUTCOME_WIDTH, _CHECK_WIDTH = 9, 10


def examine(server: str | None, token: str | None) -> Iterator[Finding]:
    """Look at this computer, the server, and the server's parts and workers.

    Parameters
    ----------
    server, token : str, optional
        As on the command line.
    """
    try:
        gathered = gather_settings(url=server, token=token)
    except InvalidError as error:
        yield from examine_settings(error)
        yield from _not_looked_at(("server", "clocks", *_OF_SERVER), "the settings are wrong")
    else:
        yield from examine_settings(gathered)
        yield from _examine_server(gathered, server, token)
    yield examine_watching()


def _examine_server(
    gathered: Gathered[ClientSettings], server: str | None, token: str | None
) -> Iterator[Finding]:
    with HasteClient(server, token, retry_for_s=_PATIENCE_S) as client:
        reached = reach(client, is_chosen="server_url" in gathered.origins)
        yield from reached.findings
        if reached.health is None:
            yield from _not_looked_at(("clocks", *_OF_SERVER), "the server does not answer")
            return
        own = None if gathered.settings.token is None else gathered.origins.get("token", "")
        admitted = examine_token(client, own, now=time.time())
        yield admitted
        yield from examine_parts(client)
        if admitted.outcome in (Outcome.WRONG, Outcome.UNKNOWN):
            yield from _not_looked_at(CHECKS, "the server tells that to good tokens only")
        else:
            yield from examine_workers(client, here=version("haste-server"), at_server=reached.health.version)


def _not_looked_at(checks: Iterable[str], why: str) -> Iterator[Finding]:
    for check in checks:
        yield unknown(check, f"not known: {why}")


def doctor(server: str | None, token: str | None, *, as_json: bool) -> ExitCode:
    """Print what is found.

    Returns
    -------
    ExitCode
        `WORK_FAILED` if something is wrong; warnings are told only.
    """
    findings = list(examine(server, token))
    count = sum(finding.outcome is Outcome.WRONG for finding in findings)
    if as_json:
        print_json({"well": not count, "findings": [asdict(finding) for finding in findings]})
    else:
        _show(findings)
        say(_sum_up(findings, count))
    return ExitCode.WORK_FAILED if count else ExitCode.DONE


def _show(findings: Iterable[Finding]) -> None:
    # What is not known for one reason takes one line.
    for _, alike in groupby(findings, key=lambda one: (one.outcome, one.said, one.remedy)):
        first, *others = alike
        if others:
            names = ", ".join(one.check for one in (first, *others))
            first = replace(first, check="", said=f"{names}: {first.said}")
        _show_one(first)


def _show_one(finding: Finding) -> None:
    margin = " " * (_OUTCOME_WIDTH + _CHECK_WIDTH)
    head = f"{finding.outcome.value:<{_OUTCOME_WIDTH}}{finding.check:<{_CHECK_WIDTH}}"
    print_line(_wrapped(finding.said, head, margin))
    if finding.remedy:
        print_line(_wrapped(finding.remedy, f"{margin}-> ", f"{margin}   "))


def _wrapped(text: str, first: str, margin: str) -> str:
    width = max(line_width(), len(margin) + 20)
    # Addresses and commands stay whole, so that they can be copied.
    return textwrap.fill(
        text,
        width,
        initial_indent=first,
        subsequent_indent=margin,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _sum_up(findings: Iterable[Finding], wrong_count: int) -> str:
    warned = sum(finding.outcome is Outcome.WARNING for finding in findings)
    said = "All is well" if not wrong_count else f"{wrong_count} wrong: begin with the first"
    return f"{said}; {warned} to look after" if warned else said
