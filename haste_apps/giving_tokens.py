"""Making tokens, listing them, taking them back."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from datetime import datetime

from haste_apps.output import print_json, print_line, print_table, say, size_text
from haste_client import HasteClient
from haste_client.tokens import TokenAnswer
from haste_core.errors import InvalidError, Problem

_UNITS_S = {"h": 3600.0, "d": 86_400.0}
_POWERS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


def create_token(
    client: HasteClient,
    name: str,
    scopes: Sequence[str],
    *,
    projects: Sequence[str] | None,
    expires: str | None,
    upload_quota: str | None,
    as_json: bool,
) -> None:
    """Make a token, and print its secret.

    Raises
    ------
    InvalidError
        If `expires` or `upload_quota` cannot be read.
    ConflictError
        If there is, or was, a token of this name.
    """
    expires_at = None if expires is None else time_of(expires, now=time.time())
    quota_bytes = None if upload_quota is None else size_of(upload_quota)
    made = client.create_token(
        name, scopes, projects=projects or None, expires_at=expires_at, upload_quota_bytes=quota_bytes
    )
    secret = made.secret.get_secret_value()
    if as_json:
        print_json({**made.model_dump(mode="json"), "secret": secret})
    else:
        print_line(secret)
    say(f"{_described(made)}. This is its secret, told this once: put it into HASTE_TOKEN, or into a file")


def show_tokens(client: HasteClient, *, as_json: bool) -> None:
    """Print all tokens."""
    if as_json:
        for token in client.tokens():
            print_json(token.model_dump(mode="json"))
        return
    heads = ["name", "scopes", "projects", "made", "ends", "last used", "uploads"]
    rows = [
        [
            token.name,
            ", ".join(token.scopes),
            _projects_text(token),
            _time_text(token.created_at),
            f"revoked {_time_text(token.revoked_at)}" if token.revoked_at else _time_text(token.expires_at),
            _time_text(token.last_used_at),
            _uploads_text(token),
        ]
        for token in client.tokens()
    ]
    print_table(heads, rows)


def revoke_token(client: HasteClient, name: str, *, as_json: bool) -> None:
    """Let a token open nothing any more.

    Raises
    ------
    NotFoundError
    """
    token = client.revoke_token(name)
    if as_json:
        print_json(token.model_dump(mode="json"))
    say(f"the token {name!r} opens nothing any more, in two seconds at most")


def time_of(text: str, *, now: float) -> float:
    """Read when something ends: so many hours or days from now, or a date, in this machine's time zone.

    Raises
    ------
    InvalidError
    """
    span = re.fullmatch(r"([0-9]{1,6})([hd])", text.strip())
    if span is not None:
        return now + int(span[1]) * _UNITS_S[span[2]]
    try:
        return datetime.fromisoformat(text.strip()).astimezone().timestamp()
    except (ValueError, OverflowError, OSError):
        what = f"{text!r} is no time: write 12h, 90d, or a date as 2027-01-31"
        raise InvalidError([Problem("--expires", what)]) from None


def size_of(text: str) -> int:
    """Read a number of bytes: ``200G``, ``1.5TB`` or ``800M``, powers of 1000.

    Raises
    ------
    InvalidError
    """
    found = re.fullmatch(r"([0-9]{1,6}(?:\.[0-9]{1,6})?)([kMGT]?)B?", text.strip())
    size_bytes = 0 if found is None else round(float(found[1]) * _POWERS[found[2]])
    if not size_bytes:
        what = f"{text!r} is no number of bytes: write 800M, 200G or 1.5T"
        raise InvalidError([Problem("--upload-quota", what)])
    return size_bytes


def _described(token: TokenAnswer) -> str:
    until = "" if token.expires_at is None else f", until {_time_text(token.expires_at)}"
    return f"token {token.name!r} for {' and '.join(token.scopes)} in {_projects_text(token)}{until}"


def _projects_text(token: TokenAnswer) -> str:
    return "all projects" if token.projects is None else ", ".join(token.projects)


def _uploads_text(token: TokenAnswer) -> str:
    if token.upload_quota_bytes is None:
        return "-"
    return f"{size_text(token.upload_held_bytes)} of {size_text(token.upload_quota_bytes)}"


def _time_text(seconds: float | None) -> str:
    return "-" if seconds is None else datetime.fromtimestamp(seconds).astimezone().isoformat(" ", "minutes")
