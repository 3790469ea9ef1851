"""What the server answers about workers, queues, and itself."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from haste_client.connection import Connection
from haste_client.errors import OutageError
from haste_core.errors import InvalidError, Problem


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


_Told = TypeVar("_Told", bound=_Answer)


class CurrentTask(_Answer):
    """A task that a worker runs just now."""

    task_id: int
    attempt: int
    since_s: float | None = None
    fraction: float | None = None
    note: str | None = None


class WorkerAnswer(_Answer):
    """A live worker.

    Attributes
    ----------
    clock_ahead_s : float
        By how much its clock is ahead of the server's, less the time that its heartbeat took.
    version : str
        Of its software; empty if it does not tell.
    """

    worker_id: str
    host: str
    pid: int
    keys: tuple[str, ...]
    site: str
    slots: int
    busy: int
    tasks_per_s: dict[str, float] = Field(default_factory=dict)
    seen_s_ago: float
    clock_ahead_s: float = 0.0
    version: str = ""
    current: tuple[CurrentTask, ...] = ()


class QueueAnswer(_Answer):
    """The tasks of one key at one site; `message` says so where no worker takes them.

    With `more` there are more than were counted.
    """

    task_key: str
    site: str
    ready: int
    delayed: int
    handed_out: int
    more: bool = False
    oldest_ready_s: float | None = None
    live_workers: int
    message: str = ""


class WorkersAnswer(_Answer):
    """Who works, and on what tasks wait."""

    workers: tuple[WorkerAnswer, ...]
    queues: tuple[QueueAnswer, ...]


class Readiness(_Answer):
    """Whether the server can work: ``ok``, or why not."""

    database: str
    broker: str
    engine: str

    @property
    def ready(self) -> bool:
        """True if all three are."""
        return (self.database, self.broker, self.engine) == ("ok", "ok", "ok")


class TriedTierAnswer(_Answer):
    """What one live worker says of a tier; `trouble` is what keeps it from writing there."""

    worker_id: str
    host: str
    site: str
    is_writable: bool
    trouble: str = ""


class KnownTierAnswer(_Answer):
    """A tier that policies may name, with the workers that have tried to write to it."""

    tier: str
    is_trash: bool
    workers: tuple[TriedTierAnswer, ...]


class HealthAnswer(_Answer):
    """A server that answers.

    Attributes
    ----------
    version : str
    sent_at : float, optional
        When, by its clock, in whole seconds since 1970.
    """

    version: str
    sent_at: float | None = None


class LivenessCalls:
    """The calls of `HasteClient` that tell how the server is."""

    _connection: Connection

    def workers(self) -> WorkersAnswer:
        """Fetch who works, and what waits for whom."""
        return WorkersAnswer.model_validate(self._connection.get("/HASTE/workers/"))

    def tiers(self) -> list[KnownTierAnswer]:
        """Fetch all tiers, with what workers say of them."""
        return [
            KnownTierAnswer.model_validate(tier) for tier in self._connection.get("/HASTE/tiers/")["tiers"]
        ]

    def check_ready(self, *, once: bool = False) -> Readiness:
        """Ask whether all works, `once` or with the usual patience; OutageError names what does not."""
        get = self._connection.get_once if once else self._connection.get
        try:
            return Readiness.model_validate(get("/readyz"))
        except OutageError as error:
            raise OutageError(
                f"the HASTE server at {self._connection.url} cannot work now: {error}"
            ) from error

    def readiness(self) -> Readiness:
        """Ask once how database, broker and engine are; what ails one of them is told, not raised."""
        return self._told(Readiness, self._connection.look("/readyz", also=(503,))[0])

    def health(self) -> HealthAnswer:
        """Ask once whether the server answers; it asks for no token.

        Raises
        ------
        InvalidError
            If it is not a HASTE server that answers.
        """
        answer, sent_at = self._connection.look("/healthz")
        health = self._told(HealthAnswer, answer)
        return health.model_copy(update={"sent_at": sent_at})

    def _told(self, kind: type[_Told], answer: object) -> _Told:
        try:
            return kind.model_validate(answer)
        except ValidationError as error:
            what = f"what answers at {self._connection.url} is no HASTE server"
            raise InvalidError([Problem("url", what)]) from error
