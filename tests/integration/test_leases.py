"""Who keeps an attempt when connections break and brokers go: real workers, RabbitMQ and engine."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from haste_core.jobs import TaskRecord
from haste_core.jobspec import parse_job_spec
from haste_core.lifecycle import Rules
from haste_core.scheduling import grace_s
from haste_core.states import Phase, TaskState
from haste_runtime import amqp
from haste_server.brokers.rabbitmq import RabbitBroker
from haste_server.catalogue import load_pipelines
from haste_server.engine import Engine, EngineSettings
from haste_server.store.database import Database
from haste_server.store.migrate import upgrade
from haste_server.store.sql import SqlStore
from haste_workers.runner import Runner
from haste_workers.settings import WorkerSettings
from haste_workers.transports.amqp import AmqpTransport
from tests.integration.tcp_proxy import TcpProxy
from tests.services.rabbitmq import RabbitMQ
from tests.waiting import wait_for

_HANDLERS = {"hold": "tests.integration.lease_handlers:hold"}
_HEARTBEAT_S = 0.2


class Lab:
    """An engine and its workers, each of which may be given a connection of its own."""

    def __init__(self, folder: Path, url: str, cleanup: ExitStack, *, lease_s: float) -> None:
        self.folder = folder
        self.url = url
        self._cleanup = cleanup
        database = Database(f"sqlite:///{folder}/haste.db")
        cleanup.callback(database.close)
        upgrade(database)
        rules = Rules(hearsay_grace_s=grace_s(lease_s=lease_s))
        self.store = SqlStore(database, rules, load_pipelines()["focus-tier"])
        self.engine = Engine(
            store=self.store, broker=RabbitBroker(url), settings=EngineSettings(lease_s=lease_s)
        )
        self.engine.start()
        cleanup.callback(self.engine.stop)

    def proxy(self) -> TcpProxy:
        proxy = TcpProxy(urlsplit(self.url).port or 0)
        self._cleanup.callback(proxy.close)
        return proxy

    def worker(self, worker_id: str, *, through: TcpProxy | None = None) -> Callable[[], None]:
        """Start a worker; return what makes it vanish without a word."""
        url = self.url
        if through is not None:
            url = url.replace(f":{urlsplit(url).port}/", f":{through.port}/")
        work = self.folder / worker_id
        transport = AmqpTransport(url, worker_id)
        runner = Runner(
            transport,
            settings=WorkerSettings(work_dir=work, concurrency=1, heartbeat_s=_HEARTBEAT_S),
            handlers=_HANDLERS,
            worker_id=worker_id,
            scratch=work / "scratch",
        )
        thread = threading.Thread(target=runner.run)
        thread.start()

        def vanish() -> None:
            runner.abandon()
            thread.join()
            transport.stop(timeout_s=0)

        self._cleanup.callback(vanish)
        assert runner.up.wait(60)
        return vanish

    def submit(self) -> int:
        spec = {"source_url": "root://nas/x", "source_id": "x", "tasks": "hold"}
        [answer] = self.store.submit(
            [parse_job_spec({**spec, "metadata": {"folder": str(self.folder)}})], now=time.time()
        )
        self.engine.wake()
        return answer.job_id

    def task(self, job_id: int) -> TaskRecord:
        return self.store.job(job_id).tasks[0]

    def wait_for_holder(self, job_id: int, worker_id: str) -> None:
        wait_for(lambda: self._holder(job_id) == worker_id, f"{worker_id} runs it")

    def finish(self, job_id: int) -> TaskRecord:
        (self.folder / "go").touch()
        wait_for(lambda: self.store.job(job_id).state.ended, "the job ends")
        return self.task(job_id)

    @property
    def runs(self) -> list[str]:
        return (self.folder / "runs").read_text().split()

    def _holder(self, job_id: int) -> str | None:
        task = self.task(job_id)
        return task.worker_id if task.phase is Phase.HANDED_OUT and task.started_at is not None else None


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Callable[..., Lab]]:
    with ExitStack() as cleanup:
        yield lambda url, *, lease_s: Lab(tmp_path, url, cleanup, lease_s=lease_s)


def test_a_worker_whose_connection_breaks_keeps_what_it_runs(amqp_url: str, lab: Callable[..., Lab]) -> None:
    site = lab(amqp_url, lease_s=6.0)
    proxy = site.proxy()
    site.worker("cut-off", through=proxy)
    job_id = site.submit()
    site.wait_for_holder(job_id, "cut-off")
    site.worker("other")
    leases = _Shortest(site, job_id)
    proxy.cut()
    wait_for(lambda: leases.seen_s() < 2.1, "the other worker tells it lost")
    wait_for(lambda: leases.present_s() > 5.0, "the holder renews its lease")
    time.sleep(2.5)
    task = site.finish(job_id)
    assert (task.state, task.attempt, task.worker_id, task.losses) == (TaskState.DONE, 1, "cut-off", 0)
    assert site.runs == ["1"]


class _Shortest:
    """The lease that a task has left, and the least of it that was seen."""

    def __init__(self, site: Lab, job_id: int) -> None:
        self._site, self._job_id = site, job_id
        self._shortest_s = float("inf")

    def present_s(self) -> float:
        return (self._site.task(self._job_id).due_at or 0.0) - time.time()

    def seen_s(self) -> float:
        self._shortest_s = min(self._shortest_s, self.present_s())
        return self._shortest_s


def test_what_a_worker_held_that_died_goes_to_another_soon(amqp_url: str, lab: Callable[..., Lab]) -> None:
    site = lab(amqp_url, lease_s=12.0)
    vanish = site.worker("dead")
    job_id = site.submit()
    site.wait_for_holder(job_id, "dead")
    site.worker("other")
    died_at = time.monotonic()
    vanish()
    site.wait_for_holder(job_id, "other")
    assert time.monotonic() - died_at < 10.0, "sooner than the lease of 12 s would have ended"
    task = site.finish(job_id)
    assert (task.state, task.attempt, task.worker_id, task.losses) == (TaskState.DONE, 2, "other", 1)
    assert site.runs == ["1", "2"]


def test_a_task_goes_on_while_the_broker_is_away_for_longer_than_its_lease(
    rabbitmq_server: RabbitMQ, lab: Callable[..., Lab], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(amqp, "_LONGEST_WAIT_S", 0.4)  # in proportion to a lease so short
    lease_s = 6.0  # a third of it is the grace, in which all must be connected again on a busy machine
    site = lab(rabbitmq_server.new_vhost(), lease_s=lease_s)
    site.worker("here")
    job_id = site.submit()
    site.wait_for_holder(job_id, "here")
    rabbitmq_server.kill()
    time.sleep(lease_s)
    rabbitmq_server.start()  # takes seconds more
    wait_for(lambda: site.engine.trouble() == "", "the engine is connected again")
    time.sleep(2 * grace_s(lease_s=lease_s))  # twice what is left to those who were away
    task = site.finish(job_id)
    assert (task.state, task.attempt, task.losses) == (TaskState.DONE, 1, 0)
    assert site.runs == ["1"]
