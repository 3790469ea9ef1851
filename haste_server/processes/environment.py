"""What child processes may know of this server's environment."""

from __future__ import annotations

import os

_OF_THE_SERVER = frozenset(
    {"HASTE_DATABASE_URL", "HASTE_BROKER_URL", "HASTE_TOKEN", "HASTE_ALERT_WEBHOOKS", "HASTE_ALERT_EMAIL"}
)
_OF_WORKERS = frozenset({"HASTE_S3_BUCKETS", "HASTE_DESTINATION"})


def environment_of_workers() -> dict[str, str]:
    """Return this process's environment for its own workers, with their keys to S3 buckets."""
    # Settings are read from names in any case.
    return {name: value for name, value in os.environ.items() if name.upper() not in _OF_THE_SERVER}


def environment_without_secrets() -> dict[str, str]:
    """Return this process's environment for programs that run users' code."""
    return {
        name: value
        for name, value in environment_of_workers().items()
        if name.upper() not in _OF_WORKERS and not name.upper().startswith("AWS_")
    }
