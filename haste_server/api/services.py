"""What the views work with, handed to the application when it is made."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from typing import IO, Protocol, cast

from flask import current_app, g

from haste_core.alert_stores import AlertStore
from haste_core.audit import AuditStore
from haste_core.dead_letters import DeadLetters
from haste_core.events import EventStore
from haste_core.monitoring import MonitoringStore
from haste_core.objects import ObjectStore
from haste_core.pipelines import Pipeline
from haste_core.ports import Clock
from haste_core.stores import JobStore, StreamStore, WorkerStore
from haste_core.tokens import Caller, ProjectStore, TokenStore
from haste_core.trashes import TrashStore
from haste_core.upload_quotas import UploadQuota
from haste_core.uploads import Checksum, Upload
from haste_server.api import guards
from haste_server.api.credentials import Credentials
from haste_server.api.guards import Owned
from haste_server.api.measuring import Measuring
from haste_server.api.slots import UploadSlots
from haste_server.api.waiting import LiveWorkers
from haste_server.api.watching import Following
from haste_server.metrics.counts import Counts
from haste_server.metrics.sharing import SharedCounts
from haste_server.trusted_proxy import TrustedProxy

_EXTENSION = "haste_services"

Projects = Sequence[str] | None

Readiness = Mapping[str, str]
"""``"ok"`` for database, broker and engine, or why each cannot work."""


class Uploads(Protocol):
    """Files that come in pieces; see `haste_core.uploads` for what goes wrong with them."""

    def create(
        self, length: int, header: str, *, projects: Projects = None, quota: UploadQuota | None = None
    ) -> Upload:
        """Begin an upload, or find it by its SHA-256; it belongs to the first project."""

    def look(self, upload_id: str, *, projects: Projects = None) -> Upload:
        """Tell how an upload stands; not found are those of other projects."""

    def append(
        self,
        upload_id: str,
        body: IO[bytes],
        *,
        offset: int,
        checksum: Checksum | None = None,
        projects: Projects = None,
    ) -> Upload:
        """Go on with an upload; with its last byte it is finished."""

    def remove(self, upload_id: str, *, projects: Projects = None) -> None:
        """Forget an upload."""

    def take(
        self,
        body: IO[bytes],
        header: str,
        *,
        length: int | None,
        projects: Projects = None,
        quota: UploadQuota | None = None,
    ) -> Upload:
        """Take a whole file in one go; the length is None if its body tells its end."""


@dataclass(frozen=True)
class Limits:
    """What one client may ask for.

    Attributes
    ----------
    body_bytes : int
        Of a JSON body.
    upload_bytes : int
        Of one file.
    uploads, event_streams : int
        At a time; each holds one of the server's threads.
    silence_s : float
        How long a client may send nothing in the middle of a body.
    upload_silence_s : float
        The same of an upload: it can be gone on with, but only when its broken connection is given up.
    """

    body_bytes: int = 16 * 2**20
    upload_bytes: int = 64 * 2**30
    uploads: int = 24
    event_streams: int = 16
    silence_s: float = 60.0
    upload_silence_s: float = 20.0


@dataclass(frozen=True)
class Services:
    """All that the views need.

    Attributes
    ----------
    jobs, streams, objects, workers, alerts, events, trash_store, tokens, projects, audit, monitoring
        The store.
    pipelines : mapping of str to Pipeline
        Those that a stream may name.
    tiers : frozenset of str
        Those that a policy or a pin may name.
    trashes : mapping of str to float
        Those of them whose objects may be deleted, with the days for which they stay at least.
    uploads : Uploads
    wake : callable
        Tells the engine that tasks may be ready.
    readiness : callable
        Looks at the parts of the server now.
    try_own_parts : callable
        Tries to make the functions and policies of users that pipelines name; raises InvalidError.
    dead_letters : callable
        Tells which messages nobody could read; None while that is not known.
    agent_tags : mapping of str to str
        The pipelines that the original agent's tags start.
    clock : callable
    token : str, optional
        The first one that clients may show; None lets everybody in.
    trusted_proxy : TrustedProxy, optional
        Whose users need no token; only with a token for all others.
    limits : Limits
    worker_silence_s : float
        A worker that was not heard of for so long is taken for gone.
    counts : SharedCounts
        What this server's processes count.
    credentials : Credentials
        Who shows a token.
    live : LiveWorkers
        What live workers take, and what they have.
    upload_slots : UploadSlots
        The few threads that may be busy with uploads.
    following : Following
        Those that may be busy with telling events.
    measuring : Measuring
        How the server is, for monitoring.
    owned : Owned, optional
        What these services are for, if it is not all; see `within`.
    """

    jobs: JobStore
    streams: StreamStore
    objects: ObjectStore
    workers: WorkerStore
    alerts: AlertStore
    events: EventStore
    trash_store: TrashStore
    tokens: TokenStore
    projects: ProjectStore
    audit: AuditStore
    monitoring: MonitoringStore
    pipelines: Mapping[str, Pipeline]
    tiers: frozenset[str]
    uploads: Uploads
    wake: Callable[[], None]
    readiness: Callable[[], Readiness]
    trashes: Mapping[str, float] = field(default_factory=dict)
    try_own_parts: Callable[[Mapping[str, Pipeline]], None] = lambda _: None
    dead_letters: Callable[[], DeadLetters | None] = lambda: None
    agent_tags: Mapping[str, str] = field(default_factory=dict)
    clock: Clock = time.time
    token: str | None = field(default=None, repr=False)
    trusted_proxy: TrustedProxy | None = None
    limits: Limits = Limits()
    worker_silence_s: float = 30.0
    counts: SharedCounts = field(default_factory=lambda: SharedCounts(Counts()), repr=False)
    credentials: Credentials = field(init=False, repr=False)
    live: LiveWorkers = field(init=False, repr=False)
    upload_slots: UploadSlots = field(init=False, repr=False)
    following: Following = field(init=False, repr=False)
    measuring: Measuring = field(init=False, repr=False)
    owned: Owned | None = field(default=None, init=False, repr=False)
    _narrowed: dict[tuple[str, ...], Services] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.trusted_proxy is not None and self.token is None:
            raise ValueError(
                "a server without a token asks nobody who they are, so that it has no use for a proxy"
            )
        object.__setattr__(self, "credentials", Credentials(self.token, self.tokens, clock=self.clock))
        object.__setattr__(
            self, "live", LiveWorkers(self.workers, clock=self.clock, silence_s=self.worker_silence_s)
        )
        slots = UploadSlots(self.limits.uploads, received=self.counts.counts.receive)
        object.__setattr__(self, "upload_slots", slots)
        object.__setattr__(self, "following", Following(self.events, most=self.limits.event_streams))
        measuring = Measuring(
            workers=self.workers,
            monitoring=self.monitoring,
            readiness=self.readiness,
            dead_letters=self.dead_letters,
            clock=self.clock,
            silence_s=self.worker_silence_s,
        )
        object.__setattr__(self, "measuring", measuring)

    def within(self, projects: tuple[str, ...]) -> Services:
        """Return the same for who may know of some projects only."""
        found = self._narrowed.get(projects)
        if found is None:
            found = self._narrowed[projects] = self._made_within(Owned(projects, self.projects))
        return found

    def _made_within(self, owned: Owned) -> Services:
        narrowed = copy(self)  # what is counted and kept is shared
        guarded: dict[str, object] = {
            name: guards.Guard(getattr(self, name), owned, rules) for name, rules in _RULES.items()
        }
        # Others' messages may be among the dead letters.
        for name, value in {**guarded, "dead_letters": lambda: None, "owned": owned}.items():
            object.__setattr__(narrowed, name, value)
        return narrowed

    def install(self, extensions: dict[str, object]) -> None:
        """Make these the services of an application."""
        extensions[_EXTENSION] = self


_RULES: Mapping[str, Mapping[str, guards.Rule]] = {
    "jobs": guards.JOBS,
    "streams": guards.STREAMS,
    "objects": guards.OBJECTS,
    "workers": guards.WORKERS,
    "alerts": guards.ALERTS,
    "trash_store": guards.TRASHES,
    "uploads": guards.UPLOADS,
    "tokens": {},
    "projects": {},
    "audit": {},
}


def services() -> Services:
    """Return the services of the application that handles the present request, for who asks."""
    narrowed: Services | None = g.get(_EXTENSION)
    return cast(Services, current_app.extensions[_EXTENSION]) if narrowed is None else narrowed


def remember_caller(caller: Caller) -> None:
    """Take note of who does the present request."""
    g.haste_caller = caller


def present_caller() -> Caller | None:
    """Tell who does the present request; None where nobody was asked."""
    return cast("Caller | None", g.get("haste_caller"))


def upload_quota() -> UploadQuota | None:
    """Tell what the uploads of who does the present request may hold."""
    return cast(Caller, g.haste_caller).upload_quota


def narrow_services(caller: Caller) -> None:
    """Let the present request have what concerns somebody's projects only."""
    if caller.projects is not None:
        setattr(g, _EXTENSION, services().within(caller.projects))
