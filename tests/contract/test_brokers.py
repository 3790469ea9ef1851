"""What every broker with its worker transport promises, over RabbitMQ and through pipes alike."""

import threading
import time
from pathlib import Path

from haste_core.messages import Outcome
from haste_core.ports import ResultDelivery
from tests.contract.broker_bench import (
    QUIET_S,
    Bench,
    Engine,
    Shape,
    result_of,
    task_message,
)
from tests.waiting import wait_for


def _open_files_and_threads() -> int:
    return len(list(Path("/proc/self/fd").iterdir())) + threading.active_count()


def test_a_task_reaches_exactly_one_worker_as_it_was_sent(bench: Bench) -> None:
    first, second = bench.worker(), bench.worker()
    message = task_message(1)
    bench.broker.publish([message])
    wait_for(lambda: first.taken or second.taken, "the task arrives")
    time.sleep(QUIET_S)
    (delivery,) = first.taken + second.taken
    assert delivery.message == message
    assert not delivery.redelivered


def test_a_worker_gets_only_the_keys_that_it_takes(bench: Bench) -> None:
    scorer, mover = bench.worker("focus-score"), bench.worker("tier")
    bench.broker.publish([task_message(1, "tier"), task_message(2, "focus-score"), task_message(3, "tier")])
    assert mover.wait_for_tasks(2) == [1, 3]
    assert scorer.wait_for_tasks(1) == [2]
    time.sleep(QUIET_S)
    assert (mover.task_ids(), scorer.task_ids()) == ([1, 3], [2])


def test_one_worker_can_take_several_keys(bench: Bench) -> None:
    worker = bench.worker("focus-score", "tier", prefetch=10)
    bench.broker.publish([task_message(1, "tier"), task_message(2, "focus-score")])
    assert sorted(worker.wait_for_tasks(2)) == [1, 2]


def test_no_more_than_prefetch_tasks_are_unreported(bench: Bench) -> None:
    worker = bench.worker(prefetch=3)
    bench.broker.publish([task_message(task_id) for task_id in range(1, 11)])
    worker.wait_for_tasks(3)
    time.sleep(QUIET_S)
    assert worker.task_ids() == [1, 2, 3]
    worker.report(worker.taken[1])
    worker.wait_for_tasks(4)
    time.sleep(QUIET_S)
    assert worker.task_ids() == [1, 2, 3, 4]


def test_work_is_shared_among_the_workers_of_a_key(bench: Bench) -> None:
    workers = [bench.worker(prefetch=10), bench.worker(prefetch=10)]
    bench.shape.wait_for_takers("focus-score", 2)
    bench.broker.publish([task_message(task_id) for task_id in range(10)])
    wait_for(lambda: sum(len(worker.taken) for worker in workers) == 10, "all tasks arrive")
    assert [len(worker.taken) for worker in workers] == [5, 5]


def test_a_task_that_no_worker_takes_comes_back(bench: Bench) -> None:
    bench.worker("tier")
    bench.broker.publish([task_message(1, "focus-score", attempt=4)])
    (undelivered,) = bench.engine.wait_for_failed(1)
    assert (undelivered.task_id, undelivered.attempt) == (1, 4)
    assert "no" in undelivered.reason


def test_what_comes_back_does_not_take_others_along(bench: Bench) -> None:
    worker = bench.worker("tier")
    messages = [task_message(task_id, "tier" if task_id % 2 else "focus-score") for task_id in range(1, 21)]
    bench.broker.publish(messages)
    assert worker.wait_for_tasks(10) == list(range(1, 21, 2))
    failed = bench.engine.wait_for_failed(10)
    assert sorted(undelivered.task_id for undelivered in failed) == list(range(2, 21, 2))


def test_a_result_arrives_as_it_was_reported(bench: Bench) -> None:
    worker = bench.worker(worker_id="microscope-pc")
    bench.broker.publish([task_message(7)])
    worker.wait_for_tasks(1)
    worker.report(worker.taken[0])
    assert bench.engine.wait_for_results(1) == [result_of(task_message(7), "microscope-pc")]


