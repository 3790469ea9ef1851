"""What a server is told: where its data is, who may reach it, and its limits."""

from __future__ import annotations

import ipaddress
import os
from pathlib import Path
from typing import Annotated, Literal, Self

import platformdirs
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    field_validator,
    model_validator,
)

from haste_core.edge_images import EDGE_KEYS
from haste_core.errors import InvalidError, Problem
from haste_core.fields import Name, TierName
from haste_core.routing import DEFAULT_SITE
from haste_core.tier_limits import TierLimits
from haste_runtime.folders import LocalPath
from haste_runtime.options import HandlerReference
from haste_runtime.tiers import PosixTier, Tier, TrashTier, told_apart
from haste_server.channels.settings import EmailSettings, WebhookSettings
from haste_server.trusted_proxy import TrustedProxy

MIN_TOKEN_LENGTH = 16
DEFAULT_LEASE_S = 30.0

SelectorName = Literal["highest-rank", "newest-first", "edge"]

_MIB = 2**20
_RESERVED_ROOTS = frozenset({"landing", "work"})


def _check_password(url: SecretStr | None, *, unfit: str) -> None:
    """Refuse a password of which a part would be taken for the host, and be shown where that is."""
    before_host = "" if url is None else url.get_secret_value().partition("://")[2].rpartition("@")[0]
    if set(unfit) & set(before_host):
        raise ValueError(
            "holds characters that lead astray: in user name and password write @ as %40, / as %2F, "
            "? as %3F, # as %23, [ as %5B, ] as %5D"
        )


