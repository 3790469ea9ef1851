"""The engine with real stores and brokers in both shapes; the worker here only answers."""

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from haste_core.jobspec import JobSpec, parse_job_spec
from haste_core.lifecycle import Rules
from haste_core.messages import AttemptKey, HeldAttempt, Outcome, Presence, TaskMessage, TaskResult
from haste_core.pipelines import Pipeline
from haste_core.ports import Broker, TaskDelivery, WorkerTransport
from haste_core.routing import MAX_MESSAGE_BYTES, Route
from haste_core.scheduling import RetryPolicy
from haste_core.states import TaskState
from haste_core.stores import JobFilter
from haste_server.brokers.embedded import EmbeddedBroker
from haste_server.brokers.rabbitmq import RabbitBroker
from haste_server.engine import Engine, EngineSettings
from haste_server.metrics.counts import Counts
from haste_server.store.choosing import NewestFirst
from haste_server.store.database import Database
from haste_server.store.migrate import upgrade
from haste_server.store.sql import SqlStore
from haste_workers.transports.amqp import AmqpTransport
from haste_workers.transports.pipe import PipeTransport
from tests.waiting import wait_for

LEASE_S = 1.5
PIPELINE = Pipeline.parse(
    {
        "name": "scored",
        "description": "Score, then tier",
        "tasks": {"taskSequential": ["score", "tier"]},
        "interestingness": {
            "function": "logistic",
            "features_from": "score",
            "undefined_if": "empty",
            "parameters": {"feature": "plls", "k": 4.5, "x0": -1.4},
        },
        "policy": {
            "intervals": [{"lo": 0, "hi": 0.5, "tier": "cold"}, {"lo": 0.5, "hi": 1, "tier": "hot"}],
            "undefined": "empty",
        },
    }
)

Answer = Callable[[TaskMessage], TaskResult | None]


@dataclass
class Answerer:
    """A worker whose handler is a function; None answers nothing, as a worker that hangs."""

    transport: WorkerTransport
    worker_id: str
    keys: tuple[str, ...]
    answer: Answer
    seen: list[TaskMessage] = field(default_factory=list)
    held: dict[int, HeldAttempt] = field(default_factory=dict)
    revoked: list[AttemptKey] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        routes = [Route(key, "default") for key in self.keys]
        self.transport.start(routes, prefetch=10, on_task=self._take, on_revoked=self._drop)
        self._beat = threading.Thread(target=self._announce, name=f"beat {self.worker_id}")
        self._beat.start()

    def stop(self) -> None:
        self.stopping.set()
        self._beat.join()
        self.transport.stop(timeout_s=5)

    def _take(self, delivery: TaskDelivery) -> None:
        message = delivery.message
        self.seen.append(message)
        result = self.answer(message)
        if result is None:
            self.held[message.task_id] = HeldAttempt(
                task_id=message.task_id, attempt=message.attempt, started_at=time.time()
            )
        else:
            self.transport.report(result, delivery)

    def _drop(self, attempts: Sequence[AttemptKey]) -> None:
        self.revoked.extend(attempts)
        for task_id, _ in attempts:
            self.held.pop(task_id, None)

    def _announce(self) -> None:
        while not self.stopping.is_set():
            presence = Presence(
                worker_id=self.worker_id,
                host="here",
                pid=1,
                keys=self.keys,
                site="default",
                slots=4,
                held=tuple(self.held.values()),
                sent_at=time.time(),
            )
            self.transport.announce(presence)
            self.stopping.wait(0.2)


@dataclass
class System:
    """A store, a broker and an engine, and the means to attach workers."""

    store: SqlStore
    broker: Broker
    engine: Engine
    amqp_url: str | None
    cleanup: ExitStack
    counts: Counts

    def counted(self, name: str, **labels: str) -> float | None:
        """Return what the engine has counted of key a."""
        queue = {"key": "a", "site": "default"}
        return self.counts.registry.get_sample_value(f"haste_{name}_total", queue | labels)

    def worker(self, *keys: str, answer: Answer, worker_id: str = "w1") -> Answerer:
        worker = Answerer(self._transport(worker_id), worker_id, keys, answer)
        worker.start()
        self.cleanup.callback(worker.stop)
        return worker

    def _transport(self, worker_id: str) -> WorkerTransport:
        if self.amqp_url is not None:
            return AmqpTransport(self.amqp_url, worker_id)
        assert isinstance(self.broker, EmbeddedBroker)
        (take, send), (hear, answer) = os.pipe(), os.pipe()
        self.broker.attach(os.fdopen(hear, "rb"), os.fdopen(send, "wb"), name=worker_id)
        return PipeTransport(os.fdopen(take, "rb"), os.fdopen(answer, "wb"), on_closed=lambda: None)

    def submit(self, *specs: JobSpec) -> list[int]:
        answers = self.store.submit(specs, now=time.time())
        self.engine.wake()
        return [answer.job_id for answer in answers]

    def wait(self, *job_ids: int, timeout_s: float = 20) -> list[TaskState]:
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            states = [self.store.job(job_id).state for job_id in job_ids]
            if all(state.ended for state in states):
                return states
            time.sleep(0.02)
        raise AssertionError(f"not ended in {timeout_s} s: {states}, {self.engine.trouble()}")


