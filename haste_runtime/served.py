"""Where a server that made its own token tells it to the programs of the same user."""

from __future__ import annotations

import json
import os
from pathlib import Path
from urllib.parse import urlsplit

from haste_runtime.loopback import is_this_machine


def address_file(url: str) -> Path:
    """Name the file of the server at a URL of this machine: in the user's own folder, by port."""
    from platformdirs import user_state_path

    return user_state_path("haste") / "servers" / f"{urlsplit(url).port}.json"


def tell_token(url: str, token: str) -> Path:
    """Write down the token of a server; only its user can read it.

    Raises
    ------
    OSError
    """
    path = address_file(url)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump({"page": page_of(url, token), "token": token}, file)
    temporary.replace(path)
    return path


def forget_token(url: str, token: str) -> None:
    """Remove what `tell_token` wrote, unless it is another server's by now."""
    if token_of(url) == token:
        address_file(url).unlink(missing_ok=True)


def token_of(url: str) -> str | None:
    """Find the token that a server of this user has made for itself on this machine, if any."""
    if not is_this_machine(url):
        return None
    try:
        told = json.loads(address_file(url).read_text(encoding="utf-8"))["token"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return told if isinstance(told, str) else None


def page_of(url: str, token: str) -> str:
    """Write the address that opens a server's pages."""
    return f"{url}/?token={token}"
