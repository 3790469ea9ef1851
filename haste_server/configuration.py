"""Gathering the server's settings, and explaining them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from haste_runtime.configuration import Gathered, gather
from haste_server.settings import ServerSettings

_PASSWORD = re.compile(r":.*@")


def load_settings(config: Path | None = None, **command_line: Any) -> Gathered[ServerSettings]:
    """Gather the settings: command line, then environment (``HASTE_…``), then YAML file, then defaults.

    Raises
    ------
    InvalidError
        With everything that is wrong, unknown settings included.
    """
    return gather(ServerSettings, config, command_line)


def explain(gathered: Gathered[ServerSettings]) -> str:
    """Write all settings with their origins, secrets hidden; one a line."""
    lines = []
    for name in ServerSettings.model_fields:
        shown = _hide_secrets(getattr(gathered.settings, name))
        lines.append(f"{name}: {shown}  # {gathered.origins.get(name, 'default')}")
    return "\n".join(lines)


def _hide_secrets(value: Any) -> str:
    if not isinstance(value, SecretStr):
        return str({name: str(item) for name, item in value.items()} if isinstance(value, dict) else value)
    scheme, is_url, rest = value.get_secret_value().partition("://")
    # The password may hold any character, so it ends at the last @.
    return f"{scheme}://{_PASSWORD.sub(':***@', rest)}" if is_url else "***"
