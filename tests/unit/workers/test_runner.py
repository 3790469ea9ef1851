"""How a worker takes tasks, shares them among its children, and tells what it holds."""

import os
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest

from haste_core.messages import Outcome
from haste_core.states import TaskState
from haste_workers.handlers.registry import HandlerUnusableError
from haste_workers.runner import Runner
from haste_workers.settings import WorkerSettings
from tests.unit.workers.memory_transport import MemoryTransport
from tests.unit.workers.messages import task_message
from tests.unit.workers.running_worker import HANDLERS, SAMPLES, RunningWorker, wait_for_start


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
        transport.wait_until(lambda: bool(transport.presences), timeout_s=20)
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
        transport.wait_until(lambda: 2 in {h.task_id for h in transport.presences[-1].held}, timeout_s=1.9)

    def test_started_task_is_told_soon_with_its_progress(self, start: Callable[..., RunningWorker]) -> None:
        transport = start(heartbeat_s=30).transport
        transport.deliver(task_message(1, "tell-progress"))
        transport.deliver(task_message(2, "nothing"))
        wait_for_start(transport)
        held = {h.task_id: h for p in transport.presences for h in p.held}
        assert held[1].started_at == pytest.approx(time.time(), abs=5)
        assert (held[1].fraction, held[1].note) == (0.5, "half way")
        assert held[2].started_at is None

    def test_heartbeats_go_on_while_a_task_runs_and_tell_of_tiers(
        self, start: Callable[..., RunningWorker], tmp_path: Path
    ) -> None:
        tiers = {"A": {"root": tmp_path}, "B": {"root": tmp_path / "missing"}}
        transport = start(heartbeat_s=0.1, tiers=tiers).transport
        transport.deliver(task_message(1, "sleep", parameters={"seconds": 1}))
        transport.wait_for_results(1)
        assert sum(1 for p in transport.presences if p.held) >= 5
        transport.wait_until(lambda: set(transport.presences[-1].tiers) == {"A", "B"})
        latest = transport.presences[-1]
        assert (latest.tiers["A"], "mounted" in latest.tiers["B"]) == ("", True)
        assert latest.version == version("haste-server")

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
