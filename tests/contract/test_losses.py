"""When every database gives up an attempt whose worker is silent or said to be gone, and what it counts."""

import pytest

from haste_core.messages import HeldAttempt, Outcome, TaskMessage, TaskResult
from haste_core.states import TaskState
from haste_server.store.sql import SqlStore
from tests.contract.store_bench import NOW, claim, result_of, spec, submitted


def lost(message: TaskMessage, *, worker_id: str) -> TaskResult:
    return result_of(message, outcome=Outcome.LOST, worker_id=worker_id, started_at=None, ended_at=None)


def test_heartbeats_renew_leases_and_a_vanished_worker_counts(store: SqlStore) -> None:
    [job_id] = submitted(store, spec())
    now = NOW
    for _ in range(2):
        [message] = claim(store, "a", now=now)
        held = HeldAttempt(task_id=message.task_id, attempt=message.attempt, started_at=now)
        store.renew("w1", [held], until=now + 100)
        assert store.expired(now=now + 50, limit=10) == []
        now += 101
        store.record(store.expired(now=now, limit=10), now=now)
    job = store.job(job_id)
    assert job.state is TaskState.ERROR
    assert "worker died 2 times" in job.tasks[0].message


def test_an_attempt_that_never_started_does_not_count_as_lost(store: SqlStore) -> None:
    submitted(store, spec())
    now = NOW
    for attempt in range(1, 6):
        [message] = claim(store, "a", now=now)
        assert message.attempt == attempt
        now += 31
        store.record(store.expired(now=now, limit=10), now=now)
        assert store.next_due() is not None
        now += 1
        assert store.release_due(now=now) == 1


def test_a_loss_told_by_another_only_shortens_the_lease(store: SqlStore) -> None:
    [job_id] = submitted(store, spec())
    [message] = claim(store, "a")
    held = HeldAttempt(task_id=message.task_id, attempt=1, started_at=NOW)
    store.renew("w1", [held], until=NOW + 30)

    assert store.record([lost(message, worker_id="w2"), lost(message, worker_id="w3")], now=NOW) == []
    assert store.next_due() == NOW + 10

    store.renew("w1", [held], until=NOW + 35)
    assert store.expired(now=NOW + 34, limit=10) == [], "the holder lives"
    [change] = store.record([result_of(message)], now=NOW + 34)
    assert change.state is TaskState.DONE
    assert (store.job(job_id).tasks[0].losses, store.job(job_id).tasks[0].worker_id) == (0, "w1")


@pytest.mark.parametrize(("holder", "losses"), [("w1", 1), (None, 0)])
def test_what_another_told_lost_is_handed_out_again_soon_and_counted_once(
    store: SqlStore, holder: str | None, losses: int
) -> None:
    [job_id] = submitted(store, spec())
    [message] = claim(store, "a")
    if holder is not None:
        started = HeldAttempt(task_id=message.task_id, attempt=1, started_at=NOW)
        store.renew(holder, [started], until=NOW + 30)
    store.record([lost(message, worker_id="w2")], now=NOW)
    ended = store.expired(now=NOW + 10.1, limit=10)
    store.record([*ended, lost(message, worker_id="w2")], now=NOW + 10.1)
    store.release_due(now=NOW + 11)
    assert [again.attempt for again in claim(store, "a", now=NOW + 11)] == [2]
    assert store.job(job_id).tasks[0].losses == losses


def test_the_holder_s_own_word_ends_its_attempt_at_once(store: SqlStore) -> None:
    [job_id] = submitted(store, spec())
    [message] = claim(store, "a")
    held = HeldAttempt(task_id=message.task_id, attempt=1, started_at=NOW)
    store.renew("w1", [held], until=NOW + 30)
    store.record([lost(message, worker_id="w1")], now=NOW)
    assert [again.attempt for again in claim(store, "a")] == [2]
    assert store.job(job_id).tasks[0].losses == 1
