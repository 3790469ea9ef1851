"""Where the server is and which folders it knows: arguments > environment > YAML file > defaults."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path, PurePath

from pydantic import AnyHttpUrl, BaseModel, ConfigDict, SecretStr, field_validator

from haste_client.sidecars import SidecarRules
from haste_core.errors import InvalidError, Problem
from haste_core.routing import Roots
from haste_runtime.configuration import Gathered, gather
from haste_runtime.served import address_file, token_of

CONFIG_VARIABLE = "HASTE_CLIENT_CONFIG"
DEFAULT_SERVER_URL = "http://127.0.0.1:5510"


class ClientSettings(BaseModel):
    """What a client needs to know.

    Attributes
    ----------
    server_url : str
        Environment: ``HASTE_SERVER_URL``.
    token : SecretStr, optional
        Environment: ``HASTE_TOKEN``.
    roots : dict
        Local folders by the names under which server and workers know them, so that a file below one of
        them is submitted as ``root://NAME/…``. Environment: ``HASTE_ROOTS``, a JSON object; those of
        environment and file add up.
    sidecars : SidecarRules
        Which files belong to images and go with them. Environment: ``HASTE_SIDECARS``, a JSON object.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    server_url: str = DEFAULT_SERVER_URL
    token: SecretStr | None = None
    roots: dict[str, str] = {}
    sidecars: SidecarRules = SidecarRules()

    @field_validator("server_url")
    @classmethod
    def _is_an_address(cls, url: str) -> str:
        AnyHttpUrl(url)
        return url.rstrip("/")

    @field_validator("roots")
    @classmethod
    def _are_roots(cls, roots: dict[str, str]) -> dict[str, str]:
        Roots.parse(roots)
        return roots

    def local_roots(self) -> Roots:
        """Return the roots as absolute paths without links, as the paths of submitted files are."""
        return Roots.parse({name: _resolved(path) for name, path in self.roots.items()})


def _resolved(path: str) -> PurePath:
    pure = Roots.parse({"root": path}).folders["root"]
    # A path of the other operating system can only be compared, not looked up.
    return Path(path).resolve() if isinstance(Path(), type(pure)) else pure


def config_path() -> Path:
    """Name the client's YAML file: ``$HASTE_CLIENT_CONFIG``, else in the user's configuration folder."""
    given = os.environ.get(CONFIG_VARIABLE)
    if given:
        return Path(given)
    from platformdirs import user_config_path

    return user_config_path("haste") / "client.yaml"


def load_settings(
    *,
    url: str | None = None,
    token: str | None = None,
    roots: Mapping[str, str | Path] | None = None,
) -> ClientSettings:
    """Combine the arguments that are given with environment, file and defaults.

    Parameters
    ----------
    url, token : str, optional
    roots : mapping, optional
        Replaces the roots of environment and file.

    Raises
    ------
    InvalidError
        With every setting that is wrong.
    """
    settings = gather_settings(url=url, token=token).settings
    return settings if roots is None else _with_roots(settings, roots)


def gather_settings(*, url: str | None = None, token: str | None = None) -> Gathered[ClientSettings]:
    """Combine arguments, environment, file and defaults, and tell where each setting came from.

    Raises
    ------
    InvalidError
        With every setting that is wrong.
    """
    path = config_path()
    gathered = gather(ClientSettings, path if path.is_file() else None, {"server_url": url, "token": token})
    settings = gathered.settings
    if settings.token is not None:
        return gathered
    own = token_of(settings.server_url)  # of a server that this user has started here without any
    if own is None:
        return gathered
    told = settings.model_copy(update={"token": SecretStr(own)})
    return Gathered(told, {**gathered.origins, "token": str(address_file(settings.server_url))})


def _with_roots(settings: ClientSettings, roots: Mapping[str, str | Path]) -> ClientSettings:
    named = {name: str(path) for name, path in roots.items()}
    try:
        Roots.parse(named)
    except ValueError as error:
        raise InvalidError([Problem("roots", str(error))]) from error
    # Not by the constructor, which would add them to those of environment and file.
    return settings.model_copy(update={"roots": named})
