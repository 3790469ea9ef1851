"""What the agent is told: which folder, which server, and how much of this computer it may use."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

import platformdirs
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    SecretStr,
    field_validator,
    model_validator,
)
from pydantic_settings import NoDecode

from haste_client.containers import CONTAINER_SUFFIX
from haste_client.directory import IMAGE_SUFFIXES, stream_id_for
from haste_client.end_markers import EndMarkers
from haste_core.errors import HasteError, InvalidError, Problem
from haste_core.fields import StreamName
from haste_runtime.configuration import gather
from haste_runtime.folders import LocalPath
from haste_runtime.loopback import is_this_machine
from haste_runtime.name_presets import name_pattern
from haste_workers.pacing import SLOWEST_PER_S, Hours

PREFIX = "HASTE_AGENT_"

_AMOUNT = re.compile(r"(\d+(?:\.\d+)?) ?([kKMGT]?)B?(?:/s)?")
_POWERS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_HTTPS_PORT = 443
_LONGEST_STREAM = 80  # it becomes part of a longer name on this computer


def _suffixes(value: Any) -> Any:
    """Read ``tif,.PNG``: separated by commas, with or without a dot, in any case."""
    listed = value.split(",") if isinstance(value, str) else value
    if not isinstance(listed, list | tuple):
        return listed
    named = (
        str(item).strip().lower().lstrip("*").lstrip(".") for part in listed for item in str(part).split(",")
    )
    return tuple(f".{name}" for name in named if name)


def _names(value: Any) -> Any:
    """Read ``{name}.done,acquisition.done``: separated by commas."""
    listed = value.split(",") if isinstance(value, str) else value
    return tuple(str(item).strip() for item in listed) if isinstance(listed, list | tuple) else listed


def _as_markers(patterns: tuple[str, ...]) -> tuple[str, ...]:
    return EndMarkers(patterns).patterns


def _amount(value: Any) -> Any:
    """Read ``20M``, ``1.5G`` or ``800k``: powers of 1000, and a B after it if somebody likes."""
    found = _AMOUNT.fullmatch(value.strip()) if isinstance(value, str) else None
    return value if found is None else round(float(found[1]) * _POWERS[(found[2] or "").lower()])


def _known_names(text: str) -> str:
    try:
        name_pattern(text)
    except HasteError as error:
        raise ValueError(str(error)) from error
    return text


def _hours(text: str) -> str:
    return str(Hours.parse(text))


MarkerNames = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_names), AfterValidator(_as_markers)]
Suffixes = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_suffixes)]


class AgentSettings(BaseModel):
    """All settings of one agent.

    Attributes
    ----------
    path : Path
        The folder that the microscope writes to; it is only read, sub-folders too.
    include : tuple of str
        The suffixes of the files that count; empty: all images.
    tag : str
        Says by which of its pipelines the server works on the images; it knows some (its ``agent_tags``).
    host : str
        The server: ``haste.lab``, ``haste.lab:5510`` or a whole URL. Without a scheme, port 443 and none mean
        https, others http.
    username : str, optional
        Not needed; any is taken, as the original agent sends one.
    password, password_file, token, token_file : optional
        The server's token, in one of four ways; a file holds nothing else.
    stream : str, optional
        The server's stream; None: the folder's name and the tag.
    data_dir : Path, optional
        Where the agent keeps what it knows and what is on its way; None: a folder of its own in the user's.
    cores : int
        How many images are preprocessed at a time.
    transfers : int
        How many images are sent at a time.
    operator : str
        How images are made smaller: ``none``, ``recompress`` (nothing is lost), or another of `preprocess`.
    operator_parameters : dict
    codec, effort : str
        As of `preprocess`.
    names : str, optional
        How files are named: a preset such as ``imagexpress``, a YAML file, or a regular expression. What they
        say goes to the server with the images; those that say nothing are sent all the same.
    end_markers : tuple of str
        Names of files that say that images are whole: ``{name}.done``, ``{stem}.done``, or without braces one
        that ends its folder.
    settle_s : float
        How long a file must rest before it is whole; longer than the longest pause of its writer.
    delete_after_upload : bool
        Delete an original when the server has confirmed the checksum of what was sent, and nothing was lost.
    ca_file : Path, optional
        Certificates of the authorities to trust; None: the system's.
    proxy : str, optional
        By way of which the server is asked; None: as the environment says.
    limit : int, optional
        Bytes per second that are sent at most, all transfers together; ``20M`` is 20 million.
    hours : str, optional
        At which hours of the day images are sent, such as ``18-07``; None: at all.
    min_free : int
        Bytes that stay free on the disk of `data_dir`; with less, no more images are taken on.
    polite : bool
        Run below the priority of others, and use disks when they do not.
    log_level : str
        Of the file ``server.log`` in `data_dir`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: LocalPath
    include: Suffixes = ()
    tag: Annotated[str, Field(min_length=1, max_length=100)]
    host: str
    username: str | None = None
    password: SecretStr | None = None
    password_file: LocalPath | None = None
    token: SecretStr | None = None
    token_file: LocalPath | None = None
    stream: Annotated[StreamName, Field(max_length=_LONGEST_STREAM)] | None = None
    data_dir: LocalPath | None = None
    cores: Annotated[int, Field(ge=1, le=128)] = 1
    transfers: Annotated[int, Field(ge=1, le=20)] = 2
    operator: str = "recompress"
    operator_parameters: dict[str, JsonValue] = Field(default_factory=dict)
    codec: str = "deflate"
    effort: str = "fast"
    names: Annotated[str, AfterValidator(_known_names)] | None = None
    end_markers: MarkerNames = ()
    settle_s: Annotated[float, Field(ge=0, le=3600)] = 2.0
    delete_after_upload: bool = False
    ca_file: LocalPath | None = None
    proxy: str | None = None
    limit: Annotated[int, BeforeValidator(_amount), Field(ge=SLOWEST_PER_S)] | None = None
    hours: Annotated[str, AfterValidator(_hours)] | None = None
    min_free: Annotated[int, BeforeValidator(_amount), Field(ge=0)] = 2 * 10**9
    polite: bool = True
    log_level: Literal["debug", "info", "warning", "error"] = "warning"

    @field_validator("host")
    @classmethod
    def _is_an_address(cls, host: str) -> str:
        url = _url_of(host.strip())
        parts = urlsplit(url)
        try:
            port = parts.port
        except ValueError:
            port = 0
        if not parts.hostname or port == 0 or parts.scheme not in ("http", "https") or parts.path.strip("/"):
            raise ValueError("should be haste.lab, haste.lab:5510 or https://haste.lab")
        return url.rstrip("/")

    @field_validator("include")
    @classmethod
    def _are_suffixes(cls, include: tuple[str, ...]) -> tuple[str, ...]:
        known = IMAGE_SUFFIXES | {CONTAINER_SUFFIX}
        unreadable = sorted(set(include) - known)
        if unreadable:
            raise ValueError(f"{', '.join(unreadable)}: known are {', '.join(sorted(known))}")
        return include

    @model_validator(mode="after")
    def _one_secret(self) -> Self:
        ways = ("password", "password_file", "token", "token_file")
        given = [name for name in ways if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"give one of {' and '.join(given)}: they are the same")
        return self

    @property
    def stream_id(self) -> str:
        """The server's stream: the folder's name and the tag, if none was chosen."""
        if self.stream is not None:
            return self.stream
        tag = stream_id_for(Path(self.tag))
        return f"{stream_id_for(self.path)[: _LONGEST_STREAM - len(tag[:40]) - 1]}_{tag[:40]}"

    @property
    def own_folder(self) -> Path:
        """Where the agent of this folder and this server keeps what it knows."""
        if self.data_dir is not None:
            return self.data_dir
        which = hashlib.sha256(f"{self.path.resolve()}\n{self.host}".encode()).hexdigest()[:8]
        agents = platformdirs.user_data_path("haste") / "agents"
        return agents / f"{stream_id_for(self.path)[:60]}-{which}"

    @property
    def sends_openly(self) -> bool:
        """True if others in the network can read the token and the images on their way."""
        return self.host.startswith("http:") and not is_this_machine(self.host)

    def read_token(self) -> SecretStr | None:
        """Return what the server is shown.

        Raises
        ------
        InvalidError
            If its file cannot be read, or is empty.
        """
        file = self.password_file or self.token_file
        if file is None:
            return self.password or self.token
        where = "password_file" if self.password_file else "token_file"
        try:
            text = file.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise InvalidError([Problem(where, f"{file} cannot be read: {error.strerror}")]) from error
        except UnicodeDecodeError as error:
            raise InvalidError([Problem(where, f"{file} cannot be read: {error}")]) from error
        if not text:
            raise InvalidError([Problem(where, f"{file} is empty")])
        return SecretStr(text)


def load_settings(config: Path | None, **command_line: Any) -> AgentSettings:
    """Gather the settings: command line, then environment (``HASTE_AGENT_…``), then YAML file, then defaults.

    Raises
    ------
    InvalidError
        With everything that is wrong, unknown settings included.
    """
    return gather(AgentSettings, config, command_line, prefix=PREFIX).settings


def _url_of(host: str) -> str:
    if "://" in host:
        return host
    port = host.rpartition(":")[2]
    is_open = port.isdecimal() and int(port) != _HTTPS_PORT
    return f"{'http' if is_open else 'https'}://{host}"
