"""What the server answers about workers, queues, and itself."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class CurrentTask(_Answer):
    """A task that a worker runs just now."""

    task_id: int
    attempt: int
    since_s: float | None = None
    fraction: float | None = None
    note: str | None = None


class WorkerAnswer(_Answer):
    """A live worker."""

    worker_id: str
    host: str
    pid: int
    keys: tuple[str, ...]
    site: str
    slots: int
    busy: int
    tasks_per_s: dict[str, float] = Field(default_factory=dict)
    seen_s_ago: float
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
