"""What every broker does with messages that are unreadable, late, too large or name odd sites."""

import time
from functools import partial

import pytest

from haste_core.dead_letters import DeadLetters
from haste_core.messages import Outcome, Place, TaskMessage
from haste_core.routing import MAX_MESSAGE_BYTES, RESULT_QUEUE
from haste_core.states import TaskState
from haste_server.brokers import dead_letters
from tests.contract.broker_bench import QUIET_S, Bench, result_of, task_message
from tests.waiting import wait_for


def test_an_unreadable_result_is_put_aside_and_others_arrive(bench: Bench) -> None:
    worker = bench.worker()
    worker.reports_at_once = True
    bench.shape.inject_result(b'{"v": 99}')
    bench.broker.publish([task_message(1)])
    bench.engine.wait_for_results(1)
    wait_for(lambda: bench.shape.dead_letters() == [b'{"v": 99}'], "the dead letter is kept")
    engine = bench.restart_engine()
    assert [result.task_id for result in engine.wait_for_results(1)] == [1]


def test_a_task_that_waited_too_long_reaches_nobody_and_is_no_dead_letter(bench: Bench) -> None:
    worker = bench.worker(prefetch=1)
    bench.broker.publish([task_message(1), task_message(2, ttl_s=0.2), task_message(3)])
    worker.wait_for_tasks(1)
    time.sleep(0.5)
    worker.report(worker.taken[0])
    assert worker.wait_for_tasks(2) == [1, 3]
    assert bench.shape.dead_letters() == []


def test_a_task_too_large_to_be_sent_ends_and_others_go_their_way(bench: Bench) -> None:
    worker = bench.worker()
    pixels = {"segment": {"mask": "0" * MAX_MESSAGE_BYTES}, "focus-score": {"plls": -1.5}}
    bench.broker.publish([task_message(1), task_message(2, attempt=3, response=pixels), task_message(3)])

    assert worker.wait_for_tasks(2) == [1, 3]
    (result,) = bench.engine.wait_for_results(1)
    assert (result.task_id, result.attempt) == (2, 3)
    assert (result.outcome, result.state) == (Outcome.ENDED, TaskState.ERROR)
    assert f"the response of 'segment' with {MAX_MESSAGE_BYTES + 11:,}" in result.message
    assert f"at most {MAX_MESSAGE_BYTES:,}" in result.message

    bench.broker.settle(bench.engine.results)
    worker.report(worker.taken[0])
    bench.engine.wait_for_results(2)
    assert bench.engine.failed == []


def test_the_largest_message_that_is_sent_is_carried_both_ways(bench: Bench) -> None:
    worker = bench.worker()
    envelope_bytes = len(task_message(1, response={"a": ""}).encode())
    largest = task_message(1, response={"a": "x" * (MAX_MESSAGE_BYTES - envelope_bytes)})
    assert len(largest.encode()) == MAX_MESSAGE_BYTES
    bench.broker.publish([largest])

    worker.wait_for_tasks(1)
    answer = result_of(largest).model_copy(update={"response": largest.job["response"]})
    worker.transport.report(answer, worker.taken[0])

    assert bench.engine.wait_for_results(1) == [answer]


def test_a_site_in_an_answer_is_brought_to_its_stored_form(bench: Bench) -> None:
    worker = bench.worker()
    bench.broker.publish([task_message(1)])
    worker.wait_for_tasks(1)
    moved = result_of(task_message(1)).model_copy(update={"place": Place(url="root://nas/b.tif", site="HPC")})
    worker.transport.report(moved, worker.taken[0])

    (result,) = bench.engine.wait_for_results(1)
    assert result.state is TaskState.DONE
    assert result.place == Place(url="root://nas/b.tif", site="hpc")


def test_an_answer_with_a_site_that_cannot_be_ends_its_task(bench: Bench) -> None:
    worker = bench.worker()
    bench.broker.publish([task_message(1)])
    worker.wait_for_tasks(1)
    moved = result_of(task_message(1)).model_copy(update={"place": Place(url="root://nas/b", site="my hpc")})
    worker.transport.report(moved, worker.taken[0])

    (result,) = bench.engine.wait_for_results(1)
    assert (result.state, result.place) == (TaskState.ERROR, None)
    assert "'my hpc'" in result.message


def test_dead_letters_are_shown_and_stay_where_they_are(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead_letters, "LOOK_EVERY_S", 0.05)
    bench.restart_engine()
    wait_for(lambda: bench.broker.dead_letters() == DeadLetters(), "there are none")
    for number in range(7):
        bench.shape.inject_result(b'{"v": %d, "note": "%s"}' % (number + 2, b"long" * 100))
        wait_for(partial(_counts, bench, number + 1), "it is counted")
    shown = bench.broker.dead_letters()
    assert shown is not None
    assert [letter.head[:8] for letter in shown.latest] == [
        f'{{"v": {number}, '[:8] for number in range(4, 9)
    ]
    newest = shown.latest[-1]
    assert newest.queue == RESULT_QUEUE
    assert len(newest.head) == 200
    assert "task_id: is required" in newest.reason
    assert newest.died_at is not None
    assert abs(newest.died_at - time.time()) < 60
    time.sleep(QUIET_S)
    assert _count(bench) == 7


def test_a_task_that_a_worker_cannot_read_is_shown(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dead_letters, "LOOK_EVERY_S", 0.05)
    bench.restart_engine()
    bench.worker()
    with monkeypatch.context() as other_release:
        other_release.setattr(TaskMessage, "encode", lambda _: b'{"v": 2}')
        bench.broker.publish([task_message(1)])

    wait_for(lambda: _count(bench) == 1, "it is counted")
    shown = bench.broker.dead_letters()
    assert shown is not None
    (letter,) = shown.latest
    assert (letter.queue, letter.head) == ("haste.focus-score.lab1", '{"v": 2}')


def _counts(bench: Bench, number: int) -> bool:
    return _count(bench) == number


def _count(bench: Bench) -> int | None:
    letters = bench.broker.dead_letters()
    return None if letters is None else letters.count
