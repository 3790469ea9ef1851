"""Gathering the server's settings, and explaining them."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import yaml
from pydantic import SecretStr, TypeAdapter

from haste_runtime.configuration import Gathered, gather
from haste_server.settings import ServerSettings

_PASSWORD = re.compile(r":.*@")
_PASSWORD_IN_QUERY = re.compile(r"([?&][^=&]*pass[^=&]*=)[^&]*", re.IGNORECASE)
_ANYTHING: TypeAdapter[Any] = TypeAdapter(Any)


def load_settings(config: Path | None = None, **command_line: Any) -> Gathered[ServerSettings]:
    """Gather the settings: command line, then environment (``HASTE_…``), then YAML file, then defaults.

    Raises
    ------
    InvalidError
        With everything that is wrong, unknown settings included.
    """
    return gather(ServerSettings, config, command_line)


def explain(gathered: Gathered[ServerSettings]) -> str:
    """Write all settings as YAML with their origins as comments, secrets hidden; one a line."""
    lines = []
    for name in ServerSettings.model_fields:
        shown = _hide_secrets(getattr(gathered.settings, name))
        lines.append(f"{name}: {_in_one_line(shown)}  # {gathered.origins.get(name, 'default')}")
    return "\n".join(lines)


def explained(gathered: Gathered[ServerSettings]) -> dict[str, dict[str, Any]]:
    """Tell all settings by name, secrets hidden: `value` and `origin` of each, as JSON knows them."""
    return {
        name: {
            "value": _plain(_hide_secrets(getattr(gathered.settings, name))),
            "origin": gathered.origins.get(name, "default"),
        }
        for name in ServerSettings.model_fields
    }


def _plain(value: Any) -> Any:
    return _ANYTHING.dump_python(value, mode="json", exclude_defaults=True)


def _in_one_line(value: Any) -> str:
    plain = _plain(value)
    text = yaml.safe_dump(plain, default_flow_style=True, allow_unicode=True, sort_keys=False, width=math.inf)
    return text.strip().removesuffix("\n...")


def _hide_secrets(value: Any) -> Any:
    if not isinstance(value, SecretStr):
        return value
    scheme, is_url, rest = value.get_secret_value().partition("://")
    # The password may hold any character, so it ends at the last @.
    shown = _PASSWORD_IN_QUERY.sub(r"\1***", _PASSWORD.sub(":***@", rest))
    return f"{scheme}://{shown}" if is_url else "***"
