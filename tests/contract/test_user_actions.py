"""What every database must do with the actions of users, for one and for many, while tasks run."""

from threading import Barrier, Thread

import pytest
from structlog.testing import capture_logs

from haste_core.errors import ConflictError, InvalidError, NotFoundError
from haste_core.messages import HeldAttempt, Outcome
from haste_core.states import TaskState
from haste_core.stores import TaskFilter
from haste_server.store import user_actions
from haste_server.store.sql import SqlStore
from tests.contract.store_bench import NOW, claim, result_of, run, spec, states, submitted, tasks_of

OPEN = frozenset(state for state in TaskState if not state.ended)
FAILED = frozenset(state for state in TaskState if state.failed)


def attempts(store: SqlStore, task_id: int) -> list[tuple[int, str | None, str]]:
    return [
        (item.attempt, item.outcome and item.outcome.value, item.message) for item in store.attempts(task_id)
    ]


def test_a_cancelled_task_gets_no_result_any_more_and_its_attempt_is_remembered(store: SqlStore) -> None:
    [job_id] = submitted(store, spec({"taskSequential": ["a", "b"]}))
    [message] = claim(store)
    held = HeldAttempt(task_id=message.task_id, attempt=1, started_at=NOW)
    store.renew("w1", [held], until=NOW + 30)

    job = store.cancel_job(job_id, now=NOW + 5)

    assert (job.state, states(store, job_id)) == (TaskState.CANCELLED, [410, 410])
    assert store.record([result_of(message, response={"late": 1})], now=NOW + 6) == []
    assert store.job(job_id).responses == {}
    [attempt] = store.attempts(message.task_id)
    assert (attempt.outcome, attempt.worker_id, attempt.started_at) == (Outcome.REVOKED, "w1", NOW)
    assert (attempt.ended_at, attempt.message) == (NOW + 5, "cancelled while it ran")

    store.retry_job(job_id, now=NOW + 7)
    run(store, "a")
    run(store, "b")
    assert store.job(job_id).state is TaskState.DONE
    assert [number for number, _, _ in attempts(store, message.task_id)] == [1, 2]


def test_attempts_are_told_with_their_ends_and_the_present_one_last(store: SqlStore) -> None:
    [job_id] = submitted(store, spec())
    [task] = tasks_of(store, job_id)
    assert store.attempts(task.task_id) == []
    run(store, state=TaskState.REMOTE_TROUBLE, message="share away")
    store.release_due(now=NOW + 100)
    run(store, outcome=Outcome.CRASHED, message="killed by SIGSEGV")
    store.release_due(now=NOW + 200)
    claim(store, now=NOW + 200)

    first, second, third = store.attempts(task.task_id)

    assert (first.outcome, first.state, first.started_at) == (Outcome.ENDED, TaskState.REMOTE_TROUBLE, NOW)
    assert "share away" in first.message
    assert (second.outcome, second.ended_at) == (Outcome.CRASHED, NOW + 1)
    assert (third.attempt, third.outcome, third.ended_at) == (3, None, None)
    with pytest.raises(NotFoundError):
        store.attempts(task.task_id + 1)


def test_attempts_are_unwanted_once_somebody_asked_for_something_else(store: SqlStore) -> None:
    names = ("runs", "ended", "cancelled", "deleted", "forced", "invalidated", "handed back", "again")
    tree = {"taskSequential": ["z", "a"]}
    job_ids = dict(zip(names, submitted(store, *(spec(tree, source_id=n) for n in names)), strict=True))
    run(store, "z")
    messages = {message.job["source_id"]: message for message in claim(store)}
    store.record([result_of(messages["ended"])], now=NOW)
    store.record([result_of(messages["handed back"], outcome=Outcome.HANDED_BACK)], now=NOW)
    store.cancel_job(job_ids["cancelled"], now=NOW)
    store.delete(job_ids["deleted"])
    store.force_retry_task(messages["forced"].task_id, now=NOW)
    store.force_retry_task(tasks_of(store, job_ids["invalidated"])[0].task_id, now=NOW)
    store.cancel_job(job_ids["again"], now=NOW)
    store.retry_job(job_ids["again"], now=NOW)
    claim(store)

    held = {name: (message.task_id, message.attempt) for name, message in messages.items()}
    unwanted = set(store.unwanted(list(held.values())))

    assert {name for name in names if held[name] not in unwanted} == {"runs", "ended"}
    assert store.unwanted([]) == []


def test_what_is_asked_of_many_is_done_for_those_that_it_fits(store: SqlStore) -> None:
    done, failed, waiting = submitted(store, *(spec(key, source_id=key) for key in "abc"))
    run(store, "a")
    run(store, "b", TaskState.BAD_INPUT)

    answers = store.act_on_jobs("retry", [waiting, 99_999, failed, done], now=NOW)

    assert [type(answer) for answer in answers] == [ConflictError, NotFoundError, type(None), ConflictError]
    assert states(store, done, failed, waiting) == [200, 201, 201]
    task_ids = [task.task_id for task in tasks_of(store, done, failed, waiting)]
    claim(store, "c")
    answers = store.act_on_tasks("reset", [*task_ids, 99_999], now=NOW)
    assert [type(answer) for answer in answers] == [type(None), type(None), ConflictError, NotFoundError]
    assert states(store, done, failed, waiting) == [205, 205, 102]
    assert store.act_on_jobs("cancel", [], now=NOW) == []


def test_one_task_may_be_asked_twice_in_one_call(store: SqlStore) -> None:
    [job_id] = submitted(store, spec())
    run(store, state=TaskState.ERROR)
    [task] = tasks_of(store, job_id)
    assert store.act_on_tasks("retry", [task.task_id, task.task_id], now=NOW) == [None, None]
    assert states(store, job_id) == [201]


