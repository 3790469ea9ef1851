"""When leases end, on a real store and a clock that the test sets."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from haste_core.errors import TransientError
from haste_core.jobspec import parse_job_spec
from haste_core.lifecycle import Rules
from haste_core.messages import HeldAttempt, Presence, TaskMessage
from haste_core.routing import Route
from haste_core.states import Phase
from haste_server.catalogue import load_pipelines
from haste_server.engine import reconciler as module
from haste_server.engine.attendance import Attendance
from haste_server.engine.inbox import Letterbox
from haste_server.engine.reconciler import Reconciler
from haste_server.metrics.counts import Counts
from haste_server.store.database import Database
from haste_server.store.migrate import upgrade
from haste_server.store.sql import SqlStore

LEASE_S, GRACE_S = 30.0, 10.0


class Mail(Letterbox[Presence]):
    """Tells how long the reconciler would have waited, and does not wait."""

    waited_s = 0.0

    def take(self, limit: int, *, timeout_s: float) -> list[Presence]:
        self.waited_s = timeout_s
        return super().take(limit, timeout_s=0)


class Site:
    """An engine's reconciler, its store, and what it depends on."""

    def __init__(self, store: SqlStore) -> None:
        self.now = 1_700_000_000.0
        self.store = store
        self.mail = Mail()
        self.broker_up = True
        self.counts = Counts()
        self.reconciler = Reconciler(
            store=store,
            presences=self.mail,
            attendance=Attendance(forget_after_s=LEASE_S),
            released=lambda: None,
            can_hear=lambda: self.broker_up,
            lease_s=LEASE_S,
            grace_s=GRACE_S,
            counts=self.counts,
            clock=lambda: self.now,
        )

    def hand_out(self) -> TaskMessage:
        spec = parse_job_spec({"source_url": "root://nas/x", "source_id": "x", "tasks": "a"})
        self.store.submit([spec], now=self.now)
        [message] = self.store.claim(Route("a", "default"), 1, now=self.now, lease_s=LEASE_S)
        return message

    def beat(self, message: TaskMessage) -> None:
        held = HeldAttempt(task_id=message.task_id, attempt=message.attempt, started_at=self.now)
        self.mail.put(
            Presence(
                worker_id="w1",
                host="h",
                pid=1,
                keys=("a",),
                site="default",
                slots=1,
                held=(held,),
                sent_at=self.now,
            )
        )

    def go_on(self, seconds: float, *, step_s: float = 1.0) -> None:
        until = self.now + seconds
        while self.now < until:
            self.now += step_s
            self.reconciler.step()

    def is_leased(self, message: TaskMessage) -> bool:
        task = self.store.job(message.job_id).tasks[0]
        return task.phase is Phase.HANDED_OUT and task.attempt == message.attempt


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    database = Database(f"sqlite:///{tmp_path}/haste.db")
    upgrade(database)
    yield Site(SqlStore(database, Rules(), load_pipelines()["focus-tier"]))
    database.close()


def test_a_lease_ends_without_heartbeats(site: Site) -> None:
    message = site.hand_out()
    site.go_on(LEASE_S)
    assert site.is_leased(message)
    site.go_on(1)
    assert not site.is_leased(message)


def test_no_lease_ends_while_the_broker_is_away_nor_shortly_after(site: Site) -> None:
    message = site.hand_out()
    site.broker_up = False
    site.go_on(5 * LEASE_S)
    site.broker_up = True
    site.go_on(GRACE_S - 1)
    assert site.is_leased(message)
    site.beat(message)
    site.go_on(LEASE_S)
    assert site.is_leased(message), "its worker has been heard"
    site.go_on(2)
    assert not site.is_leased(message)


def test_no_lease_ends_shortly_after_the_database_was_away(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = site.hand_out()

    def fail(*_: object, **__: object) -> None:
        raise TransientError("the database is away")

    with monkeypatch.context() as outage:
        outage.setattr(site.store.database, "write", fail)
        outage.setattr(site.store.database, "read", fail)
        for _ in range(60):
            site.now += 1
            site.beat(message)  # arrives, and cannot be stored
            with pytest.raises(TransientError):
                site.reconciler.step()
    site.mail.take(1000, timeout_s=0)
    site.go_on(GRACE_S - 2)
    assert site.is_leased(message)
    site.go_on(3)
    assert not site.is_leased(message)


def test_no_lease_ends_while_heartbeats_wait_to_be_read(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH", 2)
    message = site.hand_out()
    site.now += GRACE_S + LEASE_S
    for other in range(3):
        site.beat(message.model_copy(update={"task_id": message.task_id + other + 1}))
    site.beat(message)
    site.reconciler.step()
    assert site.is_leased(message)
    site.reconciler.step()
    site.reconciler.step()
    assert site.is_leased(message)


def test_what_is_overdue_in_the_grace_is_not_looked_at_again_and_again(site: Site) -> None:
    site.hand_out()
    site.now += LEASE_S + 1
    site.broker_up = False
    site.reconciler.step()
    site.reconciler.step()
    assert site.mail.waited_s == module.LONGEST_WAIT_S
    site.broker_up = True
    site.now += GRACE_S - 0.25
    site.reconciler.step()
    assert site.mail.waited_s == pytest.approx(0.25)


def test_of_a_worker_s_clock_the_latest_heartbeat_counts(site: Site) -> None:
    message = site.hand_out()
    site.beat(message)
    site.now += 60  # this engine stood still
    site.beat(message)
    with capture_logs() as logs:
        site.reconciler.step()
    assert "worker_clock_off" not in {line.get("action") for line in logs}
    assert site.is_leased(message)
