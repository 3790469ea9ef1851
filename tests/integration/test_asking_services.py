"""The interestingness function `rest`, with a service that answers, is away, hangs or talks nonsense."""

import json
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from haste_core.decisions import Decision
from haste_core.interestingness import ScoredObject
from haste_core.jobs import TaskRecord
from haste_core.lifecycle import Rules
from haste_core.pipelines import Pipeline
from haste_core.scheduling import RetryPolicy
from haste_core.states import Phase, TaskState
from haste_core.undecided import Answer, Postponed, Undecidable, Undecided
from haste_server.engine.evaluation import StreamsSoFar, evaluate
from haste_server.engine.evaluator import Evaluator
from haste_server.engine.evaluator_child import EvaluatorChild
from haste_server.engine.loops import Loop
from haste_server.store.database import Database
from haste_server.store.migrate import upgrade
from haste_server.store.sql import SqlStore
from tests.contract.store_bench import NOW, PIPELINE, spec, submitted

WAIT_S = 30.0
LANES = 2

Behaviour = Callable[[dict[str, str]], tuple[int, bytes]]


@dataclass
class Service:
    """Answers by the first part of the path; a behaviour that is no function hangs."""

    behaviours: dict[str, Behaviour | None] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    closing: threading.Event = field(default_factory=threading.Event)
    url: str = ""

    def says(self, status: int, body: str | bytes) -> str:
        """Make a place that always says the same."""
        path = f"/{len(self.behaviours)}"
        told = body.encode() if isinstance(body, str) else body
        self.behaviours[path] = lambda _: (status, told)
        return self.url + path


@pytest.fixture
def service() -> Iterator[Service]:
    service = Service()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path, query = urlsplit(self.path).path, parse_qs(urlsplit(self.path).query)
            values = {name: value for name, (value,) in query.items()}
            service.asked.append((path, values))
            service.times.append(time.monotonic())
            if path == "/trickles":
                self._trickle()
                return
            behaviour = service.behaviours[path]
            if behaviour is None:
                service.closing.wait(WAIT_S)
                return
            status, body = behaviour(values)
            self.send_response(status)
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _trickle(self) -> None:
            with suppress(ConnectionError):
                self.wfile.write(b"HTTP/1.1 200 OK\r\n")
                while not service.closing.wait(0.05):
                    self.wfile.write(b"X-Header: more\r\n")

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        service.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield service
        service.closing.set()
        server.shutdown()
        thread.join()


def pipeline(url: str, **parameters: Any) -> Pipeline:
    asked = {"function": "rest", "features_from": "focus-score", "parameters": {"url": url, **parameters}}
    return Pipeline.parse({**PIPELINE.to_json(), "interestingness": asked})


def judged(url: str, scored: ScoredObject | None = None, **parameters: Any) -> Answer:
    scored = scored or ScoredObject({"plls": -1.2}, {})
    item = Undecided(1, 1, "s", "A01", pipeline(url, **parameters), scored)
    return evaluate(item, StreamsSoFar(lambda _: []))


@pytest.mark.parametrize("body", ['{"score": 0.25}', "0.25", '{"interestingness": 0.25, "why": "dim"}'])
def test_the_answer_is_the_score(service: Service, body: str) -> None:
    verdict = judged(service.says(200, body))
    assert isinstance(verdict, Decision)
    assert (verdict.score, verdict.tier) == (0.25, "hot")


def test_the_service_is_told_what_is_known(service: Service) -> None:
    features = {"plls": -1.25, "empty": False, "channel": {"mean": 7}, "gone": None, "text": "a b&c=ä"}
    scored = ScoredObject(features, {"well": "A01"}, timestamp=12.5, location=(3.0, 1.0), substream_id="A01")
    url = service.says(200, "0")
    judged(f"{url}?model=v2", scored)
    judged(url, scored, fields=["plls", "metadata.well"])
    everything, chosen = (values for _, values in service.asked)
    assert everything == {
        "model": "v2",
        "plls": "-1.25",
        "empty": "false",
        "channel.mean": "7",
        "text": "a b&c=ä",
        "metadata.well": "A01",
        "timestamp": "12.5",
        "location": "[3.0,1.0]",
        "substream_id": "A01",
    }
    assert chosen == {"plls": "-1.25", "metadata.well": "A01"}


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (404, "no such model", "answered 404, not 200: no such model"),
        (401, "", "answered 401"),
        (302, "", "answered 302"),
        (204, "", "answered 204"),
        (200, "<html>", "answered with no JSON: '<html>'"),
        (200, "", "answered with no JSON"),
        (200, '{"score": "high"}', "neither a number nor"),
        (200, "true", "neither a number nor"),
        (200, "[0.5]", "neither a number nor"),
        (200, "{}", "neither a number nor"),
        (200, '{"score": 1.5}', "1.5, which is not in [0, 1]"),
        (200, "NaN", "which is no score"),
        (200, "[" * 60_000, "no JSON"),
        (200, b"0." + b"5" * 70_000, "more than 65536 bytes"),
    ],
)
def test_what_is_no_score_is_an_error_at_once(
    service: Service, status: int, body: str | bytes, reason: str
) -> None:
    verdict = judged(service.says(status, body))
    assert isinstance(verdict, Undecidable)
    assert reason in verdict.reason


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_a_service_in_trouble_postpones(service: Service, status: int) -> None:
    url = service.says(status, "later")
    assert judged(url) == Postponed(f"{url} answered {status}: later")


