"""What a worker is told: where its tasks come from, what it may read and write, and its limits."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import platformdirs
from pydantic import (
    AfterValidator,
    AnyHttpUrl,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    field_validator,
)
from pydantic_settings import NoDecode

from haste_core.fields import Name
from haste_core.routing import DEFAULT_SITE
from haste_runtime.configuration import gather
from haste_runtime.folders import LocalPath
from haste_runtime.options import HandlerReference
from haste_runtime.s3 import S3Connection
from haste_runtime.tiers import Tier, told_apart
from haste_workers.destination import Destination
from haste_workers.fetching import DOWNLOAD_LIMIT_BYTES

WORK_ROOT = "work"
"""The root under which a worker's own outputs are named; its folder is `WorkerSettings.work_dir`."""

MAX_PREFETCH = 100
_GIB = 2**30


def _comma_separated(value: Any) -> Any:
    return [item for item in value.split(",") if item.strip()] if isinstance(value, str) else value


Names = Annotated[tuple[Name, ...], NoDecode, BeforeValidator(_comma_separated)]
Hosts = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_comma_separated)]


class WorkerSettings(BaseModel):
    """All settings of one worker.

    Attributes
    ----------
    broker_url : SecretStr, optional
        ``amqp(s)://user:password@host:port/vhost`` of the RabbitMQ broker.
    server_url : str, optional
        The server that `upload` sends to, for example ``https://haste.example.org``.
    token : SecretStr, optional
        API token for that server.
    destination : Destination, optional
        Another server for `upload` to send to, which is not the one that hands out tasks: that of the lab,
        where this worker belongs to a microscope's computer.
    site : str
        Where this worker stands; it takes the tasks whose objects can be reached from there.
    keys : tuple of str
        The task keys to take; empty: all that it has usable handlers for.
    without_keys : tuple of str
        Those to leave to other workers.
    handlers : dict of str
        The user's own handlers, ``module:function`` by task key.
    concurrency : int
        How many tasks run at once, each in a process of its own.
    prefetch : int, optional
        How many messages may be here at a time, those of running tasks included; None: twice the concurrency
        for each key. A message holds one task, or several where tasks take milliseconds.
    roots : dict of Path
        The folders that may be read, by the name that ``root://NAME/…`` uses at all sites.
    tiers : dict of Tier
        The tiers that data can be put to, by name.
    work_dir : Path
        For temporary files, and for what handlers write; readable as ``root://work/…``.
    programs : dict of Path
        The programs that `command` may start, by the name that pipelines use.
    http_hosts : tuple of str
        The hosts that sources may be downloaded from; none by default.
    s3_buckets : dict of S3Connection
        The buckets that sources may be downloaded from, by name; none by default.
    download_limit_bytes : int
        The largest source that is downloaded.
    image_limit_bytes : int
        The largest image that is decoded: all planes that a pipeline chooses, by the file's header.
    heartbeat_s : float
        How often the worker tells that it lives; a fraction of the server's lease.
    task_timeout_s : float
        After this time a task's process is stopped. The pipeline's parameter ``timeout_s`` overrules it.
    task_memory_bytes : int, optional
        How much memory a task's process may take; None: no limit. Not enforced on Windows and macOS.
    log_level : str
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    broker_url: SecretStr | None = None
    server_url: str | None = None
    token: SecretStr | None = None
    destination: Destination | None = None
    site: Name = DEFAULT_SITE
    keys: Names = ()
    without_keys: Names = ()
    handlers: dict[Name, HandlerReference] = Field(default_factory=dict)
    concurrency: int = Field(default_factory=lambda: min(os.cpu_count() or 1, 256), ge=1, le=256)
    prefetch: int | None = Field(default=None, ge=1, le=MAX_PREFETCH)
    roots: dict[Name, LocalPath] = Field(default_factory=dict)
    tiers: Annotated[dict[str, Tier], AfterValidator(told_apart)] = Field(default_factory=dict)
    work_dir: LocalPath = Field(default_factory=lambda: platformdirs.user_data_path("haste") / "work")
    programs: dict[str, LocalPath] = Field(default_factory=dict)
    http_hosts: Hosts = ()
    s3_buckets: dict[str, S3Connection] = Field(default_factory=dict)
    download_limit_bytes: int = Field(default=DOWNLOAD_LIMIT_BYTES, gt=0)
    image_limit_bytes: int = Field(default=2_000_000_000, gt=0)
    heartbeat_s: float = Field(default=5.0, gt=0, le=60)
    task_timeout_s: float = Field(default=600.0, gt=0)
    # Interpreter and libraries take 0.2 GiB; the largest image that is read, 2 GB, is held about twice.
    task_memory_bytes: int | None = Field(default=4 * _GIB, ge=_GIB // 4)
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @field_validator("roots")
    @classmethod
    def _work_is_reserved(cls, roots: dict[str, Path]) -> dict[str, Path]:
        if WORK_ROOT in roots:
            raise ValueError(
                f"the root {WORK_ROOT!r} is this worker's work_dir; give the folder another name"
            )
        return roots

    @field_validator("server_url")
    @classmethod
    def _is_http(cls, url: str | None) -> str | None:
        if url is not None:
            AnyHttpUrl(url)
            return url.rstrip("/")
        return None

    @field_validator("broker_url")
    @classmethod
    def _is_amqp(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None:
            parts = urlsplit(url.get_secret_value())
            if parts.scheme not in ("amqp", "amqps") or not parts.hostname or parts.port == 0:
                raise ValueError("should be amqp://user:password@host:5672/vhost, or amqps:// for TLS")
        return url

    def prefetch_for(self, *, queues: int) -> int:
        """Choose how many messages may be at this worker at a time, those of running tasks included.

        A broker shares them out among the queues, and all slots shall be busy whichever queue has work.
        """
        return self.prefetch or min(MAX_PREFETCH, 2 * self.concurrency * queues)


def load_settings(config: Path | None = None, **command_line: Any) -> WorkerSettings:
    """Gather the settings: command line, then environment (``HASTE_…``), then YAML file, then defaults.

    Raises
    ------
    InvalidError
        With everything that is wrong, unknown settings included.
    """
    return gather(WorkerSettings, config, command_line).settings
