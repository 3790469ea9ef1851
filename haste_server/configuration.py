"""Gathering a server's settings, and telling where each came from."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from haste_core.errors import InvalidError, Problem
from haste_core.jobspec import problems_of
from haste_server.settings import ServerSettings

ENVIRONMENT_PREFIX = "HASTE_"

_PASSWORD = re.compile(r":.*@")


@dataclass(frozen=True)
class LoadedSettings:
    """Settings, and where each was said.

    Attributes
    ----------
    settings : ServerSettings
    origins : dict of str
        By the setting's name; those that are missing have their default.
    """

    settings: ServerSettings
    origins: dict[str, str]

    def explain(self) -> str:
        """Write all settings with their origins, secrets hidden; one a line."""
        lines = []
        for name in ServerSettings.model_fields:
            shown = _hide_secrets(getattr(self.settings, name))
            lines.append(f"{name}: {shown}  # {self.origins.get(name, 'default')}")
        return "\n".join(lines)


def load_settings(config: Path | None = None, **command_line: Any) -> LoadedSettings:
    """Gather the settings: command line, then environment (``HASTE_…``), then YAML file, then defaults.

    Parameters
    ----------
    config : Path, optional
        The YAML file.
    **command_line
        Settings by name; None means "not given".

    Raises
    ------
    InvalidError
        With everything that is wrong, unknown settings included.
    """
    given = {name: value for name, value in command_line.items() if value is not None}
    from_file = {} if config is None else _read_yaml(config)
    origins = dict.fromkeys(from_file, str(config))

    class Sources(ServerSettings, BaseSettings):
        model_config = SettingsConfigDict(env_prefix=ENVIRONMENT_PREFIX, extra="forbid", frozen=True)

        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the base class names it
            file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the base class names it
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return init_settings, env_settings, InitSettingsSource(settings_cls, init_kwargs=from_file)

    try:
        for name in EnvSettingsSource(Sources)():
            origins[name] = f"environment {ENVIRONMENT_PREFIX}{name.upper()}"
        gathered = Sources(**given)
    except ValidationError as error:
        raise InvalidError(problems_of(error)) from error
    except SettingsError as error:
        raise InvalidError([Problem("environment", f"{error}: {error.__cause__}")]) from error
    origins.update(dict.fromkeys(given, "command line"))
    settings = ServerSettings.model_construct(
        **{name: getattr(gathered, name) for name in ServerSettings.model_fields}
    )
    return LoadedSettings(settings, origins)


def _read_yaml(config: Path) -> dict[str, Any]:
    try:
        value = yaml.safe_load(config.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InvalidError([Problem(str(config), f"cannot be read as YAML: {error}")]) from error
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
        raise InvalidError([Problem(str(config), "should be a mapping of settings, `name: value`")])
    return value


def _hide_secrets(value: Any) -> str:
    if not isinstance(value, SecretStr):
        return str({name: str(item) for name, item in value.items()} if isinstance(value, dict) else value)
    scheme, is_url, rest = value.get_secret_value().partition("://")
    # The password may hold any character, so it ends at the last @.
    return f"{scheme}://{_PASSWORD.sub(':***@', rest)}" if is_url else "***"