def test_a_service_that_is_away_or_silent_postpones(service: Service) -> None:
    service.behaviours["/hangs"] = None
    silent = judged(service.url + "/hangs", timeout_s=0.1)
    assert silent == Postponed(f"{service.url}/hangs did not answer within 0.1 s", silent=True)
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        port = server.server_port
    away = judged(f"http://127.0.0.1:{port}/")
    assert isinstance(away, Postponed)
    assert "refused" in away.trouble


def test_objects_of_which_too_much_is_known_are_errors_that_say_what_to_do(service: Service) -> None:
    scored = ScoredObject({f"feature{n}": 0.5 for n in range(500)}, {})
    verdict = judged(service.says(200, "0"), scored)
    missing = judged(service.says(200, "0"), fields=["plls", "snr"])
    assert "Name in `fields` what" in str(verdict)
    assert missing == Undecidable("the object has no snr")
    assert service.asked == []


def test_an_answer_that_trickles_postpones(service: Service) -> None:
    child = EvaluatorChild(time_limit_s=60, pages=lambda _: [])
    quick = Undecided(1, 1, "s", "A", pipeline(service.says(200, "0.5")), ScoredObject({}, {}))
    endless = pipeline(service.url + "/trickles", timeout_s=0.2)
    try:
        first = child.ask(quick)
        late = child.ask(Undecided(2, 2, "s", "A", endless, quick.scored))
        again = child.ask(quick)
    finally:
        child.close()
    assert late == Postponed("the service's answer did not end within 0.2 s", silent=True)
    assert isinstance(first, Decision)
    assert isinstance(again, Decision)


class Bench:
    """An evaluator at work, with a clock of our own."""

    def __init__(self, folder: Path, rules: Rules) -> None:
        self.database = Database(f"sqlite:///{folder}/haste.db")
        upgrade(self.database)
        self.store = SqlStore(self.database, rules, PIPELINE)
        self.now = NOW
        evaluator = Evaluator(
            store=self.store, released=lambda: None, time_limit_s=10, clock=lambda: self.now
        )
        self.evaluator = evaluator
        self._loops = [
            Loop(str(number), part.step) for number, part in enumerate([evaluator, *evaluator.lanes])
        ]

    def start(self) -> None:
        for loop in self._loops:
            loop.start()

    def close(self) -> None:
        for loop in self._loops:
            loop.stop()
        self.evaluator.stop()
        for loop in self._loops:
            loop.join(10)
        self.evaluator.close()
        self.database.close()

    def submit(self, stream_id: str, number: int, url: str | None, **parameters: Any) -> list[int]:
        used = PIPELINE if url is None else pipeline(url, **parameters)
        self.store.create_stream(stream_id, used, "observe", now=NOW)
        features = ({"plls": -1.2, "number": n} for n in range(number))
        specs = (
            spec("tier", source_id=str(each["number"]), stream_id=stream_id, response={"focus-score": each})
            for each in features
        )
        ids = submitted(self.store, *specs)
        self.evaluator.wake()
        return ids

    def tasks(self, job_ids: list[int]) -> list[TaskRecord]:
        return [self.store.job(job_id).tasks[0] for job_id in job_ids]

    def wait_for(self, job_ids: list[int], condition: Callable[[TaskRecord], bool]) -> None:
        deadline = time.monotonic() + WAIT_S
        while not all(condition(task) for task in self.tasks(job_ids)):
            assert time.monotonic() < deadline, self.tasks(job_ids)
            time.sleep(0.02)


def is_ready(task: TaskRecord) -> bool:
    return task.phase is Phase.READY


def is_postponed(task: TaskRecord) -> bool:
    return task.phase is Phase.UNDECIDED and task.due_at is not None


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setattr("haste_server.engine.evaluator.SLOW_LANES", LANES)
    bench = Bench(tmp_path, Rules(asking=RetryPolicy(max_attempts=3, base_delay_s=10)))
    bench.start()
    yield bench
    bench.close()