@pytest.fixture
def lease_s() -> float:
    return LEASE_S


@pytest.fixture(params=["embedded", "distributed"])
def system(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lease_s: float
) -> Iterator[System]:
    monkeypatch.setattr("haste_server.engine.reviser.LOOK_EVERY_S", 0.2)
    amqp_url = None
    broker: Broker
    if request.param == "embedded":
        database, broker = Database(f"sqlite:///{tmp_path}/haste.db"), EmbeddedBroker()
    else:
        amqp_url = request.getfixturevalue("amqp_url")
        database, broker = Database(request.getfixturevalue("mariadb_url")), RabbitBroker(amqp_url)
    upgrade(database)
    store = SqlStore(database, Rules(RetryPolicy(base_delay_s=0.1)), PIPELINE)
    counts, settings = Counts(), EngineSettings(lease_s, evaluation_limit_s=5)
    engine = Engine(store=store, broker=broker, settings=settings, counts=counts)
    engine.start()
    with ExitStack() as cleanup:
        cleanup.callback(database.close)
        cleanup.callback(engine.stop)
        yield System(store, broker, engine, amqp_url, cleanup, counts)


def spec(tasks: object, **more: object) -> JobSpec:
    return parse_job_spec({"source_url": "root://nas/x", "source_id": "x", "tasks": tasks, **more})


def result(message: TaskMessage, state: TaskState = TaskState.DONE, **more: object) -> TaskResult:
    return TaskResult(
        task_id=message.task_id,
        attempt=message.attempt,
        worker_id="w1",
        outcome=more.pop("outcome", Outcome.ENDED),
        state=state,
        response=more.pop("response", {}),
        **more,
    )


def test_a_tree_of_tasks_runs_in_its_order(system: System) -> None:
    worker = system.worker(
        "a", "b", "c", "d", answer=lambda message: result(message, response={"by": message.task_key})
    )
    tree = {"taskSequential": ["a", {"taskParallel": ["b", "c"]}, "d"]}
    job_ids = system.submit(*(spec(tree, source_id=str(i)) for i in range(20)))
    assert system.wait(*job_ids) == [TaskState.DONE] * 20
    for job_id in job_ids:
        order = [message.task_key for message in worker.seen if message.job_id == job_id]
        assert order[0] == "a"
        assert order[-1] == "d"
        assert sorted(order) == ["a", "b", "c", "d"]
        assert system.store.job(job_id).responses["d"] == {"by": "d"}


def test_objects_are_decided_between_scoring_and_tiering(system: System) -> None:
    plls = {"sharp": -0.5, "blurred": -2.5, "void": 0.9, "broken": "text"}

    def answer(message: TaskMessage) -> TaskResult:
        source = message.job["source_id"]
        if message.task_key == "score":
            return result(message, response={"plls": plls[source], "empty": source == "void"})
        assert message.decision is not None
        return result(message, response={"tier": message.decision.tier, "size_bytes": 1})

    system.worker("score", "tier", answer=answer)
    job_ids = system.submit(*(spec(PIPELINE.to_json()["tasks"], source_id=name) for name in plls))
    assert system.wait(*job_ids) == [TaskState.DONE] * 3 + [TaskState.ERROR]
    jobs = {job.spec.source_id: job for job in map(system.store.job, job_ids)}
    tiers = {name: jobs[name].responses["tier"]["tier"] for name in ("sharp", "blurred", "void")}
    assert tiers == {"sharp": "hot", "blurred": "cold", "void": "empty"}
    assert "'plls'" in jobs["broken"].tasks[1].message


