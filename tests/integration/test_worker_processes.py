"""The worker program as users and servers start it: real processes, pipes, signals, RabbitMQ."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import pytest
import tifffile

from haste_core.features import measure
from haste_core.messages import Outcome, Presence, TaskResult
from haste_core.ports import Broker, ResultDelivery, UndeliveredTask
from haste_core.states import TaskState
from haste_server.brokers.embedded import EmbeddedBroker
from haste_server.brokers.rabbitmq import RabbitBroker
from tests.unit.workers.messages import task_message
from tests.waiting import wait_for

REPOSITORY = Path(__file__).resolve().parents[2]
SAMPLES = "tests.unit.workers.sample_handlers"


class Listener:
    """Remembers what a broker told, and settles results."""

    def __init__(self, broker: Broker) -> None:
        self.results: dict[int, TaskResult] = {}
        self.undelivered: list[UndeliveredTask] = []
        self.presences: list[Presence] = []
        self._broker = broker
        self._changed = threading.Condition()

    def result_arrived(self, delivery: ResultDelivery) -> None:
        with self._changed:
            self.results[delivery.result.task_id] = delivery.result
            self._changed.notify_all()
        self._broker.settle([delivery])

    def presence_arrived(self, presence: Presence) -> None:
        with self._changed:
            self.presences.append(presence)
            self._changed.notify_all()

    def hand_out_failed(self, undelivered: UndeliveredTask) -> None:
        with self._changed:
            self.undelivered.append(undelivered)
            self._changed.notify_all()

    def wait_until(self, holds: Callable[[], bool], timeout_s: float = 30.0) -> None:
        with self._changed:
            assert self._changed.wait_for(holds, timeout_s), (self.results, self.undelivered)


def start_worker(
    tmp_path: Path, *options: str, environment: dict[str, str] | None = None, **popen: Any
) -> subprocess.Popen[bytes]:
    """Start a worker; one that has samples takes no others, and need not load what images need."""
    keys = [option.rpartition(":")[2].replace("_", "-") for option in options if option.startswith(SAMPLES)]
    chosen = ["--keys", ",".join(keys)] if keys else []
    return subprocess.Popen(
        [sys.executable, "-m", "haste_workers.cli", "--concurrency", "1", *chosen, *options],
        cwd=REPOSITORY,
        env={**os.environ, "HASTE_WORK_DIR": str(tmp_path / "work"), **(environment or {})},
        **popen,
    )


def sample(name: str) -> list[str]:
    return ["--handler", f"{SAMPLES}:{name}"]


def scratch_folders(tmp_path: Path) -> list[Path]:
    return [path for path in (tmp_path / "work" / "tmp").iterdir() if path.is_dir()]


def children_of(pid: int, *, zombies: bool = False) -> set[int]:
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid and (fields[0] == "Z") is zombies:
            found.add(int(stat.parent.name))
    return found


def name_of(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class PipedWorker:
    """A worker at the other end of pipes, as the embedded server starts it."""

    def __init__(self, tmp_path: Path, *options: str) -> None:
        self.process = start_worker(
            tmp_path, "--pipe", *options, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
        )
        self.broker = EmbeddedBroker()
        self.listener = Listener(self.broker)
        self.broker.start(self.listener)
        self.broker.attach(
            cast(BinaryIO, self.process.stdout), cast(BinaryIO, self.process.stdin), name="worker"
        )
        self.listener.wait_until(lambda: bool(self.listener.presences))

    def run(self, task_key: str, *task_ids: int) -> list[TaskResult]:
        self.broker.publish([task_message(task_id, task_key) for task_id in task_ids])
        self.listener.wait_until(lambda: all(task_id in self.listener.results for task_id in task_ids))
        return [self.listener.results[task_id] for task_id in task_ids]

    def stop(self) -> None:
        self.broker.stop()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(30)
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()


@pytest.fixture
def piped(tmp_path: Path) -> Iterator[Callable[..., PipedWorker]]:
    workers: list[PipedWorker] = []

    def start(*options: str) -> PipedWorker:
        workers.append(PipedWorker(tmp_path, *options))
        return workers[-1]

    yield start
    for worker in workers:
        worker.stop()


class TestPipedWorker:
    def test_scores_an_image(self, piped: Callable[..., PipedWorker], tmp_path: Path) -> None:
        image = np.random.default_rng(0).normal(500, 50, (128, 128)).astype(np.uint16)
        tifffile.imwrite(tmp_path / "a.tif", image)
        worker = piped("--root", f"images={tmp_path}")
        worker.broker.publish([task_message(1, "focus-score", url="root://images/a.tif")])
        worker.listener.wait_until(lambda: 1 in worker.listener.results)
        result = worker.listener.results[1]
        assert result.state is TaskState.DONE, result.message
        assert result.response["plls"] == measure(image).plls

    def test_prints_do_not_get_into_the_frames(self, piped: Callable[..., PipedWorker]) -> None:
        worker = piped(*sample("print_much"), *sample("echo"))
        worker.broker.publish([task_message(1, "print-much"), task_message(2, "echo")])
        worker.listener.wait_until(lambda: set(worker.listener.results) == {1, 2})
        assert {r.state for r in worker.listener.results.values()} == {TaskState.DONE}

    def test_closed_pipe_ends_worker_and_running_task_at_once(
        self, piped: Callable[..., PipedWorker], tmp_path: Path
    ) -> None:
        worker = piped(*sample("start_program"))
        tell = tmp_path / "pid"
        worker.broker.publish([task_message(1, "start-program", parameters={"tell": str(tell)})])
        wait_for(lambda: tell.exists() and tell.read_text())
        children = children_of(worker.process.pid)
        worker.broker.stop()
        assert worker.process.wait(10) == 5
        wait_for(lambda: not any(map(is_alive, children | {int(tell.read_text())})))

    def test_killed_worker_leaves_no_orphan(self, piped: Callable[..., PipedWorker], tmp_path: Path) -> None:
        worker = piped(*sample("start_program"))
        tell = tmp_path / "pid"
        worker.broker.publish([task_message(1, "start-program", parameters={"tell": str(tell)})])
        wait_for(lambda: tell.exists() and tell.read_text())
        children = children_of(worker.process.pid)
        assert children
        worker.process.kill()
        wait_for(lambda: not any(map(is_alive, children | {int(tell.read_text())})))

    @pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is no template")
    def test_children_are_forked_and_without_their_template_made_afresh(
        self, piped: Callable[..., PipedWorker]
    ) -> None:
        keys = "draw,segfault,focus-score"  # the last one brings numpy's generator into the template
        worker = piped("--concurrency", "2", *sample("draw"), *sample("segfault"), "--keys", keys)
        forked = {pid for pid in children_of(worker.process.pid) if name_of(pid) == "haste-child"}
        (template,) = children_of(worker.process.pid) - forked
        drawn = worker.run("draw", 1, 2)
        assert {result.response["pid"] for result in drawn} == forked
        assert len({result.response["number"] for result in drawn}) == 2, "each has its own random numbers"
        assert all(result.response["threads"] == "1" for result in drawn)

        os.kill(template, signal.SIGKILL)
        for crashed in worker.run("segfault", 3, 4):
            assert "SIGSEGV" in crashed.message
            assert "its memory peaked at" in crashed.message
        (after,) = worker.run("draw", 5)
        assert after.response["pid"] not in forked
        worker.process.terminate()
        assert worker.process.wait(10) == 0

    @pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
    def test_crashed_handler_leaves_no_program_and_spares_its_neighbours(
        self, piped: Callable[..., PipedWorker], tmp_path: Path
    ) -> None:
        worker = piped("--concurrency", "2", *sample("start_background_program"))
        tells = {1: tmp_path / "neighbour", 2: tmp_path / "crash"}
        for task_id, tell in tells.items():
            parameters = {"tell": str(tell), "die": task_id == 2, "seconds": 3}
            worker.broker.publish([task_message(task_id, "start-background-program", parameters=parameters)])
            wait_for(lambda tell=tell: tell.exists() and tell.read_text())
        neighbour, left = (int(tell.read_text()) for tell in tells.values())
        worker.listener.wait_until(lambda: 2 in worker.listener.results)
        assert worker.listener.results[2].outcome is Outcome.CRASHED
        assert not is_alive(left)
        assert left not in children_of(worker.process.pid, zombies=True)
        assert is_alive(neighbour)
        worker.listener.wait_until(lambda: 1 in worker.listener.results)
        assert worker.listener.results[1].state is TaskState.DONE
        worker.process.terminate()
        assert worker.process.wait(10) == 0
        assert not is_alive(neighbour)

    def test_next_worker_removes_the_temporary_files_of_a_killed_one(
        self, piped: Callable[..., PipedWorker], tmp_path: Path
    ) -> None:
        first = piped(*sample("sleep"))
        (remains,) = scratch_folders(tmp_path)
        second = piped(*sample("sleep"))
        assert remains.exists(), "its worker lives"
        first.process.kill()
        first.process.wait()
        piped(*sample("sleep"))
        assert not remains.exists()
        assert second.process.poll() is None

    def test_sigterm_finishes_the_running_task_and_hands_back_the_other(
        self, piped: Callable[..., PipedWorker], tmp_path: Path
    ) -> None:
        worker = piped(*sample("sleep"))
        worker.broker.publish(
            [task_message(task_id, "sleep", parameters={"seconds": 1}) for task_id in (1, 2)]
        )
        worker.listener.wait_until(
            lambda: any(held.started_at for p in worker.listener.presences for held in p.held)
        )
        worker.process.send_signal(signal.SIGTERM)
        assert worker.process.wait(20) == 0
        worker.listener.wait_until(lambda: len(worker.listener.results) == 2)
        results = worker.listener.results
        assert (results[1].state, results[1].outcome) == (TaskState.DONE, Outcome.ENDED)
        assert results[2].outcome is Outcome.HANDED_BACK
        assert worker.listener.presences[-1].leaving
        assert scratch_folders(tmp_path) == []

    def test_second_signal_does_not_wait(self, piped: Callable[..., PipedWorker]) -> None:
        worker = piped(*sample("sleep"))
        worker.broker.publish([task_message(1, "sleep", parameters={"seconds": 60})])
        worker.listener.wait_until(
            lambda: any(held.started_at for p in worker.listener.presences for held in p.held)
        )
        worker.process.send_signal(signal.SIGINT)
        worker.listener.wait_until(lambda: worker.listener.presences[-1].leaving)
        worker.process.send_signal(signal.SIGINT)
        assert worker.process.wait(10) == 0
        worker.listener.wait_until(lambda: 1 in worker.listener.results)
        assert worker.listener.results[1].outcome is Outcome.LOST


class TestUsage:
    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ([], "--broker-url"),
            (["--pipe", "--keys", "deblur"], "no handler for 'deblur'"),
            (["--pipe", "--keys", "upload"], "--server-url"),
            (["--pipe", "--handler", "x=no_such_module:f"], "ModuleNotFoundError"),
            (["--pipe", "--root", "nas"], "NAME=VALUE"),
            (["--pipe", "--config", "/no/such.yaml"], "/no/such.yaml"),
            (["--broker-url", "http://broker"], "amqp://"),
            (["--concurrency", "many"], "Usage:"),
        ],
    )
    def test_mistakes_end_with_2_and_a_sentence(self, tmp_path: Path, options: list[str], said: str) -> None:
        with start_worker(
            tmp_path, *options, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            stdout, stderr = process.communicate(timeout=60)
        assert process.returncode == 2
        assert said in stderr.decode()
        assert b"Traceback" not in stderr
        assert stdout == b""


class TestRabbitWorker:
    def test_killed_worker_s_task_is_told_lost_by_the_next_one(self, amqp_url: str, tmp_path: Path) -> None:
        broker = RabbitBroker(amqp_url)
        listener = Listener(broker)
        broker.start(listener)
        environment = {"HASTE_BROKER_URL": amqp_url, "HASTE_HEARTBEAT_S": "0.5"}
        options = (*sample("sleep"), *sample("echo"), "--site", "lab1")
        try:
            with start_worker(tmp_path, *options, environment=environment) as first:
                listener.wait_until(lambda: bool(listener.presences))
                broker.publish([task_message(1, "sleep", site="lab1", parameters={"seconds": 60})])
                listener.wait_until(lambda: any(h.started_at for p in listener.presences for h in p.held))
                first.kill()
            with start_worker(tmp_path, *options, environment=environment) as second:
                listener.wait_until(lambda: 1 in listener.results)
                assert listener.results[1].outcome is Outcome.LOST
                broker.publish([task_message(2, "echo", site="lab1")])
                listener.wait_until(lambda: 2 in listener.results)
                assert listener.results[2].state is TaskState.DONE
                second.send_signal(signal.SIGTERM)
                assert second.wait(20) == 0
        finally:
            broker.stop()