def test_an_unsettled_result_is_delivered_again_and_a_settled_one_is_not(bench: Bench) -> None:
    worker = bench.worker()
    bench.broker.publish([task_message(1), task_message(2)])
    worker.wait_for_tasks(2)
    for number, task in enumerate(worker.taken):
        worker.report(task)
        bench.engine.wait_for_results(number + 1)
    bench.broker.settle([delivery for delivery in bench.engine.results if delivery.result.task_id == 1])

    engine = bench.restart_engine()
    assert [result.task_id for result in engine.wait_for_results(1)] == [2]
    bench.broker.settle(engine.results)

    engine = bench.restart_engine()
    time.sleep(QUIET_S)
    assert engine.results == []


def test_a_result_that_comes_while_nobody_listens_is_kept(shape: Shape) -> None:
    bench = Bench(shape)
    worker = bench.worker()
    bench.broker.publish([task_message(1)])
    worker.wait_for_tasks(1)
    worker.report(worker.taken[0])
    worker.transport.stop(timeout_s=5.0)
    engine = bench.restart_engine()
    assert [result.task_id for result in engine.wait_for_results(1)] == [1]
    bench.close()


def test_a_killed_workers_task_goes_to_another_marked_as_redelivered(bench: Bench) -> None:
    killed = bench.busy_worker(task_id=1)
    rescuer = bench.worker()
    killed.kill()
    rescuer.wait_for_tasks(1)
    assert rescuer.taken[0].message.task_id == 1
    assert rescuer.taken[0].redelivered


def test_a_killed_workers_task_is_not_lost_when_there_is_no_other(bench: Bench) -> None:
    killed = bench.busy_worker(task_id=1)
    killed.kill()
    killed.wait()
    time.sleep(QUIET_S)
    rescuer = bench.worker()
    wait_for(lambda: rescuer.taken or bench.engine.results, "the task turns up")
    if rescuer.taken:  # RabbitMQ kept it for the next worker, who is told
        assert rescuer.taken[0].redelivered
    else:  # the embedded broker reported the attempt at once
        (delivery,) = bench.engine.results
        assert (delivery.result.task_id, delivery.result.outcome) == (1, Outcome.LOST)
    assert bench.engine.failed == []


def test_presence_arrives_as_it_was_sent(bench: Bench) -> None:
    bench.worker("focus-score", "tier", worker_id="microscope-pc")
    presence = bench.engine.presences[0]
    assert (presence.worker_id, presence.keys, presence.pid) == ("microscope-pc", ("focus-score", "tier"), 1)


def test_bulk_is_delivered_and_reported_once_each(bench: Bench) -> None:
    workers = [bench.worker(prefetch=50), bench.worker(prefetch=50)]
    for worker in workers:
        worker.reports_at_once = True
    bench.broker.publish([task_message(task_id) for task_id in range(200)])
    bench.engine.wait_for_results(200)
    time.sleep(QUIET_S)
    assert sorted(delivery.result.task_id for delivery in bench.engine.results) == list(range(200))
    assert sorted(workers[0].task_ids() + workers[1].task_ids()) == list(range(200))
    assert bench.engine.failed == []


def test_tasks_that_travel_together_come_to_one_worker_in_their_order(bench: Bench) -> None:
    workers = [bench.worker(prefetch=1), bench.worker(prefetch=1)]
    others = [task_message(100, "nobody-takes-this"), task_message(101, "nobody-takes-this")]
    bench.broker.publish([*(task_message(task_id) for task_id in range(12)), *others], together=5)
    wait_for(lambda: all(len(worker.taken) >= 5 for worker in workers), "each worker has its share")
    time.sleep(QUIET_S)
    assert sorted(worker.task_ids() for worker in workers) == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]
    assert {undelivered.task_id for undelivered in bench.engine.wait_for_failed(2)} == {100, 101}

    for task in workers[0].taken[:4]:
        workers[0].report(task)
    time.sleep(QUIET_S)
    assert len(workers[0].taken) == 5, "one of them is not reported yet"
    workers[0].report(workers[0].taken[4])
    assert workers[0].wait_for_tasks(7)[5:] == [10, 11]


