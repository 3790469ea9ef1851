"""How long results wait for others, so that one transaction stores them all."""

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from haste_core.lifecycle import Rules
from haste_core.messages import Outcome, TaskResult
from haste_core.ports import ResultDelivery, UndeliveredTask
from haste_server.brokers.embedded import EmbeddedBroker
from haste_server.catalogue import load_pipelines
from haste_server.engine import collector as module
from haste_server.engine.attendance import Attendance
from haste_server.engine.collector import Collector
from haste_server.engine.inbox import Letterbox
from haste_server.metrics.counts import Counts
from haste_server.store.database import Database
from haste_server.store.migrate import upgrade
from haste_server.store.sql import SqlStore

_numbers = itertools.count(1)


def ran(seconds: float | None) -> ResultDelivery:
    """Return the result of a task that ran for so long; None for one that did not run."""
    task_id = next(_numbers)
    times = {} if seconds is None else {"started_at": 1000.0, "ended_at": 1000.0 + seconds}
    outcome = Outcome.HANDED_BACK if seconds is None else Outcome.ENDED
    return ResultDelivery(
        TaskResult(task_id=task_id, attempt=1, worker_id="w1", outcome=outcome, **times), task_id
    )


UNDELIVERED = UndeliveredTask(1, 1, "no worker")


class Broker(EmbeddedBroker):
    """Keeps how many results were stored together."""

    def __init__(self) -> None:
        super().__init__()
        self.settled: list[int] = []

    def settle(self, deliveries: Sequence[ResultDelivery]) -> None:
        self.settled.append(len(deliveries))
        super().settle(deliveries)


class Site:
    """A collector, and what arrives while it waits."""

    def __init__(self, database: Database, *, patient: bool = True) -> None:
        self.arrivals: Letterbox[ResultDelivery | UndeliveredTask] = Letterbox()
        self.later: list[ResultDelivery] = []
        self.waits_s: list[float] = []
        self.broker = Broker()
        self.counts = Counts()
        self.collector = Collector(
            store=SqlStore(database, Rules(), load_pipelines()["focus-tier"]),
            broker=self.broker,
            arrivals=self.arrivals,
            attendance=Attendance(forget_after_s=30.0),
            released=lambda: None,
            patient=patient,
            counts=self.counts,
            clock=lambda: 1000.0,
        )

    def sleep(self, seconds: float) -> None:
        self.waits_s.append(seconds)
        for delivery in self.later:
            self.arrivals.put(delivery)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path}/haste.db")
    upgrade(database)
    yield database
    database.close()


@pytest.fixture
def site(database: Database, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Site:
    site = Site(database, patient=getattr(request, "param", True))
    monkeypatch.setattr(module.time, "sleep", site.sleep)
    return site


@pytest.mark.parametrize(
    ("arrived", "waits_s"),
    [
        ([ran(0.03)], [0.015]),  # a worker has in store at least as much as it runs
        ([ran(60.0)], [0.025]),  # nobody should notice
        ([ran(0.05), ran(0.02)], [0.01]),
        ([ran(0.001)], []),  # such come in numbers
        ([ran(60.0), ran(0.001)], []),
        ([ran(60.0), ran(None)], []),
        ([ran(60.0), UNDELIVERED], []),
        ([ran(-5.0)], []),  # the worker's clock was set
    ],
)
def test_results_of_long_tasks_wait_for_less_than_a_task(
    site: Site, arrived: list[ResultDelivery | UndeliveredTask], waits_s: list[float]
) -> None:
    for each in arrived:
        site.arrivals.put(each)
    site.collector.step()
    assert site.waits_s == pytest.approx(waits_s)


def test_what_comes_meanwhile_is_stored_with_them(site: Site) -> None:
    site.later = [ran(0.02), ran(0.001)]
    site.arrivals.put(ran(0.03))
    site.collector.step()
    assert site.broker.settled == [3]


def test_short_tasks_are_stored_at_once(site: Site) -> None:
    site.later = [ran(0.02)]
    site.arrivals.put(ran(0.001))
    site.collector.step()
    assert site.broker.settled == [1]


@pytest.mark.parametrize("site", [False], indirect=True)
def test_where_workers_have_no_task_in_store_nothing_waits(site: Site) -> None:
    site.arrivals.put(ran(60.0))
    site.collector.step()
    assert site.waits_s == []
