"""Tasks that are revoked while they wait or run, and workers that are told to stop."""

import time
from pathlib import Path

from haste_core.messages import Outcome
from haste_core.states import TaskState
from tests.unit.workers.messages import task_message
from tests.unit.workers.running_worker import RunningWorker, is_alive, wait_for_start
from tests.waiting import wait_for


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
