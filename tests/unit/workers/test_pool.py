"""The pool, with the tests in the part of the child processes, so that what is rare happens surely."""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from haste_core.messages import Outcome, TaskResult
from haste_core.ports import TaskDelivery
from haste_workers.attempts import Attempt
from haste_workers.children import Child
from haste_workers.handlers.registry import HandlerUnusableError
from haste_workers.pool import ChildPool
from haste_workers.records import Kind, Record, pack, unpack
from tests.unit.workers.messages import task_message


class ActedProcess:
    """Stands for the operating system's process; the test sends what a child would send."""

    pid = None
    peak_bytes = None
    exitcode: int | None = None

    def kill(self) -> None:
        self.exitcode = -9 if self.exitcode is None else self.exitcode

    def join(self, timeout: float | None = None) -> None:
        pass

    def close(self) -> None:
        pass


@dataclass
class Stage:
    """Makes acted children in place of real ones; keeps the child's end of each connection."""

    scratch: Path
    ends: list[Connection] = field(default_factory=list)
    first_words: list[Record] = field(default_factory=lambda: [Record(Kind.READY)])

    def spawn(self, number: int) -> Child:
        ours, theirs = Pipe()
        self.ends.append(theirs)
        theirs.send_bytes(pack(self.first_words))
        return Child(ActedProcess(), ours, self.scratch / str(number))  # type: ignore[arg-type]


@dataclass
class Heard:
    """Remembers what the pool told."""

    started_keys: list[int] = field(default_factory=list)
    results: list[TaskResult] = field(default_factory=list)
    crashes: list[tuple[int, str]] = field(default_factory=list)
    waiting: deque[Attempt] = field(default_factory=deque)

    def started(self, attempt: Attempt) -> None:
        self.started_keys.append(attempt.key[0])

    def progressed(self) -> None:
        pass

    def finished(self, result: TaskResult) -> None:
        self.results.append(result)

    def crashed(self, attempt: Attempt, why: str) -> None:
        self.crashes.append((attempt.key[0], why))

    def came_back(self, attempts: Sequence[Attempt]) -> None:
        self.waiting.extendleft(reversed(attempts))


def attempt(task_id: int, timeout_s: float = 600.0) -> Attempt:
    message = task_message(task_id)
    return Attempt(
        TaskDelivery(message, False, task_id), message.encode(), timeout_s, expires_at=float("inf")
    )


def started(task_id: int) -> Record:
    return Record.of(Kind.STARTED, (task_id, 1))


def ended(task_id: int, duration_s: float = 0.001) -> Record:
    result = TaskResult(
        task_id=task_id,
        attempt=1,
        worker_id="w",
        outcome=Outcome.ENDED,
        started_at=100.0,
        ended_at=100.0 + duration_s,
    )
    return Record(Kind.ENDED, result.encode())


@dataclass
class Play:
    """A pool of one acted child."""

    stage: Stage
    heard: Heard = field(default_factory=Heard)

    def __post_init__(self) -> None:
        self.pool = ChildPool(self.stage, size=1, listener=self.heard)  # type: ignore[arg-type]
        self.pool.start()

    def give(self, *attempts: Attempt) -> None:
        self.heard.waiting.extend(attempts)
        self.pool.feed(self.heard.waiting)

    def say(self, *records: Record) -> None:
        self.stage.ends[-1].send_bytes(pack(records))
        self.pool.hear(self.pool.connections[0])

    def given(self) -> list[Record]:
        end, records = self.stage.ends[-1], []
        while end.poll():
            records += unpack(end.recv_bytes())
        return records

    def waiting(self) -> list[int]:
        return [each.key[0] for each in self.heard.waiting]


@pytest.fixture
def play(tmp_path: Path) -> Iterator[Play]:
    play = Play(Stage(tmp_path))
    yield play
    play.pool.end()
    for end in play.stage.ends:
        end.close()


