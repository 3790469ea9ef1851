"""The runner with real child processes; only the broker is in memory."""

import itertools
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from haste_core.messages import Outcome
from haste_core.states import TaskState
from haste_workers.handlers.registry import BUILT_IN, HandlerUnusableError
from haste_workers.runner import Runner
from haste_workers.settings import WorkerSettings
from tests.unit.imaging.pictures import bare_tiff, page_tags
from tests.unit.workers.memory_transport import MemoryTransport
from tests.unit.workers.messages import task_message

SAMPLES = "tests.unit.workers.sample_handlers"
HANDLERS = {
    name.replace("_", "-"): f"{SAMPLES}:{name}"
    for name in (
        "nothing",
        "echo",
        "sleep",
        "segfault",
        "leave",
        "starve",
        "hoard",
        "progress_slowly",
        "fail_as_asked",
        "answer_as_asked",
        "print_much",
        "write_temporary",
        "start_program",
        "start_background_program",
        "tell_progress",
    )
} | {"focus-score": BUILT_IN["focus-score"]}


class RunningWorker:
    """A runner in a thread, and its transport."""

    def __init__(self, work_dir: Path, **settings: Any) -> None:
        self.transport = MemoryTransport()
        self.settings = WorkerSettings(work_dir=work_dir, **{"concurrency": 1, **settings})
        self.scratch = work_dir / "scratch"
        self.runner = Runner(
            self.transport,
            settings=self.settings,
            handlers=HANDLERS,
            worker_id="worker-1",
            scratch=self.scratch,
        )
        self._task_ids = itertools.count(1000)
        self._returned: list[bool] = []
        self.thread = threading.Thread(target=lambda: self._returned.append(self.runner.run()))

    def __enter__(self) -> "RunningWorker":
        self.thread.start()
        assert self.runner.up.wait(60)
        return self

    def __exit__(self, *_: object) -> None:
        self.runner.abandon()
        self.thread.join(30)
        assert not self.thread.is_alive()

    def join(self) -> bool:
        self.thread.join(30)
        assert not self.thread.is_alive()
        return self._returned[0]

    def run(
        self, task_key: str, task_id: int | None = None, url: str | None = None, **parameters: Any
    ) -> Any:
        """Run one task and return its result."""
        task_id = next(self._task_ids) if task_id is None else task_id
        source = {} if url is None else {"url": url}
        self.transport.deliver(task_message(task_id, task_key, parameters=parameters, **source))
        self.transport.wait_until(lambda: any(r.task_id == task_id for r, _ in self.transport.results))
        return self.transport.result_of(task_id)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., RunningWorker]]:
    started: list[RunningWorker] = []

    def start_worker(**settings: Any) -> RunningWorker:
        worker = RunningWorker(tmp_path / "work", **settings)
        started.append(worker)
        return worker.__enter__()

    yield start_worker
    for worker in started:
        worker.__exit__()


@pytest.fixture
def worker(start: Callable[..., RunningWorker]) -> RunningWorker:
    return start()


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningWorker]:
    """Return a worker for all tests that need no other settings; it survives whatever they do."""
    with RunningWorker(tmp_path_factory.mktemp("lasting")) as worker:
        yield worker


