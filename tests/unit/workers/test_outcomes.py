"""What a worker reports about a task that answers, fails, crashes or takes too long."""

import os
import platform
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from haste_core.messages import Outcome
from haste_core.states import TaskState
from tests.unit.imaging.pictures import bare_tiff, page_tags
from tests.unit.workers.messages import task_message
from tests.unit.workers.running_worker import RunningWorker, is_alive
from tests.waiting import wait_for


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

    @pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="is asked of glibc")
    def test_memory_of_one_image_serves_the_next(self, lasting: RunningWorker) -> None:
        # 75 MB are 18,000 pages.
        assert lasting.run("take-and-free").response["pages"] < 1000

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
        worker = start(measuring=True, task_memory_bytes=2**29, roots={"nas": tmp_path})
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