def test_what_a_killed_worker_has_not_reported_comes_again_with_what_came_with_it(bench: Bench) -> None:
    leaver = bench.worker()
    bench.broker.publish([task_message(1), task_message(2)], together=2)
    leaver.wait_for_tasks(2)
    leaver.report(leaver.taken[0])
    bench.engine.wait_for_results(1)
    rescuer = bench.worker()
    leaver.transport.stop(timeout_s=2.0)
    rescuer.wait_for_tasks(2)
    assert [(task.message.task_id, task.redelivered) for task in rescuer.taken] == [(1, True), (2, True)]


def test_results_that_travel_together_are_settled_one_by_one(bench: Bench) -> None:
    bench.shape.inject_result(b"\n".join(result_of(task_message(task_id)).encode() for task_id in (1, 2)))
    bench.engine.wait_for_results(2)
    bench.broker.settle(bench.engine.results[:1])
    engine = bench.restart_engine()
    assert 2 in {result.task_id for result in engine.wait_for_results(1)}
    bench.broker.settle(engine.results)
    engine = bench.restart_engine()
    time.sleep(QUIET_S)
    assert engine.results == []


def test_stop_leaves_no_thread_and_no_file_open(shape: Shape) -> None:
    before = _open_files_and_threads()
    for _ in range(3):
        bench = Bench(shape)
        worker = bench.worker()
        worker.reports_at_once = True
        bench.broker.publish([task_message(1), task_message(2, "nobody-takes-this")])
        bench.engine.wait_for_results(1)
        bench.broker.settle(bench.engine.results)
        bench.close()
    assert _open_files_and_threads() == before


def test_nothing_is_heard_after_stop(bench: Bench) -> None:
    worker = bench.worker()
    bench.broker.publish([task_message(1)])
    worker.wait_for_tasks(1)
    bench.broker.stop()
    heard = (len(bench.engine.results), len(bench.engine.presences), len(bench.engine.failed))
    worker.report(worker.taken[0])
    worker.announce()
    time.sleep(QUIET_S)
    assert heard == (
        len(bench.engine.results),
        len(bench.engine.presences),
        len(bench.engine.failed),
    )
    assert not bench.broker.is_up()


class _FailingEngine(Engine):
    def result_arrived(self, delivery: ResultDelivery) -> None:
        super().result_arrived(delivery)
        if len(self.results) == 1:
            raise RuntimeError("a bug of the engine")


def test_an_engine_that_fails_once_still_hears_the_rest(bench: Bench) -> None:
    bench.broker.stop()
    bench.engine = _FailingEngine()
    bench.broker.start(bench.engine)
    wait_for(bench.broker.is_up, "the broker is up again")
    worker = bench.worker()
    worker.reports_at_once = True
    bench.broker.publish([task_message(task_id) for task_id in range(3)])
    wait_for(lambda: {d.result.task_id for d in bench.engine.results} == {0, 1, 2}, "all are heard")


def test_a_revocation_reaches_every_worker_and_is_no_message_that_fails(bench: Bench) -> None:
    bench.broker.revoke([(1, 1)])  # nobody is there
    first, second = bench.worker("focus-score"), bench.worker("tier")
    bench.broker.publish([task_message(7)])
    first.wait_for_tasks(1)

    bench.broker.revoke([(7, 1), (8, 3)])

    wait_for(lambda: first.revoked and second.revoked, "both workers hear it")
    time.sleep(QUIET_S)
    assert [tuple(key) for key in first.revoked] == [tuple(key) for key in second.revoked] == [(7, 1), (8, 3)]
    first.report(first.taken[0])
    bench.engine.wait_for_results(1)
    assert bench.engine.failed == []
