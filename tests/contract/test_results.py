"""What every database makes of a result: the next task, another attempt or the end; and what undoes it."""

import pytest
from sqlalchemy.exc import DBAPIError

from haste_core.errors import ConflictError, NotFoundError, TransientError
from haste_core.messages import Place
from haste_core.states import TaskState
from haste_core.stores import JobFilter
from haste_server.store.sql import SqlStore
from tests.contract.store_bench import NOW, claim, result_of, spec, states, submitted


def test_the_way_of_a_sequence(store: SqlStore) -> None:
    [job_id] = submitted(store, spec({"taskSequential": ["a", "b"]}, metadata={"m": 1}))
    assert claim(store, "b") == []
    [message] = claim(store, "a")
    assert (message.attempt, message.job["metadata"], message.place.url) == (1, {"m": 1}, "root://nas/x.tif")
    assert message.ttl_s == 30
    assert claim(store, "a") == []
    moved = Place(url="root://nas/y.tif", site="default", sha256="0" * 64, size_bytes=3)
    changes = store.record([result_of(message, response={"n": 1}, place=moved)], now=NOW + 1)
    assert [(change.task_key, change.state) for change in changes] == [("a", TaskState.DONE)]
    [following] = claim(store, "b")
    assert following.place == moved
    assert following.job["response"] == {"a": {"n": 1}}
    store.record([result_of(following, response={})], now=NOW + 2)
    job = store.job(job_id)
    assert (job.state, job.ended_at) == (TaskState.DONE, NOW + 2)


def test_results_count_once_and_only_for_their_attempt(store: SqlStore) -> None:
    [job_id] = submitted(store, spec())
    [first] = claim(store, "a")
    assert store.record(store.expired(now=NOW + 31, limit=10), now=NOW + 31)
    store.release_due(now=NOW + 60)
    [second] = claim(store, "a", now=NOW + 60)
    assert second.attempt == 2
    assert store.record([result_of(first, response={"late": True})], now=NOW + 61) == []
    assert store.record([result_of(second, response={"n": 2})], now=NOW + 62)
    assert store.record([result_of(second, response={"n": 3})], now=NOW + 63) == []
    assert store.job(job_id).responses == {"a": {"n": 2}}


def test_an_answer_that_the_database_refuses_is_no_outage(store: SqlStore) -> None:
    [job_id] = submitted(store, spec())
    [message] = claim(store, "a")
    deep: object = 1
    for _ in range(60):
        deep = [deep]
    try:
        store.record([result_of(message, response={"deep": deep})], now=NOW)
    except TransientError:
        pytest.fail("trying again would never help")
    except DBAPIError:
        assert store.job(job_id).tasks[0].state is TaskState.RUNNING
    else:
        assert store.job(job_id).responses == {"a": {"deep": deep}}


def test_a_passing_failure_is_tried_again_after_a_pause(store: SqlStore) -> None:
    [job_id] = submitted(store, spec())
    now = NOW
    for attempt in (1, 2, 3):
        [message] = claim(store, "a", now=now)
        assert message.attempt == attempt
        failed = result_of(message, state=TaskState.REMOTE_TROUBLE, message="link down")
        store.record([failed], now=now)
        assert claim(store, "a", now=now) == []
        now += 100
        store.release_due(now=now)
    job = store.job(job_id)
    assert job.state is TaskState.REMOTE_TROUBLE
    assert "link down" in job.tasks[0].message


def test_a_permanent_failure_ends_the_job_and_a_retry_runs_it_again(store: SqlStore) -> None:
    [job_id] = submitted(store, spec({"taskSequential": ["a", "b"]}))
    [message] = claim(store, "a")
    store.record([result_of(message, state=TaskState.SOURCE_MISSING, message="no file x")], now=NOW)
    assert states(store, job_id) == [404, 201]
    assert store.job(job_id).state is TaskState.SOURCE_MISSING
    store.retry_job(job_id, now=NOW)
    with pytest.raises(ConflictError):
        store.retry_job(job_id, now=NOW)
    [again] = claim(store, "a")
    assert again.attempt == 2
    store.record([result_of(again, response={"ok": 1})], now=NOW)
    [following] = claim(store, "b")
    store.record([result_of(following)], now=NOW)
    assert store.job(job_id).state is TaskState.DONE


def test_forceretry_replaces_the_answer_and_runs_what_depends_on_it(store: SqlStore) -> None:
    [job_id] = submitted(store, spec({"taskSequential": ["a", "b"]}))
    for key in ("a", "b"):
        store.record([result_of(claim(store, key)[0], response={"size": 1})], now=NOW)
    task_id = store.job(job_id).tasks[0].task_id
    store.force_retry_task(task_id, now=NOW)
    assert states(store, job_id) == [201, 201]
    store.record([result_of(claim(store, "a")[0], response={"other": 2})], now=NOW)
    assert store.job(job_id).responses == {"a": {"other": 2}}
    assert len(claim(store, "b")) == 1


def test_forceretry_of_a_running_task_ignores_its_late_result(store: SqlStore) -> None:
    [job_id] = submitted(store, spec())
    [old] = claim(store, "a")
    store.force_retry_task(old.task_id, now=NOW)
    assert store.record([result_of(old, response={"old": 1})], now=NOW) == []
    [new] = claim(store, "a")
    store.record([result_of(new, response={"new": 1})], now=NOW)
    assert store.job(job_id).responses == {"a": {"new": 1}}


def test_a_reset_task_waits_until_it_is_asked_for(store: SqlStore) -> None:
    [job_id] = submitted(store, spec())
    [message] = claim(store, "a")
    with pytest.raises(ConflictError, match="being run"):
        store.reset_task(message.task_id, now=NOW)
    store.record([result_of(message)], now=NOW)
    job = store.reset_task(message.task_id, now=NOW)
    assert job.to_json()["tasks"]["Task"]["task_state"] == 201
    assert claim(store, "a") == []
    store.retry_task(message.task_id, now=NOW)
    with pytest.raises(ConflictError, match="nothing to retry"):
        store.retry_task(message.task_id, now=NOW)
    assert len(claim(store, "a")) == 1
    assert job_id in store.job_ids(JobFilter(state="open"), cursor=None, limit=10).items


def test_a_deleted_job_is_gone_and_its_result_harmless(store: SqlStore) -> None:
    [job_id] = submitted(store, spec())
    [message] = claim(store, "a")
    store.delete(job_id)
    assert store.record([result_of(message)], now=NOW) == []
    with pytest.raises(NotFoundError):
        store.job(job_id)
    with pytest.raises(NotFoundError):
        store.job_of_task(message.task_id)