def test_what_is_not_among_the_best_any_more_is_moved(system: System) -> None:
    policy = {"type": "top-k", "k": 2, "tier": "hot", "rest": "cold", "undefined": "empty"}
    ranked = Pipeline.parse(PIPELINE.to_json() | {"policy": policy})
    system.store.create_stream("ranked", ranked, "enforce", now=0)
    put: dict[str, list[str]] = {}

    def answer(message: TaskMessage) -> TaskResult:
        assert message.decision is not None
        put.setdefault(message.job["source_id"], []).append(message.decision.tier)
        return result(message)

    system.worker("tier", answer=answer)
    for plls in ("-2.0", "-1.9", "-1.0", "-2.5"):  # each as good as decided before the next one comes
        scored = {"score": {"plls": float(plls)}}
        system.wait(*system.submit(spec("tier", stream_id="ranked", source_id=plls, response=scored)))

    deadline = time.monotonic() + 20
    while put.get("-2.0") != ["hot", "cold"] and time.monotonic() < deadline:
        time.sleep(0.02)
    assert put == {"-2.0": ["hot", "cold"], "-1.9": ["hot"], "-1.0": ["hot"], "-2.5": ["cold"]}


def test_a_stop_leaves_what_is_undecided_for_the_next_engine(
    system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = "import time\ndef slow():\n    return lambda scored: time.sleep(0.2) or 0.5\n"
    (tmp_path / "slow_function.py").write_text(slow)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    shown = PIPELINE.to_json()
    shown["interestingness"] |= {"function": "slow_function:slow", "parameters": {}}
    system.store.create_stream("slow", Pipeline.parse(shown), "observe", now=0)
    job_ids = system.submit(
        *(spec("tier", stream_id="slow", source_id=str(i), response={"score": {}}) for i in range(60))
    )
    deadline = time.monotonic() + 20
    while len(system.store.undecided(limit=100, now=time.time())) == 60 and time.monotonic() < deadline:
        time.sleep(0.05)

    began = time.monotonic()
    system.engine.stop()

    assert time.monotonic() - began < 8
    assert {system.store.job(job_id).state for job_id in job_ids} == {TaskState.REGISTERED}
    assert 0 < len(system.store.undecided(limit=100, now=time.time())) < 60


def test_tasks_wait_for_a_worker_of_their_key(system: System) -> None:
    [job_id] = system.submit(spec("late"))
    system.worker("other", answer=result)
    time.sleep(1)
    assert system.store.job(job_id).state is TaskState.REGISTERED
    assert [queue.handed_out for queue in system.store.queues()] == [0]
    system.worker("late", answer=result, worker_id="w2")
    assert system.wait(job_id) == [TaskState.DONE]


def test_a_passing_failure_is_tried_again(system: System) -> None:
    states = iter([TaskState.REMOTE_TROUBLE, TaskState.REMOTE_TROUBLE, TaskState.DONE])
    worker = system.worker("a", answer=lambda message: result(message, next(states)))
    assert system.wait(*system.submit(spec("a"))) == [TaskState.DONE]
    assert [message.attempt for message in worker.seen] == [1, 2, 3]
    assert system.counted("hand_outs") == 3
    system.engine.stop()  # a result is counted just after it was stored
    assert system.counted("results", state="done") == 1
    assert system.counted("retries", state="remote_trouble") == 2


def test_what_a_silent_worker_holds_is_given_to_another(system: System) -> None:
    silent = system.worker("a", answer=lambda _: None)
    [job_id] = system.submit(spec("a"))
    while not silent.seen:
        time.sleep(0.02)
    time.sleep(2 * LEASE_S)
    assert system.store.job(job_id).tasks[0].attempt == 1, "heartbeats keep the lease"
    silent.stopping.set()
    silent.held.clear()
    second = system.worker("a", answer=result, worker_id="w2")
    assert system.wait(job_id) == [TaskState.DONE]
    assert second.seen[-1].attempt >= 2
    assert (system.counted("retries", state="lost") or 0) >= 1


@pytest.mark.parametrize("lease_s", [30.0])  # what waits behind 8 MB reaches its worker late
def test_a_task_that_no_broker_can_carry_ends_once_with_the_reason(system: System) -> None:
    def answer(message: TaskMessage) -> TaskResult:
        large = message.task_key == "a" and message.job["source_id"] == "1"
        return result(message, response={"mask": "0" * (MAX_MESSAGE_BYTES if large else 1)})

    worker = system.worker("a", "b", answer=answer)
    job_ids = system.submit(*(spec({"taskSequential": ["a", "b"]}, source_id=str(i)) for i in range(3)))

    assert system.wait(*job_ids) == [TaskState.DONE, TaskState.ERROR, TaskState.DONE]
    _, refused = system.store.job(job_ids[1]).tasks
    assert refused.attempt == 1
    assert f"at most {MAX_MESSAGE_BYTES:,}" in refused.message
    assert f"the response of 'a' with {MAX_MESSAGE_BYTES + 11:,}" in refused.message
    assert sorted(message.job["source_id"] for message in worker.seen if message.task_key == "b") == [
        "0",
        "2",
    ]


def test_the_highest_priority_goes_first_when_a_worker_comes(system: System) -> None:
    job_ids = system.submit(*(spec("a", source_id=str(i), priority=i) for i in range(40)))
    system.store.set_priorities({job_ids[0]: 100.0})
    worker = system.worker("a", answer=result)
    system.wait(*job_ids)
    order = [int(str(message.job["source_id"])) for message in worker.seen]
    assert order[:2] == [0, 39]
    assert order == [0, *range(39, 0, -1)]


def test_an_engine_that_takes_over_collects_what_is_under_way(system: System) -> None:
    slow = threading.Event()

    def answer(message: TaskMessage) -> TaskResult:
        slow.wait(5)
        return result(message)

    system.worker("a", answer=answer)
    job_ids = system.submit(*(spec("a", source_id=str(i)) for i in range(5)))
    while len(system.store.job_ids(JobFilter(state="open"), cursor=None, limit=10).items) < 5:
        time.sleep(0.02)
    slow.set()
    assert system.wait(*job_ids) == [TaskState.DONE] * 5
    assert [system.store.job(job_id).tasks[0].attempt for job_id in job_ids] == [1] * 5


def test_an_engine_that_is_well_has_no_trouble(system: System) -> None:
    deadline = time.monotonic() + 5
    while system.engine.trouble() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert system.engine.trouble() == ""


def test_what_is_cancelled_deleted_or_forced_is_revoked_where_it_runs(system: System) -> None:
    worker = system.worker("a", answer=lambda message: None if message.attempt == 1 else result(message))
    cancelled, deleted, forced, running = system.submit(*(spec("a", source_id=str(i)) for i in range(4)))
    wait_for(lambda: len(worker.held) == 4)
    ids = {message.job_id: message.task_id for message in worker.seen}

    system.store.cancel_job(cancelled, now=time.time())
    system.store.delete(deleted)
    system.store.force_retry_task(ids[forced], now=time.time())
    system.engine.wake()

    wait_for(lambda: len(worker.held) == 1)
    assert {tuple(key) for key in worker.revoked} == {(ids[job], 1) for job in (cancelled, deleted, forced)}
    assert system.wait(forced, cancelled) == [TaskState.DONE, TaskState.CANCELLED]
    assert system.store.job(running).tasks[0].state is TaskState.RUNNING
    system.store.retry_job(cancelled, now=time.time())
    system.engine.wake()
    assert system.wait(cancelled) == [TaskState.DONE]


def test_a_key_with_a_selector_has_no_more_in_flight_than_free_slots(system: System) -> None:
    system.engine.stop()
    selectors = {"a": NewestFirst(system.store.database)}
    settings = EngineSettings(LEASE_S, evaluation_limit_s=5, selectors=selectors)
    engine = Engine(store=system.store, broker=system.broker, settings=settings)
    engine.start()
    system.cleanup.callback(engine.stop)
    for i in range(20):
        system.store.submit([spec("a", source_id=str(i), priority=20 - i)], now=time.time())

    worker = system.worker("a", answer=lambda _: None)
    wait_for(lambda: len(worker.held) == 4)
    time.sleep(1.2)

    assert [message.job["source_id"] for message in worker.seen] == ["19", "18", "17", "16"]
    assert [queue.handed_out for queue in system.store.queues()] == [4]


class _Hesitant:
    """Says "nothing now" at first, and then, with nothing else having happened, chooses."""

    def __init__(self, database: Database) -> None:
        self.asked: list[float] = []
        self._selector = NewestFirst(database)

    def choose(self, route: Route, free_slots: int, *, now: float) -> list[int]:
        self.asked.append(now)
        waited_long = now - self.asked[0] > 1.5
        return self._selector.choose(route, free_slots, now=now) if waited_long else []


def test_a_selector_that_says_nothing_now_is_asked_again_in_time(system: System) -> None:
    system.engine.stop()
    selector = _Hesitant(system.store.database)
    settings = EngineSettings(LEASE_S, evaluation_limit_s=5, selectors={"a": selector})
    engine = Engine(store=system.store, broker=system.broker, settings=settings)
    engine.start()
    system.cleanup.callback(engine.stop)
    system.worker("a", answer=result)
    [job_id] = system.submit(spec("a"))
    assert system.wait(job_id) == [TaskState.DONE]
    assert len(selector.asked) >= 2