def wait_for(holds: Callable[[], bool], timeout_s: float = 30.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def wait_for_start(transport: MemoryTransport, task_id: int = 1) -> None:
    transport.wait_until(
        lambda: any(h.task_id == task_id and h.started_at for p in transport.presences for h in p.held),
        timeout_s=10,
    )


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


class TestAnswers:
    def test_handler_gets_job_and_parameters_in_another_process(self, lasting: RunningWorker) -> None:
        result = lasting.run("echo", 17, gain=2)
        assert (result.outcome, result.state) == (Outcome.ENDED, TaskState.DONE)
        assert result.response["source_id"] == "field-17.tif"
        assert result.response["parameters"] == {"gain": 2}
        assert result.response["pid"] != os.getpid()
        assert result.worker_id == "worker-1"
        assert result.started_at <= result.ended_at <= time.time()

    def test_answer_object_is_taken_apart(self, lasting: RunningWorker) -> None:
        result = lasting.run("answer-as-asked", kind="fine")
        assert result.response == {"nested": {"deep": [1, None, "x"]}}
        assert result.message == "all well"

    def test_numbers_of_numpy_are_numbers(self, lasting: RunningWorker) -> None:
        assert lasting.run("answer-as-asked", kind="numpy").response == {
            "mean": 1.5,
            "count": 3,
            "empty": False,
        }

    def test_what_utf8_cannot_hold_is_replaced(self, lasting: RunningWorker) -> None:
        assert lasting.run("answer-as-asked", kind="broken-name").response == {"file": "caf?.tif"}

    @pytest.mark.parametrize(
        ("kind", "said"),
        [
            ("none", "answered a NoneType; it should return a dict"),
            ("list", "answered a list"),
            ("date", "response.when is a datetime.datetime"),
            ("array", "response.pixels is a numpy.ndarray"),
            ("place", "context.place_of(path)"),
            ("nan", "response.score is nan"),
            ("number-keys", "the key 1; keys should be strings"),
            ("huge", "write what is large to a file"),
            ("endless", "RecursionError"),
        ],
    )
    def test_unusable_answer_says_what_is_wrong(self, lasting: RunningWorker, kind: str, said: str) -> None:
        result = lasting.run("answer-as-asked", kind=kind)
        assert (result.outcome, result.state) == (Outcome.ENDED, TaskState.ERROR)
        assert said in result.message
        assert result.response == {}

    def test_prints_stay_out_of_the_way(self, lasting: RunningWorker) -> None:
        assert lasting.run("print-much").response == {"printed": True}


class TestFailures:
    @pytest.mark.parametrize(
        ("kind", "state", "said"),
        [
            ("bad-input", TaskState.BAD_INPUT, "not a readable image: it is a poem"),
            ("permanent", TaskState.ERROR, "no licence for this plug-in"),
            ("transient", TaskState.REMOTE_TROUBLE, "the licence server is away"),
            ("unexpected", TaskState.ERROR, "ValueError: channels differ"),
            ("exit", TaskState.ERROR, "SystemExit: usage: my_script FILE"),
            ("broken-name", TaskState.ERROR, "ValueError: odd name: caf?.tif"),
            ("disk-full", TaskState.REMOTE_TROUBLE, "No space left on device"),
        ],
    )
    def test_errors_become_states(
        self, lasting: RunningWorker, kind: str, state: TaskState, said: str
    ) -> None:
        result = lasting.run("fail-as-asked", kind=kind)
        assert (result.outcome, result.state) == (Outcome.ENDED, state)
        assert said in result.message
        assert "Traceback" not in result.message

    def test_source_that_vanishes_is_404_with_its_path(
        self, start: Callable[..., RunningWorker], tmp_path: Path
    ) -> None:
        source = tmp_path / "a.tif"
        source.write_bytes(b"pixels")
        worker = start(roots={"here": tmp_path})
        message = task_message(
            1, "fail-as-asked", parameters={"kind": "source-vanished"}, url=source.as_uri()
        )
        worker.transport.deliver(message)
        (result,) = worker.transport.wait_for_results(1)
        assert result.state is TaskState.SOURCE_MISSING
        assert str(source) in result.message

    def test_memory_limit_is_a_failure_that_names_it(self, start: Callable[..., RunningWorker]) -> None:
        worker = start(task_memory_bytes=2**30)
        pid = worker.run("echo").response["pid"]
        result = worker.run("starve")
        assert (result.outcome, result.state) == (Outcome.ENDED, TaskState.ERROR)
        assert "1.0 GiB" in result.message
        assert "task_memory_bytes" in result.message
        assert "MiB at the most" in result.message
        # What a handler leaked must not starve the tasks after it.
        assert worker.run("echo").response["pid"] != pid

    def test_an_image_too_large_for_the_limit_is_not_called_damaged(
        self, start: Callable[..., RunningWorker], tmp_path: Path
    ) -> None:
        image = tmp_path / "whole-slide.tif"
        image.write_bytes(bare_tiff(page_tags(20_000, 20_000, 800_000_000)))
        os.truncate(image, 200 + 800_000_000)  # takes no room on disk
        worker = start(task_memory_bytes=2**29, roots={"nas": tmp_path})
        result = worker.run("focus-score", url=image.as_uri())
        assert (result.outcome, result.state) == (Outcome.ENDED, TaskState.ERROR)
        assert "0.5 GiB, the worker's `task_memory_bytes`" in result.message

    @pytest.mark.parametrize("given", ["soon", 0, -1, True, 10**400, 1e300])
    def test_time_limit_that_is_no_time_is_refused(self, lasting: RunningWorker, given: Any) -> None:
        result = lasting.run("nothing", timeout_s=given)
        assert (result.outcome, result.state) == (Outcome.ENDED, TaskState.ERROR)
        assert "timeout_s" in result.message


class TestCrashes:
    @pytest.mark.parametrize(
        ("task_key", "said"), [("segfault", "killed by SIGSEGV"), ("leave", "exit code 7")]
    )
    def test_dead_child_is_a_result_and_the_worker_lives(
        self, lasting: RunningWorker, task_key: str, said: str
    ) -> None:
        first_pid = lasting.run("echo").response["pid"]
        result = lasting.run(task_key)
        assert result.outcome is Outcome.CRASHED
        assert said in result.message
        assert lasting.run("echo").response["pid"] != first_pid

    def test_a_crash_tells_how_much_memory_was_in_use_and_allowed(
        self, start: Callable[..., RunningWorker]
    ) -> None:
        worker = start(task_memory_bytes=2**30)
        died = worker.run("hoard", die=True)
        assert died.outcome is Outcome.CRASHED
        figures = re.search(
            r"SIGSEGV.*memory peaked at (\S+) (.)iB \(limit 1\.0 GiB, `task_mem", died.message
        )
        assert figures, died.message
        # Or what this test process has, if that is more.
        assert float(figures[1]) * {"M": 1, "G": 1024}[figures[2]] > 300

        starved = worker.run("hoard")
        assert (starved.outcome, starved.state) == (Outcome.ENDED, TaskState.ERROR)
        figures = re.search(r"1\.0 GiB, the worker's .*had (\d\.\d) GiB at the most", starved.message)
        assert figures, starved.message
        assert 0.8 <= float(figures[1]) <= 1.2
        assert worker.run("nothing").state is TaskState.DONE

    @pytest.mark.parametrize(
        "task_key",
        [
            "start-program",
            pytest.param(
                "start-background-program",
                marks=pytest.mark.skipif(sys.platform != "linux", reason="needs /proc"),
            ),
        ],
    )
    def test_time_limit_stops_the_task_and_its_programs(
        self, lasting: RunningWorker, tmp_path: Path, task_key: str
    ) -> None:
        tell = tmp_path / "pid"
        result = lasting.run(task_key, tell=str(tell), timeout_s=1.0)
        assert result.outcome is Outcome.CRASHED
        assert result.message == "stopped at its time limit of 1 s"
        assert result.ended_at - result.started_at >= 0.9
        wait_for(lambda: not is_alive(int(tell.read_text())))
        assert lasting.run("nothing").state is TaskState.DONE

    def test_tasks_behind_a_crash_are_not_blamed(self, worker: RunningWorker) -> None:
        for task_id in range(1, 30):
            worker.transport.deliver(task_message(task_id, "nothing"))
        worker.transport.wait_for_results(29)  # the runner knows now that they are short
        keys = dict.fromkeys(range(30, 60), "nothing") | {40: "leave", 50: "segfault"}
        for task_id, key in keys.items():
            worker.transport.deliver(task_message(task_id, key))
        worker.transport.wait_for_results(59)
        crashed = {r.task_id for r, _ in worker.transport.results if r.outcome is Outcome.CRASHED}
        done = [r.task_id for r, _ in worker.transport.results if r.state is TaskState.DONE]
        assert crashed == {40, 50}
        assert sorted(done) == [i for i in range(1, 60) if i not in crashed]

    def test_temporary_folder_is_removed_however_the_task_ends(
        self, lasting: RunningWorker, tmp_path: Path
    ) -> None:
        for die in (False, True):
            tell = tmp_path / f"folder-{die}"
            lasting.run("write-temporary", tell=str(tell), die=die)
            assert not Path(tell.read_text()).exists()


class TestScheduling:
    def test_tasks_run_at_once_in_as_many_children_as_asked(
        self, start: Callable[..., RunningWorker]
    ) -> None:
        worker = start(concurrency=2)
        for task_id in (1, 2):
            worker.transport.deliver(task_message(task_id, "sleep", parameters={"seconds": 0.5}))
        first, second = worker.transport.wait_for_results(2)
        assert max(first.started_at, second.started_at) < min(first.ended_at, second.ended_at)

    def test_short_tasks_do_not_wait_behind_a_long_one(self, start: Callable[..., RunningWorker]) -> None:
        worker = start(concurrency=2)
        for task_id in range(1, 20):
            worker.run("sleep", task_id, seconds=0)
        # The runner believes that these are short, and sends some ahead to the child that will be busy.
        worker.transport.deliver(task_message(100, "sleep", parameters={"seconds": 5}))
        for task_id in range(101, 121):
            worker.transport.deliver(task_message(task_id, "sleep", parameters={"seconds": 0}))
        worker.transport.wait_for_results(19 + 20, timeout_s=4)
        assert 100 not in {r.task_id for r, _ in worker.transport.results}

    def test_expired_task_is_handed_back_unrun(self, worker: RunningWorker, tmp_path: Path) -> None:
        marker = tmp_path / "ran"
        message = task_message(1, "sleep", parameters={"marker": str(marker)}, ttl_s=0)
        worker.transport.deliver(message)
        (result,) = worker.transport.wait_for_results(1)
        assert result.outcome is Outcome.HANDED_BACK
        assert not marker.exists()

    def test_task_that_expires_while_it_waits_is_handed_back(
        self, start: Callable[..., RunningWorker]
    ) -> None:
        worker = start(heartbeat_s=0.2)
        worker.transport.deliver(task_message(1, "sleep", parameters={"seconds": 2}))
        worker.transport.deliver(task_message(2, "nothing", ttl_s=0.5))
        first, second = worker.transport.wait_for_results(2)
        assert (first.task_id, first.outcome) == (2, Outcome.HANDED_BACK)
        assert (second.task_id, second.state) == (1, TaskState.DONE)

    def test_worker_consumes_its_keys_at_its_site(self, start: Callable[..., RunningWorker]) -> None:
        transport = start(site="lab1", concurrency=2).transport
        assert {route.routing_key for route in transport.routes} == {f"{key}.lab1" for key in HANDLERS}
        assert transport.prefetch == 2 * 2 * len(HANDLERS)


class TestRedelivery:
    def test_task_of_a_vanished_worker_is_lost_unrun(self, worker: RunningWorker, tmp_path: Path) -> None:
        marker = tmp_path / "ran"
        message = task_message(1, "sleep", parameters={"marker": str(marker)})
        worker.transport.deliver(message, redelivered=True)
        (result,) = worker.transport.wait_for_results(1)
        assert result.outcome is Outcome.LOST
        assert not marker.exists()

    def test_own_task_goes_on_and_is_reported_to_the_new_delivery(self, worker: RunningWorker) -> None:
        message = task_message(1, "sleep", parameters={"seconds": 0.5})
        worker.transport.deliver(message)
        again = worker.transport.deliver(message, redelivered=True)
        worker.transport.wait_for_results(1)
        time.sleep(0.3)
        ((result, delivery),) = worker.transport.results
        assert result.state is TaskState.DONE
        assert delivery == again

    def test_result_that_was_reported_is_reported_again(self, worker: RunningWorker) -> None:
        message = task_message(1, "echo")
        first = worker.run("echo", 1)
        again = worker.transport.deliver(message, redelivered=True)
        worker.transport.wait_for_results(2)
        assert worker.transport.results[1] == (first, again)

    def test_a_worker_that_stops_hands_nothing_back_that_another_may_run(self, worker: RunningWorker) -> None:
        transport = worker.transport
        transport.deliver(task_message(1, "sleep", parameters={"seconds": 0.5}))
        wait_for_start(transport)
        worker.runner.stop()
        transport.wait_until(lambda: transport.presences[-1].leaving, timeout_s=0.4)
        transport.deliver(task_message(2, "nothing"), redelivered=True)
        assert worker.join() is True
        assert transport.result_of(2).outcome is Outcome.LOST


class TestPresence:
    def test_first_heartbeat_comes_at_once_and_tells_all(self, start: Callable[..., RunningWorker]) -> None:
        transport = start(site="lab1", concurrency=2, heartbeat_s=30).transport
        transport.wait_until(lambda: bool(transport.presences), timeout_s=2)
        presence = transport.presences[0]
        assert (presence.worker_id, presence.pid, presence.site) == ("worker-1", os.getpid(), "lab1")
        assert (presence.slots, presence.keys) == (2, tuple(sorted(HANDLERS)))
        assert presence.held == ()
        assert not presence.leaving

    def test_taken_task_is_told_soon_even_if_no_child_is_free(
        self, start: Callable[..., RunningWorker]
    ) -> None:
        transport = start(heartbeat_s=30).transport
        transport.deliver(task_message(1, "sleep", parameters={"seconds": 2}))
        wait_for_start(transport)
        transport.deliver(task_message(2, "nothing"))
        transport.wait_until(lambda: 2 in {h.task_id for h in transport.presences[-1].held}, timeout_s=1)

    def test_started_task_is_told_soon_with_its_progress(self, start: Callable[..., RunningWorker]) -> None:
        transport = start(heartbeat_s=30).transport
        transport.deliver(task_message(1, "tell-progress"))
        transport.deliver(task_message(2, "nothing"))
        wait_for_start(transport)
        held = {h.task_id: h for p in transport.presences for h in p.held}
        assert held[1].started_at == pytest.approx(time.time(), abs=5)
        assert (held[1].fraction, held[1].note) == (0.5, "half way")
        assert held[2].started_at is None

    def test_heartbeats_go_on_while_a_task_runs(self, start: Callable[..., RunningWorker]) -> None:
        transport = start(heartbeat_s=0.1).transport
        transport.deliver(task_message(1, "sleep", parameters={"seconds": 1}))
        transport.wait_for_results(1)
        assert sum(1 for p in transport.presences if p.held) >= 5

    def test_progress_is_told_each_second_while_it_changes(self, start: Callable[..., RunningWorker]) -> None:
        transport = start(heartbeat_s=30).transport
        transport.deliver(task_message(1, "progress-slowly"))
        wait_for_start(transport)
        began = time.time()
        transport.wait_for_results(1)
        told = [
            (p.sent_at - began, h.fraction, h.note)
            for p in transport.presences
            for h in p.held
            if h.fraction is not None
        ]
        fractions = [fraction for _, fraction, _ in told]
        assert fractions == sorted(fractions)
        assert fractions[-1] > 0.6
        assert 3 <= len(told) <= 8
        assert all(abs(at_s - 4 * fraction) < 1.2 for at_s, fraction, _ in told)
        assert told[-1][2] == f"step {round(40 * told[-1][1])}"


class TestRevoking:
    def test_a_running_task_is_killed_and_its_slot_free(self, worker: RunningWorker, tmp_path: Path) -> None:
        marker = tmp_path / "pid"
        message = task_message(1, "sleep", parameters={"seconds": 60, "marker": str(marker)})
        delivery = worker.transport.deliver(message)
        wait_for(lambda: marker.exists() and marker.read_text() != "")

        worker.transport.revoke([(1, 2), (2, 1)])
        time.sleep(0.3)
        assert worker.transport.results == [], "another attempt, and a task that is not here"
        worker.transport.revoke([(1, 1)])

        worker.transport.wait_for_results(1)
        assert worker.transport.results[0][1] == delivery, "it can be acknowledged"
        assert worker.transport.result_of(1).outcome is Outcome.REVOKED
        wait_for(lambda: not is_alive(int(marker.read_text())))
        assert worker.run("nothing").state is TaskState.DONE
        worker.transport.deliver(message, redelivered=True)
        worker.transport.wait_for_results(3)
        assert worker.transport.results[-1][0].outcome is Outcome.REVOKED

    def test_a_program_that_the_handler_started_is_killed_too(
        self, worker: RunningWorker, tmp_path: Path
    ) -> None:
        tell = tmp_path / "pid"
        worker.transport.deliver(task_message(1, "start-program", parameters={"tell": str(tell)}))
        wait_for(lambda: tell.exists() and tell.read_text() != "")
        worker.transport.revoke([(1, 1)])
        worker.transport.wait_for_results(1)
        wait_for(lambda: not is_alive(int(tell.read_text())))

    def test_a_waiting_task_is_not_begun(self, worker: RunningWorker, tmp_path: Path) -> None:
        marker = tmp_path / "ran"
        worker.transport.deliver(task_message(1, "sleep", parameters={"seconds": 0.5}))
        worker.transport.deliver(task_message(2, "sleep", parameters={"marker": str(marker)}))
        worker.transport.revoke([(2, 1)])
        worker.transport.wait_for_results(2)
        assert worker.transport.result_of(2).outcome is Outcome.REVOKED
        assert worker.transport.result_of(1).state is TaskState.DONE
        assert not marker.exists()

    def test_a_task_that_was_sent_ahead_is_taken_back_and_its_neighbours_run(
        self, worker: RunningWorker
    ) -> None:
        for task_id in range(1, 20):
            worker.run("sleep", task_id, seconds=0)
        for task_id in range(100, 110):
            parameters = {"seconds": 0.5 if task_id == 100 else 0}
            worker.transport.deliver(task_message(task_id, "sleep", parameters=parameters))
        wait_for_start(worker.transport, 100)
        worker.transport.revoke([(104, 1)])
        worker.transport.wait_for_results(29)
        outcomes = {r.task_id: r.outcome for r, _ in worker.transport.results if r.task_id >= 100}
        assert outcomes.pop(104) is Outcome.REVOKED
        assert set(outcomes.values()) == {Outcome.ENDED}

    def test_a_worker_that_stops_can_be_told_as_well(self, worker: RunningWorker) -> None:
        worker.transport.deliver(task_message(1, "sleep", parameters={"seconds": 60}))
        wait_for_start(worker.transport)
        worker.runner.stop()
        worker.transport.revoke([(1, 1)])
        assert worker.join() is True
        assert worker.transport.result_of(1).outcome is Outcome.REVOKED


class TestStopping:
    def test_running_task_is_finished_and_the_rest_handed_back(self, worker: RunningWorker) -> None:
        transport = worker.transport
        for task_id in (1, 2, 3):
            transport.deliver(task_message(task_id, "sleep", parameters={"seconds": 1}))
        wait_for_start(transport)
        worker.runner.stop()
        transport.wait_until(lambda: transport.presences[-1].leaving, timeout_s=0.8)
        transport.deliver(task_message(4, "nothing"))
        assert worker.join() is True
        outcomes = {result.task_id: result.outcome for result, _ in transport.results}
        assert outcomes == {1: Outcome.ENDED} | dict.fromkeys((2, 3, 4), Outcome.HANDED_BACK)
        assert transport.result_of(1).response == {"slept": True}
        assert transport.presences[-1].leaving
        assert transport.presences[-1].held == ()
        assert transport.stopped

    def test_tasks_sent_ahead_are_handed_back_too(self, worker: RunningWorker) -> None:
        transport = worker.transport
        for task_id in range(1, 20):
            worker.run("sleep", task_id, seconds=0)
        for task_id in range(100, 110):
            transport.deliver(task_message(task_id, "sleep", parameters={"seconds": 0.5}))
        wait_for_start(transport, 100)
        worker.runner.stop()
        assert worker.join() is True
        outcomes = [r.outcome for r, _ in transport.results if r.task_id >= 100]
        assert len(outcomes) == 10
        assert outcomes.count(Outcome.ENDED) == 1
        assert outcomes.count(Outcome.HANDED_BACK) == 9

    def test_second_request_stops_the_running_task(self, worker: RunningWorker, tmp_path: Path) -> None:
        marker = tmp_path / "pid"
        worker.transport.deliver(task_message(1, "sleep", parameters={"seconds": 60, "marker": str(marker)}))
        wait_for(lambda: marker.exists() and marker.read_text() != "")
        worker.runner.stop()
        worker.runner.stop()
        assert worker.join() is True
        assert worker.transport.result_of(1).outcome is Outcome.LOST
        wait_for(lambda: not is_alive(int(marker.read_text())))

    def test_abandoned_worker_leaves_nothing(self, worker: RunningWorker, tmp_path: Path) -> None:
        marker = tmp_path / "pid"
        worker.transport.deliver(task_message(1, "sleep", parameters={"seconds": 60, "marker": str(marker)}))
        wait_for(lambda: marker.exists() and marker.read_text() != "")
        worker.runner.abandon()
        assert worker.join() is False
        assert worker.transport.results == []
        wait_for(lambda: not is_alive(int(marker.read_text())))


class TestUnusableHandlers:
    @pytest.mark.parametrize(
        ("reference", "said"),
        [
            ("no_such_module:f", "ModuleNotFoundError"),
            (f"{SAMPLES}:no_such_function", "no_such_function"),
            (f"{SAMPLES}:__name__", "is no function"),
        ],
    )
    def test_worker_does_not_start(self, tmp_path: Path, reference: str, said: str) -> None:
        transport = MemoryTransport()
        runner = Runner(
            transport,
            settings=WorkerSettings(work_dir=tmp_path, concurrency=1),
            handlers={"x": reference},
            worker_id="w",
            scratch=tmp_path,
        )
        with pytest.raises(HandlerUnusableError, match=said):
            runner.run()
        assert transport.routes == ()