def test_objects_wait_for_a_service_that_is_away_and_are_asked_about_again(
    bench: Bench, service: Service
) -> None:
    url = service.says(503, "starting")
    ids = bench.submit("s", 3, url)
    bench.wait_for(ids, is_postponed)
    for task in bench.tasks(ids):
        assert f"{url} answered 503: starting (attempt 1 to get a score; tried again in " in task.message
        assert task.due_at is not None
        assert 5 <= task.due_at - NOW <= 10
    asked = len(service.asked)
    assert asked == 3

    bench.now += 10
    service.behaviours[url.removeprefix(service.url)] = lambda _: (200, json.dumps({"score": 0.5}).encode())
    bench.wait_for(ids, is_ready)

    assert len(service.asked) == 6
    assert [(task.message, task.failures, task.due_at) for task in bench.tasks(ids)] == [("", 0, None)] * 3


def test_a_service_that_stays_away_is_an_error_in_the_end(bench: Bench, service: Service) -> None:
    ids = bench.submit("s", 2, service.says(500, "broken"))
    for times in (1, 2):
        bench.wait_for(ids, lambda task, times=times: task.failures == times)  # type: ignore[misc]
        bench.now += 20
    bench.wait_for(ids, lambda task: task.phase is Phase.ENDED)
    for task in bench.tasks(ids):
        assert task.state is TaskState.REMOTE_TROUBLE
        assert "answered 500: broken (getting a score failed 3 times; retry the job" in task.message
    bench.store.retry_job(ids[0], now=bench.now)
    assert bench.tasks(ids)[0].failures == 0
    bench.wait_for(ids[:1], is_postponed)


def test_a_service_that_hangs_holds_up_nobody_else(bench: Bench, service: Service) -> None:
    service.behaviours["/hangs"] = None
    hanging = bench.submit("hangs", 20, service.url + "/hangs", timeout_s=60)
    while not service.asked:
        time.sleep(0.01)
    others = bench.submit("quick", 120, None) + bench.submit("good", 5, service.says(200, "0.5"))

    bench.wait_for(others, is_ready)

    assert {task.phase for task in bench.tasks(hanging)} == {Phase.UNDECIDED}
    assert not any(is_postponed(task) for task in bench.tasks(hanging))


def test_streams_whose_services_hang_take_turns(bench: Bench, service: Service) -> None:
    service.behaviours["/hangs"] = None
    hanging = [
        job_id
        for n in range(LANES + 1)
        for job_id in bench.submit(f"hangs{n}", 20, service.url + "/hangs", timeout_s=0.3)
    ]
    good = bench.submit("good", 5, service.says(200, "0.5"))

    bench.wait_for(good, is_ready)
    bench.wait_for(hanging, is_postponed)

    # Where one had no answer, those that waited with it do not each wait for the time-out.
    assert [path for path, _ in service.asked].count("/hangs") <= 2 * (LANES + 1)
    assert {task.message.partition(" (")[0] for task in bench.tasks(hanging)} == {
        f"{service.url}/hangs did not answer within 0.3 s"
    }


def _asked_at(service: Service) -> dict[str, list[float]]:
    """Tell for each object when the service was asked about it."""
    times: defaultdict[str, list[float]] = defaultdict(list)
    for (_, values), asked_at in zip(service.asked, service.times, strict=False):
        times[values["number"]].append(asked_at)
    return times


def test_earlier_decisions_stand_while_the_service_of_a_new_policy_is_away(
    bench: Bench, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("haste_server.engine.evaluator.REST_S", 1.2)
    ids = bench.submit("s", 3, None)
    bench.wait_for(ids, is_ready)
    url = service.says(503, "starting")
    thirds = {"intervals": [{"lo": 0, "hi": 0.5, "tier": "warm"}, {"lo": 0.5, "hi": 1, "tier": "hot"}]}
    new = Pipeline.parse({**pipeline(url).to_json(), "policy": thirds | {"undefined": "cold"}})
    bench.store.set_policy("s", new)
    bench.evaluator.wake()
    deadline = time.monotonic() + WAIT_S
    while len(times := _asked_at(service)) < 3 or min(map(len, times.values())) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert {name: tier.count for name, tier in bench.store.progress("s").tiers.items()} == {"hot": 3}
    assert min(again - first for first, again, *_ in times.values()) >= 1.2

    service.behaviours[url.removeprefix(service.url)] = lambda _: (200, b"0.25")
    deadline = time.monotonic() + WAIT_S
    while bench.store.to_redecide(limit=10) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert {name: tier.count for name, tier in bench.store.progress("s").tiers.items()} == {"warm": 3}