def test_first_task_of_a_key_is_not_followed_until_its_duration_is_known(play: Play) -> None:
    play.give(attempt(1), attempt(2), attempt(3))
    assert play.waiting() == [2, 3]
    play.say(started(1), ended(1, duration_s=0.001))
    play.give()
    assert play.waiting() == []
    assert [record.kind for record in play.given()] == [Kind.TASK] * 3


def test_long_tasks_are_not_sent_ahead(play: Play) -> None:
    play.give(attempt(1), attempt(2), attempt(3))
    play.say(started(1), ended(1, duration_s=3.0))
    play.give()
    assert play.waiting() == [3]


def test_work_ahead_is_limited_in_time(play: Play) -> None:
    play.give(attempt(1))
    play.say(started(1), ended(1, duration_s=0.01))
    play.give(*(attempt(number) for number in range(2, 20)))
    assert 3 <= 18 - len(play.waiting()) <= 6  # 50 ms of tasks of 10 ms


def test_task_that_began_while_another_was_stopped_is_not_blamed(play: Play) -> None:
    play.give(attempt(1))
    play.say(started(1), ended(1))
    play.give(attempt(2, timeout_s=0.0), attempt(3), attempt(4))
    play.say(started(2))
    play.stage.ends[-1].send_bytes(pack([ended(2), started(3)]))  # written before the kill arrived
    play.stage.ends[-1].close()
    play.pool.watch()
    if play.pool.connections and play.heard.waiting == deque():
        play.pool.hear(play.pool.connections[0])
    assert [result.task_id for result in play.heard.results] == [1, 2]
    assert play.heard.crashes == []
    assert play.waiting() == [3, 4]


def test_task_that_ran_too_long_is_blamed_and_the_next_one_is_not(play: Play) -> None:
    play.give(attempt(1))
    play.say(started(1), ended(1))
    play.give(attempt(2, timeout_s=0.0), attempt(3))
    play.say(started(2))
    play.stage.ends[-1].close()
    play.pool.watch()
    assert play.heard.crashes == [(2, "stopped at its time limit of 0 s")]
    assert play.waiting() == [3]


def test_recalled_tasks_come_back_in_their_order(play: Play) -> None:
    play.give(attempt(1))
    play.say(started(1), ended(1))
    play.give(*(attempt(number) for number in range(2, 6)))
    play.say(started(2))
    play.given()
    play.pool.recall_all()
    assert [record.kind for record in play.given()] == [Kind.RECALL]
    play.give(attempt(6))
    assert play.waiting() == [6], "nothing is sent while the answer is awaited"
    # The child had started task 3 in the meantime.
    play.say(ended(2), started(3), Record.of(Kind.RETURNED, [(4, 1), (5, 1)]))
    assert play.waiting() == [4, 5, 6]
    assert play.heard.started_keys == [1, 2, 3]


def test_child_that_died_idle_is_replaced_at_once(play: Play) -> None:
    play.stage.ends[-1].close()
    play.pool.hear(play.pool.connections[0])
    assert play.pool.connections == []
    play.pool.watch()
    assert len(play.pool.connections) == 1
    assert play.heard.crashes == []


def test_child_that_cannot_load_its_handlers_any_more_is_replaced_after_a_pause(play: Play) -> None:
    play.stage.first_words = [Record.of(Kind.UNUSABLE, "SyntaxError in my_handler.py")]
    play.stage.ends[-1].close()
    play.pool.hear(play.pool.connections[0])
    play.pool.watch()
    play.pool.hear(play.pool.connections[0])
    play.stage.ends[-1].close()
    play.pool.hear(play.pool.connections[0])
    play.pool.watch()
    assert play.pool.connections == []
    assert play.pool.next_moment < float("inf")


def test_pool_does_not_start_with_unusable_handlers(tmp_path: Path) -> None:
    stage = Stage(tmp_path, first_words=[Record.of(Kind.UNUSABLE, "no module my_handler")])
    pool = ChildPool(stage, size=1, listener=Heard())  # type: ignore[arg-type]
    with pytest.raises(HandlerUnusableError, match="no module my_handler"):
        pool.start()
    pool.end()
    stage.ends[0].close()
