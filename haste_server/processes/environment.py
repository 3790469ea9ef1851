"""What child processes may know of this server's environment."""

from __future__ import annotations

import os

_SECRETS = frozenset({"HASTE_DATABASE_URL", "HASTE_BROKER_URL", "HASTE_TOKEN"})


def environment_without_secrets() -> dict[str, str]:
    """Return this process's environment for programs that run users' code."""
    # Settings are read from names in any case.
    return {name: value for name, value in os.environ.items() if name.upper() not in _SECRETS}
