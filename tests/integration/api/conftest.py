"""The API on a real store, without a web server around it."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from haste_core.dead_letters import DeadLetters
from haste_core.lifecycle import Rules
from haste_core.messages import Outcome, Presence, TaskMessage, TaskResult
from haste_core.pipelines import Pipeline
from haste_core.routing import Route
from haste_core.states import TaskState
from haste_server.api.services import Limits, Services
from haste_server.catalogue import load_pipelines, named_tiers
from haste_server.gateway.arrivals import Arrivals
from haste_server.gateway.landing import FolderLandingArea
from haste_server.gateway.room import UploadRoom
from haste_server.gateway.uploads import FolderUploads
from haste_server.store.database import Database
from haste_server.store.sql import SqlStore
from haste_server.trusted_proxy import TrustedProxy
from haste_server.web.application import create_application
from tests.integration.api.tus import Tus

NOW = 1_790_000_000.0
KEEP_S = 86_400.0
LIMITS = Limits(body_bytes=200_000, upload_bytes=1_000_000, uploads=2)


@dataclass
class Api:
    """The application, what it is made of, and short ways to use it."""

    store: SqlStore
    landing_folder: Path
    token: str | None = None
    trusted_proxy: TrustedProxy | None = None
    now: float = NOW
    wakes: int = 0
    readiness: dict[str, str] = field(
        default_factory=lambda: {"database": "ok", "broker": "ok", "engine": "ok"}
    )
    dead_letters: DeadLetters | None = None
    trashes: Mapping[str, float] = field(default_factory=lambda: {"archive": 30})
    try_own_parts: Callable[[Mapping[str, Pipeline]], None] = lambda _: None
    uploads: FolderUploads = field(init=False)
    client: FlaskClient = field(init=False)

    def __post_init__(self) -> None:
        landing = FolderLandingArea(self.landing_folder, site="lab1")
        self.uploads = FolderUploads(
            landing=landing,
            arrivals=Arrivals(
                self.store, self.store, load_pipelines()["focus-tier"], self._wake, lambda: self.now
            ),
            room=UploadRoom(landing, self.store, max_bytes=LIMITS.upload_bytes, clock=lambda: self.now),
            keep_s=KEEP_S,
            clock=lambda: self.now,
        )
        services = Services(
            jobs=self.store,
            streams=self.store,
            objects=self.store,
            workers=self.store,
            alerts=self.store,
            events=self.store,
            trash_store=self.store,
            tokens=self.store,
            projects=self.store,
            audit=self.store,
            monitoring=self.store,
            trashes=self.trashes,
            pipelines=load_pipelines(),
            tiers=named_tiers(load_pipelines()) | set(self.trashes),
            uploads=self.uploads,
            wake=self._wake,
            readiness=lambda: self.readiness,
            dead_letters=lambda: self.dead_letters,
            try_own_parts=self.try_own_parts,
            clock=lambda: self.now,
            agent_tags={"lab1": "full", "lab 2 é": "focus-tier"},
            token=self.token,
            trusted_proxy=self.trusted_proxy,
            limits=LIMITS,
        )
        self.client = create_application(services, self.store).test_client()

    def _wake(self) -> None:
        self.wakes += 1

    def submit(self, **fields: Any) -> dict[str, Any]:
        answer = self.client.post("/HASTE/job/", json=spec(**fields))
        assert answer.status_code == 201, answer.text
        return answer.json

    def attend(self, *keys: str, site: str = "default", seen_at: float | None = None) -> None:
        presence = Presence(
            worker_id=f"worker-{'-'.join(keys)}",
            host="pc",
            pid=1,
            keys=keys,
            site=site,
            slots=2,
            sent_at=self.now,
        )
        self.store.save_presence([presence], now=seen_at or self.now)

    def run(self, task_key: str, state: TaskState = TaskState.DONE, **answer: Any) -> None:
        """Let a worker take one task of a key, and end it."""
        (message,) = self.store.claim(Route(task_key, "default"), 1, now=self.now, lease_s=30)
        self.store.record([result_of(message, state, **answer)], now=self.now)


def result_of(message: TaskMessage, state: TaskState = TaskState.DONE, **answer: Any) -> TaskResult:
    """Make what a worker says of a task that it was given."""
    return TaskResult(
        task_id=message.task_id,
        attempt=message.attempt,
        worker_id="worker",
        outcome=Outcome.ENDED,
        state=state,
        response=answer,
        message="" if state is TaskState.DONE else "no good",
    )


def spec(**fields: Any) -> dict[str, Any]:
    """Make a job spec."""
    wanted = {"source_url": "root://nas/plate7/A01.tif", "source_id": "A01", "tasks": "focus-score"}
    return wanted | fields


@pytest.fixture
def store(tmp_path: Path, empty_database: Path) -> Iterator[SqlStore]:
    """Return an empty store."""
    database = Database(f"sqlite:///{shutil.copy(empty_database, tmp_path)}")
    yield SqlStore(database=database, rules=Rules(), default_pipeline=load_pipelines()["focus-tier"])
    database.close()


@pytest.fixture
def api(store: SqlStore, tmp_path: Path) -> Api:
    """Return the API on an empty store."""
    return Api(store, tmp_path / "landing")


@pytest.fixture
def tus(api: Api) -> Tus:
    """Return a client that says just what it is told to."""
    return Tus(api)