def test_failed_tasks_of_a_key_are_retried_across_streams(store: SqlStore) -> None:
    tree = {"taskSequential": ["a", "b"]}
    first = submitted(store, *(spec(tree, stream_id="p", source_id=str(i)) for i in range(3)))
    second = submitted(store, *(spec(tree, stream_id="q", source_id=str(i)) for i in range(2)))
    run(store, "a")
    run(store, "b", TaskState.BAD_INPUT)
    wanted = TaskFilter(states=FAILED, task_key="b")

    swept = store.sweep_tasks("retry", wanted, now=NOW, cursor=None, limit=4)
    assert (swept.changed, swept.refused) == (4, 0)
    assert states(store, *first, *second) == [200, 201] * 4 + [200, 502]
    rest = store.sweep_tasks("retry", wanted, now=NOW, cursor=swept.next, limit=4)
    assert (rest.changed, rest.refused, rest.next) == (1, 0, None)

    run(store, "b", TaskState.BAD_INPUT)
    of_stream = TaskFilter(states=FAILED, stream_id="q")
    assert store.sweep_jobs("retry", of_stream, now=NOW, cursor=None, limit=100).changed == 2
    assert states(store, *first, *second) == [200, 502] * 3 + [200, 201] * 2


def test_a_stream_is_cancelled_in_small_transactions(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(user_actions, "BATCH", 3)
    job_ids = submitted(store, *(spec(stream_id="p", source_id=str(i)) for i in range(10)))
    [other] = submitted(store, spec(stream_id="q"))
    finished, running = claim(store, limit=2)
    store.record([result_of(finished)], now=NOW)

    with capture_logs() as logs:
        swept = store.sweep_jobs(
            "cancel", TaskFilter(states=OPEN, stream_id="p"), now=NOW, cursor=None, limit=100
        )

    assert (swept.changed, swept.refused, swept.next) == (9, 0, None)
    assert states(store, *job_ids) == [200] + [410] * 9
    assert states(store, other) == [201]
    assert attempts(store, running.task_id) == [(1, "revoked", "cancelled while it ran")]
    lines = [(line["action"], line["state"], line["job_id"]) for line in logs]
    assert lines == [("task_state", 410, job_id) for job_id in job_ids[1:]]


def test_what_cannot_be_reset_is_counted(store: SqlStore) -> None:
    submitted(store, *(spec(source_id=str(i)) for i in range(4)))
    claim(store, limit=1)
    swept = store.sweep_tasks(
        "reset", TaskFilter(states=OPEN, site="default"), now=NOW, cursor=None, limit=100
    )
    assert (swept.changed, swept.refused) == (3, 1)
    with pytest.raises(InvalidError):
        store.sweep_tasks("reset", TaskFilter(states=OPEN), now=NOW, cursor="x", limit=1)


def test_tasks_may_have_priorities_of_their_own(store: SqlStore) -> None:
    low, high, own = submitted(
        store,
        *(spec(source_id=name, priority=rank) for name, rank in (("low", 1), ("high", 2), ("own", 0))),
    )
    [task] = tasks_of(store, own)

    assert store.set_task_priorities({task.task_id: 5.0, 99_999: 1.0}) == [99_999]
    store.set_priorities({own: -3.0})  # the job's, which does not count for this task
    assert [message.job_id for message in claim(store)] == [own, high, low]
    assert store.job(own).tasks[0].priority == 5.0


def test_a_task_can_be_given_its_job_s_priority_again(store: SqlStore) -> None:
    first, second = submitted(store, *(spec(source_id=name, priority=1) for name in "xy"))
    [task] = tasks_of(store, second)
    store.set_task_priorities({task.task_id: 5.0})
    store.set_priorities({second: 0.5})
    store.set_task_priorities({task.task_id: None})
    assert [message.job_id for message in claim(store)] == [first, second]
    store.set_priorities({second: 0.75})
    assert store.job(second).tasks[0].priority is None


def test_equal_ranks_go_by_number_in_the_stream_and_old_tasks_overtake_in_time(store: SqlStore) -> None:
    submitted(store, *(spec(source_id=f"i{i}", index=i, priority=1) for i in (2, 0, 1)))
    submitted(store, spec(source_id="urgent", priority=1.5))
    submitted(store, spec(source_id="later", priority=1.5), now=NOW + 1000)
    order = [message.job["source_id"] for message in claim(store, now=NOW + 1000)]
    assert order == ["urgent", "i0", "i1", "i2", "later"]


def test_cancelling_and_results_at_the_same_time_leave_no_job_stuck(store: SqlStore) -> None:
    tree = {"taskSequential": [{"Task": {"task_key": "pre", "optional": True}}, "a"]}
    job_ids = submitted(store, *(spec(tree, stream_id="s", source_id=str(i)) for i in range(60)))
    barrier = Barrier(3)

    def work() -> None:
        barrier.wait()
        for _ in range(12):
            for key in ("pre", "a"):
                store.record([result_of(message) for message in claim(store, key, limit=5)], now=NOW)

    def cancel() -> None:
        barrier.wait()
        wanted = TaskFilter(states=OPEN, stream_id="s")
        store.sweep_jobs("cancel", wanted, now=NOW, cursor=None, limit=1000)

    threads = [Thread(target=work), Thread(target=work), Thread(target=cancel)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {store.job(job_id).state for job_id in job_ids} <= {TaskState.DONE, TaskState.CANCELLED}
    assert claim(store) == claim(store, "pre") == []
