"""The server: whether it answers, what the token is good for, and whether its parts work."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from haste_apps.doctor.findings import Finding, ok, unknown, warning, wrong
from haste_client import (
    AccessDeniedError,
    HasteClient,
    HasteError,
    InvalidError,
    ServerUnreachableError,
    TransientError,
)
from haste_client.errors import CertificateError
from haste_client.liveness import HealthAnswer
from haste_client.settings import config_path
from haste_client.tokens import OwnTokenAnswer
from haste_core.ports import Clock
from haste_runtime.loopback import is_this_machine

CLOCK_TOLERANCE_S = 10.0
"""More than an answer takes, with a server that tells whole seconds."""

SOON_S = 7 * 86_400.0
"""A token that ends within a week should be replaced now."""

_HOW_TO_GET_IN = (
    "Ask whoever runs the server for a token (haste token create NAME --scope submit), and put it into "
    "HASTE_TOKEN, or as token into the client's YAML file."
)
_PARTS = {
    "database": (
        "Whoever runs the server: see that the database runs, and that database_url names it "
        "(haste-server check-config)."
    ),
    "broker": (
        "Whoever runs the server: see that RabbitMQ runs, and that broker_url names it "
        "(haste-server check-config)."
    ),
    "engine": "Whoever runs the server: look at its log, and start haste-server again.",
}
_GOES_ON = "What is submitted meanwhile waits; nothing is lost."


@dataclass(frozen=True)
class Reached:
    """How the server was found.

    Attributes
    ----------
    findings : tuple of Finding
    health : HealthAnswer or None
        None: it does not answer.
    """

    findings: tuple[Finding, ...]
    health: HealthAnswer | None


def reach(client: HasteClient, *, is_chosen: bool, clock: Clock = time.time) -> Reached:
    """Look whether the server answers, and whether its clock goes as this computer's.

    Parameters
    ----------
    client : HasteClient
    is_chosen : bool
        Whether anybody has said which server it is.
    clock : callable
    """
    before = clock()
    try:
        health = client.health()
    except HasteError as error:
        return Reached((_not_reached(client.url, error, is_chosen=is_chosen),), None)
    answers = ok("server", f"{client.url} answers, version {health.version}")
    return Reached((answers, _clock(health.sent_at, (before + clock()) / 2)), health)


def _not_reached(url: str, error: HasteError, *, is_chosen: bool) -> Finding:
    if isinstance(error, CertificateError):
        return wrong(
            "server", str(error), "Ask whoever runs the server for that file, or for its right name."
        )
    if isinstance(error, InvalidError):
        return wrong("server", str(error), "Correct the server's address: --server, or HASTE_SERVER_URL.")
    reason = error.reason if isinstance(error, ServerUnreachableError) else str(error)
    return wrong("server", f"no HASTE server answers at {url}: {reason}", _way_to(url, is_chosen=is_chosen))


def _way_to(url: str, *, is_chosen: bool) -> str:
    if not is_this_machine(url):
        return (
            "Compare the address with what the lab uses; look at the network and the VPN; ask whoever runs "
            "the server whether it runs."
        )
    start = "Start it on this computer with haste-server"
    if is_chosen:
        return f"{start}."
    return f"{start}, or name the lab's server: in HASTE_SERVER_URL, or as server_url in {config_path()}."


def _clock(sent_at: float | None, here: float) -> Finding:
    if sent_at is None:
        return unknown("clocks", "the server does not tell its time")
    ahead_s = here - (sent_at + 0.5)  # whole seconds are told
    if abs(ahead_s) <= CLOCK_TOLERANCE_S:
        return ok("clocks", "this computer's clock goes as the server's")
    return warning(
        "clocks",
        f"this computer's clock is {abs(ahead_s):.0f} s {_side(ahead_s)} the server's",
        "Let both set their clocks by the network (NTP): times that are shown, and ends of tokens, are off.",
    )


def _side(ahead_s: float) -> str:
    return "ahead of" if ahead_s > 0 else "behind"


def examine_parts(client: HasteClient) -> Iterator[Finding]:
    """Look at database, broker and engine, as the server sees them."""
    try:
        parts = client.readiness()
    except HasteError as error:
        for part in _PARTS:
            yield unknown(part, str(error))
        return
    for part, remedy in _PARTS.items():
        told = getattr(parts, part)
        yield ok(part, "works") if told == "ok" else wrong(part, told, f"{remedy} {_GOES_ON}")


def examine_token(client: HasteClient, origin: str | None, *, now: float) -> Finding:
    """Look what the token is good for.

    Parameters
    ----------
    client : HasteClient
    origin : str, optional
        Where the token came from; None: there is none.
    now : float
    """
    try:
        own = client.own_token()
    except AccessDeniedError as error:
        if origin is None:
            return wrong("token", "the server asks for a token, and there is none", _HOW_TO_GET_IN)
        return wrong("token", f"the server does not take the token from {origin}: {error}", _HOW_TO_GET_IN)
    except TransientError as error:
        return unknown("token", str(error))
    except HasteError as error:
        return wrong("token", str(error), "Let this computer and the server have the same version of HASTE.")
    return _token_finding(own, now=now)


def _token_finding(own: OwnTokenAnswer, *, now: float) -> Finding:
    if not own.is_asked_for:
        return ok("token", "the server asks for none")
    said = f"{own.name}, good for {', '.join(own.scopes)} in {_projects_text(own)}"
    if own.expires_at is not None:
        said += f", until {time.strftime('%Y-%m-%d %H:%M', time.localtime(own.expires_at))}"
        if own.expires_at - now < SOON_S:
            return warning("token", said, f"It ends soon. {_HOW_TO_GET_IN}")
    if "submit" not in own.scopes:
        return warning("token", f"{said}: it can look, and submit nothing", f"To submit: {_HOW_TO_GET_IN}")
    return ok("token", said)


def _projects_text(own: OwnTokenAnswer) -> str:
    return "all projects" if own.projects is None else f"the projects {', '.join(own.projects)}"
