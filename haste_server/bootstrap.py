"""The wiring: the only place that knows which store, broker and web server run.

What not every process of a server needs is imported where it is made: that is half of the time of a start.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from haste_core.dead_letters import DeadLetters
from haste_core.edge_images import EDGE_KEYS
from haste_core.errors import InvalidError, Problem, TransientError
from haste_core.lifecycle import Rules
from haste_core.pipelines import Pipeline
from haste_core.ports import Broker, Selector
from haste_core.scheduling import RetryPolicy, grace_s
from haste_runtime.folders import deep_folder
from haste_server.brokers.embedded import EmbeddedBroker
from haste_server.catalogue import check_tiers, load_pipelines, named_tiers
from haste_server.channels.chosen import open_channels
from haste_server.engine import Beside, Engine, EngineSettings
from haste_server.engine.alerting import Alerting
from haste_server.engine.pipeline_check import check_own_parts
from haste_server.gateway.arrivals import Arrivals
from haste_server.gateway.landing import FolderLandingArea
from haste_server.gateway.room import UploadRoom
from haste_server.gateway.superseded import LandingSweep
from haste_server.gateway.uploads import FolderUploads
from haste_server.metrics.counts import Counts
from haste_server.metrics.sharing import SharedCounts, forget
from haste_server.processes.beacon import EngineBeacon, EngineContact
from haste_server.processes.own_workers import OwnWorkers
from haste_server.processes.parts import Part, Parts
from haste_server.settings import ServerSettings
from haste_server.store.choosing import SELECTORS
from haste_server.store.database import Database
from haste_server.store.sql import SqlStore

if TYPE_CHECKING:
    from haste_server.api.services import Readiness, Services
    from haste_server.brokers.rabbitmq import RabbitBroker


@dataclass(frozen=True)
class Server:
    """A server as its settings describe it; makes the parts of its processes.

    Attributes
    ----------
    settings : ServerSettings
    pipelines : mapping of str to Pipeline
    token : str, optional
    """

    settings: ServerSettings
    pipelines: Mapping[str, Pipeline]
    token: str | None = field(repr=False)

    def prepare_database(self) -> None:
        """Make the schema of an SQLite file; check that of a database server.

        Raises
        ------
        TransientError
            If the database does not answer.
        PermanentError
            If its schema is another version's, with the remedy.
        """
        from haste_server.store import migrate

        database = Database(self.settings.database)
        try:
            self._store(database).ping()
            if self.settings.uses_sqlite:
                migrate.upgrade(database)
            else:
                migrate.check(database)
        finally:
            database.close()

    def upgrade_database(self) -> None:
        """Bring the database to the schema of this version."""
        from haste_server.store import migrate

        database = Database(self.settings.database)
        try:
            self._store(database).ping()
            migrate.upgrade(database)
        finally:
            database.close()

    def prepare_folders(self) -> None:
        """Make the folders, and clear away what broken uploads and an earlier server's processes left."""
        self._landing_area.prepare()
        forget(self._counts_folder)

    def whole(self, url: str) -> Parts:
        """Make the one process that does all.

        Parameters
        ----------
        url : str
            Of this server.
        """
        from haste_server.web.application import create_application

        database = Database(self.settings.database)
        store = self._store(database)
        own_workers = EmbeddedBroker() if self.settings.broker_url is None else None
        broker = own_workers or self._rabbitmq()
        counts = SharedCounts(Counts())
        engine = self._engine(store, broker, counts)
        look = partial(_look, broker, engine)
        services = self._services(store, engine.wake, look, broker.dead_letters, counts)
        sweep = self._sweep(store, engine.wake)
        beside = [
            Part(_nothing, database.close),
            Part(engine.start, engine.stop),
            self._alerting(store),
            Part(sweep.start, sweep.stop),
        ]
        if own_workers is not None:
            workers = OwnWorkers(self.settings, self.pipelines, self.token, url)
            for program in workers.programs(own_workers.attach):
                # Stopped first: the results of what they still finish are recorded.
                stop = partial(program.stop, timeout_s=self.settings.shutdown_s)
                beside.append(Part(program.start, stop))
        application = create_application(services, store)
        return Parts(application, tuple(beside), leave=services.following.end)

    def web(self, _url: str) -> Parts:
        """Make a process that answers requests beside an engine's process."""
        from haste_server.web.application import create_application

        database = Database(self.settings.database)
        contact = EngineContact(self._beacon_file)
        store = self._store(database)
        counts = SharedCounts(Counts(), self._counts_folder)
        services = self._services(store, contact.wake, contact.look, contact.dead_letters, counts)
        closing = (
            Part(_nothing, database.close),
            Part(_nothing, contact.close),
            Part(counts.start, counts.stop),
        )
        return Parts(create_application(services, store), closing, leave=services.following.end)

    def engine(self) -> Parts:
        """Make the engine's process."""
        database = Database(self.settings.database)
        broker = self._rabbitmq()
        store = self._store(database)
        counts = SharedCounts(Counts(), self._counts_folder)
        engine = self._engine(store, broker, counts)
        sweep = self._sweep(store, engine.wake)
        beacon = EngineBeacon(
            self._beacon_file,
            wake=engine.wake,
            look=partial(_look, broker, engine),
            dead_letters=broker.dead_letters,
        )
        beside = (
            Part(_nothing, database.close),
            Part(counts.start, counts.stop),
            Part(engine.start, engine.stop),
            self._alerting(store),
            Part(beacon.start, beacon.stop),
            Part(sweep.start, sweep.stop),
        )
        return Parts(None, beside)

    def _store(self, database: Database) -> SqlStore:
        settings = self.settings
        retry = RetryPolicy(
            max_attempts=settings.max_attempts,
            max_lost=settings.max_lost,
            base_delay_s=settings.retry_delay_s,
            max_delay_s=settings.max_retry_delay_s,
        )
        return SqlStore(
            database=database,
            rules=Rules(
                retry=retry,
                ageing_per_s=settings.ageing_per_s,
                hearsay_grace_s=grace_s(lease_s=settings.lease_s),
            ),
            default_pipeline=self.pipelines[settings.default_pipeline],
        )

    def _rabbitmq(self) -> RabbitBroker:
        from haste_server.brokers.rabbitmq import RabbitBroker

        assert self.settings.broker_url is not None
        return RabbitBroker(self.settings.broker_url.get_secret_value())

    def _engine(self, store: SqlStore, broker: Broker, counts: SharedCounts) -> Engine:
        selectors, beside = self._selectors(store.database)
        settings = EngineSettings(
            lease_s=self.settings.lease_s,
            evaluation_limit_s=self.settings.evaluation_limit_s,
            selectors=selectors,
            beside=beside,
            tier_limits=self.settings.tier_limits,
        )
        return Engine(store=store, broker=broker, settings=settings, counts=counts.counts)

    def _selectors(self, database: Database) -> tuple[dict[str, Selector], dict[str, Beside]]:
        """Make who chooses the tasks of some keys, and what some of them do beside."""
        chosen = self.settings.selectors
        selectors = {key: SELECTORS[name](database) for key, name in chosen.items() if name != "edge"}
        if "edge" not in chosen.values():
            return selectors, {}
        from haste_server.engine.edge_selector import EdgeSelector
        from haste_server.store.edge import EdgeTasks

        edge = EdgeSelector(EdgeTasks(database), clock=time.time)
        return {**selectors, **dict.fromkeys(EDGE_KEYS, edge)}, {"edge": edge}

    def _alerting(self, store: SqlStore) -> Part:
        settings = self.settings
        alerting = Alerting(
            store=store,
            channels=open_channels(settings.alert_webhooks, settings.alert_email),
            folders=settings.watched_folders(named_tiers(self.pipelines)),
            quotas=settings.quotas,
            clock=time.time,
        )
        return Part(alerting.start, alerting.stop)

    def _services(
        self,
        store: SqlStore,
        wake: Callable[[], None],
        look: Callable[[], Readiness],
        dead_letters: Callable[[], DeadLetters | None],
        counts: SharedCounts,
    ) -> Services:
        from haste_server.api.services import Limits, Services

        def readiness() -> Readiness:
            try:
                store.ping()
            except TransientError as error:
                return {"database": str(error), **look()}
            return {"database": "ok", **look()}

        return Services(
            jobs=store,
            streams=store,
            objects=store,
            workers=store,
            alerts=store,
            events=store,
            pipelines=self.pipelines,
            tiers=named_tiers(self.pipelines) | frozenset(self.settings.tiers),
            trash_store=store,
            tokens=store,
            projects=store,
            audit=store,
            monitoring=store,
            counts=counts,
            trashes=self.settings.trashes,
            uploads=self._uploads(store, wake),
            wake=wake,
            readiness=readiness,
            try_own_parts=check_own_parts,
            dead_letters=dead_letters,
            agent_tags=self.settings.agent_tags,
            token=self.token,
            trusted_proxy=self.settings.trusted_proxy,
            limits=Limits(
                body_bytes=self.settings.max_body_bytes,
                upload_bytes=self.settings.max_upload_bytes,
                uploads=self.settings.max_uploads,
                event_streams=self.settings.event_streams,
            ),
            worker_silence_s=self.settings.lease_s,
        )

    def _sweep(self, store: SqlStore, wake: Callable[[], None]) -> LandingSweep:
        return LandingSweep(
            jobs=store,
            streams=store,
            originals=store,
            landing=self._landing_area,
            uploads=self._uploads(store, wake),
        )

    def _uploads(self, store: SqlStore, wake: Callable[[], None]) -> FolderUploads:
        default_pipeline = self.pipelines[self.settings.default_pipeline]
        room = UploadRoom(
            self._landing_area,
            store,
            max_bytes=self.settings.max_upload_bytes,
            leaves_free_bytes=self.settings.upload_leaves_free_bytes,
        )
        return FolderUploads(
            landing=self._landing_area,
            arrivals=Arrivals(store, store, default_pipeline, wake, time.time),
            room=room,
            keep_s=self.settings.upload_keep_s,
        )

    @cached_property
    def _landing_area(self) -> FolderLandingArea:
        return FolderLandingArea(deep_folder(self.settings.landing), site=self.settings.site)

    @property
    def _counts_folder(self) -> Path:
        return self.settings.data_dir / "run" / "counts"

    @property
    def _beacon_file(self) -> Path:
        return self.settings.data_dir / "run" / "engine.json"


def build(settings: ServerSettings) -> Server:
    """Make a server of its settings.

    Raises
    ------
    InvalidError
        If pipelines or the token cannot be read, or a pipeline names an unknown tier, or its own function or
        policy cannot be made.
    """
    pipelines = load_pipelines(settings.pipelines_dir)
    check_tiers(pipelines, settings.tiers)
    check_own_parts(pipelines)
    tags = {f"agent_tags.{tag}": name for tag, name in settings.agent_tags.items()}
    for setting, name in {"default_pipeline": settings.default_pipeline, **tags}.items():
        if name not in pipelines:
            known = ", ".join(sorted(pipelines))
            raise InvalidError([Problem(setting, f"there is no pipeline {name!r} (known: {known})")])
    return Server(settings, pipelines, settings.read_token())


def _look(broker: EmbeddedBroker | RabbitBroker, engine: Engine) -> Readiness:
    trouble = "" if isinstance(broker, EmbeddedBroker) else broker.trouble()
    return {
        "broker": "ok" if broker.is_up() else f"not connected: {trouble or 'trying'}",
        "engine": engine.trouble() or "ok",
    }


def _nothing() -> None:
    """Stand for a start or a stop that needs nothing done."""