class ServerSettings(BaseModel):
    """All settings of one server.

    Attributes
    ----------
    host, port
        Where to listen. Port 0 takes a free one. Beyond loopback a token is needed.
    token, token_file
        What clients and workers must show; the file holds nothing else.
    trusted_proxy : TrustedProxy, optional
        A proxy in front of the server whose users need no token.
    open_on_loopback : bool
        Ask nobody on this machine for a token. Otherwise a server that does all in one process, on loopback
        and without a token of its own, makes one at each start.
    data_dir : Path
        For everything that has no folder of its own below.
    database_url : SecretStr, optional
        ``mysql+pymysql://user:password@host/database``; None: an SQLite file in `data_dir`.
    broker_url : SecretStr, optional
        ``amqp://user:password@host:5672/vhost``; None: the server carries tasks to its own workers.
    site : str
        Where this server's folders and own workers are.
    roots : dict of Path, optional
        The folders that its own workers may read, by the name that ``root://NAME/…`` uses. None: the home
        folder as ``home``, if only this machine can reach the server.
    tiers : dict of Tier
        Where its own workers put data. A tier that a pipeline names and that is missing here is a folder of
        that name in ``data_dir/tiers``.
    landing_dir : Path, optional
        For uploaded files; None: ``data_dir/landing``.
    pipelines_dir : Path, optional
        Pipelines of your own, beside those that come with the server; one YAML file each.
    default_pipeline : str
        Of streams that are named by a job before somebody created them.
    agent_tags : dict of str
        Which pipeline starts for what the original HASTE agent sends, by the agent's tag.
    handlers : dict of str
        Your own handlers for its own workers, ``module:function`` by task key.
    workers : int
        How many tasks its own workers run at once.
    slots : dict of int
        Task keys whose tasks its own workers run beside all others, and how many at once; `workers` is for
        the other keys then, and may be 0.
    worker_config : Path, optional
        A YAML file with more settings for its own workers.
    lease_s : float
        A task whose worker is silent for this long is handed out again.
    evaluation_limit_s : float
        How long an interestingness function may take for one object.
    max_attempts, max_lost : int
        How often a task may fail in passing, and how often its worker may die while it runs.
    retry_delay_s, max_retry_delay_s : float
        The pause before the second attempt, and the longest that it doubles to.
    ageing_per_s : float
        By how much the priority of a waiting task grows each second.
    selectors : dict of str
        By task key: ``newest-first``, or ``highest-rank`` with no more tasks at the workers than they run at
        once. All other keys: the highest rank, with a few tasks in store at the workers. ``edge`` is for
        `preprocess` and `upload`, both together: the order of a microscope's computer.
    alert_webhooks : tuple of WebhookSettings
    alert_email : EmailSettings, optional
        Where alerts are sent to, beside being shown. A pipeline says what is told, never to whom.
    max_body_bytes, max_upload_bytes : int
        The largest JSON body, and the largest uploaded file.
    max_uploads : int
        How many uploads are taken at a time; each holds a thread.
    max_event_streams : int
        How many clients and pages may follow events at a time, in each web process; each holds a thread, and
        uploads come first. Pages that find no place ask every few seconds.
    upload_keep_s : float
        How long an upload that was broken off can be gone on with.
    upload_leaves_free_bytes : int
        How much room uploads leave on the disk of the landing area, for the database and all else.
    threads : int
        How many requests are handled at a time, in each web process.
    web_processes : int
        Beside the engine's process, where database and broker are programs of their own.
    shutdown_s : float
        How long running tasks may take to end when the server stops.
    url_file : Path, optional
        Where the server's URL stands while it answers.
    log_level, log_format
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 5510
    token: Annotated[SecretStr, Field(min_length=MIN_TOKEN_LENGTH)] | None = None
    token_file: LocalPath | None = None
    trusted_proxy: TrustedProxy | None = None
    open_on_loopback: bool = False
    data_dir: LocalPath = Field(default_factory=lambda: platformdirs.user_data_path("haste"))
    database_url: SecretStr | None = None
    broker_url: SecretStr | None = None
    site: Name = DEFAULT_SITE
    roots: dict[Name, LocalPath] | None = None
    tiers: Annotated[dict[TierName, Tier], AfterValidator(told_apart)] = Field(default_factory=dict)
    landing_dir: LocalPath | None = None
    pipelines_dir: LocalPath | None = None
    default_pipeline: str = "focus-tier"
    agent_tags: dict[str, str] = Field(default_factory=dict)
    handlers: dict[Name, HandlerReference] = Field(default_factory=dict)
    workers: Annotated[int, Field(ge=0, le=256)] = Field(
        default_factory=lambda: min(os.cpu_count() or 1, 256)
    )
    slots: dict[Name, Annotated[int, Field(ge=1, le=256)]] = Field(default_factory=dict)
    worker_config: LocalPath | None = None
    lease_s: Annotated[float, Field(ge=2, le=3600)] = DEFAULT_LEASE_S
    evaluation_limit_s: Annotated[float, Field(gt=0, le=3600)] = 10.0
    max_attempts: Annotated[int, Field(ge=1, le=1000)] = 5
    max_lost: Annotated[int, Field(ge=1, le=1000)] = 20
    retry_delay_s: Annotated[float, Field(ge=0, le=3600)] = 1.0
    max_retry_delay_s: Annotated[float, Field(ge=0, le=86400)] = 300.0
    ageing_per_s: Annotated[float, Field(ge=0, le=1000)] = 0.001
    selectors: dict[Name, SelectorName] = Field(default_factory=dict)
    alert_webhooks: Annotated[tuple[WebhookSettings, ...], Field(max_length=20)] = ()
    alert_email: EmailSettings | None = None
    max_body_bytes: Annotated[int, Field(ge=1024, le=1024 * _MIB)] = 16 * _MIB
    max_upload_bytes: Annotated[int, Field(ge=1)] = 64 * 1024 * _MIB
    max_uploads: Annotated[int, Field(ge=1)] = 24
    max_event_streams: Annotated[int, Field(ge=0)] = 16
    upload_keep_s: Annotated[float, Field(ge=60, le=31_536_000)] = 3 * 86_400.0
    upload_leaves_free_bytes: Annotated[int, Field(ge=0)] = 1024 * _MIB
    threads: Annotated[int, Field(ge=2, le=1000)] = 64
    web_processes: Annotated[int, Field(ge=1, le=64)] = 2
    shutdown_s: Annotated[float, Field(ge=0, le=3600)] = 20.0
    url_file: LocalPath | None = None
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["console", "json"] = "console"

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, url: SecretStr | None) -> SecretStr | None:
        known = ("sqlite:///", "mysql://", "mariadb://", "mysql+pymysql://", "mariadb+pymysql://")
        if url is not None and not url.get_secret_value().startswith(known):
            raise ValueError(
                "should be mysql+pymysql://user:password@host/database; leave it out for an SQLite file in "
                "data_dir"
            )
        _check_password(url, unfit="@")
        return url

    @field_validator("broker_url")
    @classmethod
    def _known_broker(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None and not url.get_secret_value().startswith(("amqp://", "amqps://")):
            raise ValueError(
                "should be amqp(s)://user:password@host:port/vhost; leave it out to work without RabbitMQ"
            )
        _check_password(url, unfit="/?#[]")
        return url

    @field_validator("roots")
    @classmethod
    def _own_roots_stay(cls, roots: dict[str, Path] | None) -> dict[str, Path] | None:
        if taken := _RESERVED_ROOTS & set(roots or {}):
            raise ValueError(f"{', '.join(sorted(taken))}: this name is the server's own; choose another")
        return roots

    @model_validator(mode="after")
    def _guarded_beyond_loopback(self) -> Self:
        if self.token is not None and self.token_file is not None:
            raise ValueError("give the token or the token_file, not both")
        if not self.loopback_only and self.token is None and self.token_file is None:
            raise ValueError(
                f"host {self.host!r} can be reached from other machines, so a token is needed: put a long "
                "random one into a file and name it with token_file (--token-file), or listen on 127.0.0.1"
            )
        if self.trusted_proxy is not None and self.token is None and self.token_file is None:
            raise ValueError(
                "trusted_proxy needs a token (token_file) for all who do not come by the proxy; without one, "
                "they would be let in"
            )
        if self.uploads_leave_no_thread:
            raise ValueError(f"max_uploads must be below threads ({self.threads}), or uploads block the rest")
        return self

    @model_validator(mode="after")
    def _somebody_works(self) -> Self:
        if self.workers == 0 and not self.slots:
            raise ValueError("workers: 0 leaves nobody to work, unless slots names the task keys to take")
        return self

    @model_validator(mode="after")
    def _the_edge_chooses_both(self) -> Self:
        chosen = {key for key, name in self.selectors.items() if name == "edge"}
        if chosen and chosen != set(EDGE_KEYS):
            raise ValueError(
                "selectors: edge is for preprocess and upload, and for both: {preprocess: edge, upload: edge}"
            )
        return self

    @model_validator(mode="after")
    def _objects_go_on_to_an_end(self) -> Self:
        for name, tier in self.tiers.items():
            way = [name]
            while tier.next is not None:
                if tier.next not in self.tiers:
                    raise ValueError(f"tiers.{way[-1]}.next: there is no tier {tier.next!r} under `tiers:`")
                if tier.next in way:
                    raise ValueError(f"tiers.{way[-1]}.next: objects would go round, {way} to {tier.next!r}")
                way.append(tier.next)
                tier = self.tiers[tier.next]
        return self

    @property
    def tier_limits(self) -> dict[str, TierLimits]:
        """When objects go on from tiers, by tier."""
        return {
            name: TierLimits(tier.next, tier.quota, tier.retain_days)
            for name, tier in self.tiers.items()
            if tier.next is not None
        }

    @property
    def trashes(self) -> dict[str, float]:
        """How many days objects stay at least in tiers that are trashes, by tier."""
        return {name: tier.grace_days for name, tier in self.tiers.items() if isinstance(tier, TrashTier)}

    @property
    def quotas(self) -> dict[str, int]:
        """How many bytes tiers may hold, by tier."""
        return {name: tier.quota for name, tier in self.tiers.items() if tier.quota is not None}

    @property
    def uploads_leave_no_thread(self) -> bool:
        """True if nothing but uploads might be handled."""
        return self.max_uploads >= self.threads

    @property
    def event_streams(self) -> int:
        """How many may follow events: at least half of the threads that uploads leave are for requests."""
        if os.name == "nt":
            return 0  # waitress sends an answer when it is whole
        return min(self.max_event_streams, (self.threads - self.max_uploads) // 2)

    @property
    def makes_its_token(self) -> bool:
        """True if it is to be found by this machine's user only, who need not choose a token."""
        has_none = self.token is None and self.token_file is None
        # Workers that are programs of their own would not know it.
        return has_none and self.loopback_only and self.broker_url is None and not self.open_on_loopback

    @property
    def loopback_only(self) -> bool:
        """True if only this machine can reach the server."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @property
    def database(self) -> str:
        """The database's URL."""
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        return f"sqlite:///{(self.data_dir / 'haste.sqlite3').as_posix()}"

    @property
    def uses_sqlite(self) -> bool:
        """True if one process only may write to the database."""
        return self.database.startswith("sqlite:")

    @property
    def distributed(self) -> bool:
        """True if engine and web are processes of their own."""
        return not self.uses_sqlite and self.broker_url is not None and os.name != "nt"

    @property
    def landing(self) -> Path:
        """Where uploaded files are kept."""
        return self.landing_dir or self.data_dir / "landing"

    @property
    def readable_roots(self) -> dict[str, Path]:
        """The folders that its own workers may read, those that are always readable left out."""
        if self.roots is not None:
            return self.roots
        return {"home": Path.home()} if self.loopback_only else {}

    def all_tiers(self, named: frozenset[str]) -> dict[str, Tier]:
        """List the tiers for its own workers, those that pipelines name included."""
        folder = self.data_dir / "tiers"
        found: dict[str, Tier] = {name: PosixTier(root=folder / name) for name in sorted(named)}
        for name, tier in self.tiers.items():
            is_own_trash = isinstance(tier, TrashTier) and tier.root is None
            found[name] = tier.model_copy(update={"root": folder / name}) if is_own_trash else tier
        return found

    def own_tier_folders(self, named: frozenset[str]) -> list[Path]:
        """List the folders of tiers in `data_dir`, which it makes itself; all others have to be there."""
        tiers = self.all_tiers(named).values()
        roots = [tier.root for tier in tiers if isinstance(tier, PosixTier | TrashTier)]
        return [root for root in roots if root is not None and root.parent == self.data_dir / "tiers"]

    def watched_folders(self, named: frozenset[str]) -> dict[str, Path]:
        """Find the tiers that are folders of its own workers, so that it can see how full their disks are."""
        if self.broker_url is not None:
            return {}
        tiers = self.all_tiers(named)
        folders = {name: tier.root for name, tier in tiers.items() if isinstance(tier, PosixTier | TrashTier)}
        return {name: root for name, root in folders.items() if root is not None}

    def missing_folders(self) -> list[str]:
        """Say which folders of roots and tiers its own workers would not find now."""
        if self.broker_url is not None:
            return []
        named = {f"root {name}": folder for name, folder in self.readable_roots.items()}
        named |= {
            f"tier {name}": tier.root for name, tier in self.tiers.items() if isinstance(tier, PosixTier)
        }
        return [
            f"the folder of {what} is not there: {folder}; mount it, make it, or correct its name"
            for what, folder in named.items()
            if not folder.is_dir()
        ]

    def read_token(self) -> str | None:
        """Return what clients must show.

        Raises
        ------
        InvalidError
            If the token's file cannot be read or holds none.
        """
        if self.token is not None:
            return self.token.get_secret_value()
        if self.token_file is None:
            return None
        try:
            token = self.token_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidError([Problem("token_file", f"cannot be read: {error}")]) from error
        if len(token) < MIN_TOKEN_LENGTH or not token.isascii() or not token.isprintable():
            raise InvalidError(
                [
                    Problem(
                        "token_file", f"should hold one token of {MIN_TOKEN_LENGTH} or more ASCII characters"
                    )
                ]
            )
        return token
