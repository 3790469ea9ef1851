"""Gathering a program's settings, and telling where each came from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from haste_core.errors import InvalidError, Problem
from haste_core.findings import problems_of

ENVIRONMENT_PREFIX = "HASTE_"

Settings = TypeVar("Settings", bound=BaseModel)


@dataclass(frozen=True)
class Gathered(Generic[Settings]):
    """Settings, and where each was said.

    Attributes
    ----------
    settings : pydantic model
    origins : dict of str
        By the setting's name; those that are missing have their default.
    """

    settings: Settings
    origins: dict[str, str]


def gather(
    model: type[Settings],
    config: Path | None = None,
    command_line: dict[str, Any] | None = None,
    *,
    prefix: str = ENVIRONMENT_PREFIX,
) -> Gathered[Settings]:
    """Gather settings: command line, then environment (``HASTE_…``), then YAML file, then defaults.

    Parameters
    ----------
    model : type
        Names the settings, their types and their defaults. It reads no environment by itself, so that a
        program can hand its settings to its child processes.
    config : Path, optional
        The YAML file.
    command_line : dict, optional
        Settings by name; None means "not given".
    prefix : str
        Of the names in the environment.

    Raises
    ------
    InvalidError
        With everything that is wrong, unknown settings included.
    """
    given = {name: value for name, value in (command_line or {}).items() if value is not None}
    from_file = {} if config is None else _read_yaml(config)
    origins = dict.fromkeys(from_file, str(config))

    class Sources(model, BaseSettings):  # type: ignore[misc,valid-type] # a class made of another
        model_config = SettingsConfigDict(env_prefix=prefix, extra="forbid", frozen=True)

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
            origins[name] = f"environment {prefix}{name.upper()}"
        gathered = Sources(**given)
    except ValidationError as error:
        raise InvalidError(problems_of(error)) from error
    except SettingsError as error:
        raise InvalidError([Problem("environment", f"{error}: {error.__cause__}")]) from error
    origins.update(dict.fromkeys(given, "command line"))
    plain = model.model_construct(**{name: getattr(gathered, name) for name in model.model_fields})
    return Gathered(plain, origins)


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
