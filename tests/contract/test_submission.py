"""What every database must do with the jobs and streams that are submitted, once or again."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Thread

import pytest
import sqlalchemy as sa

from haste_core.errors import ConflictError
from haste_core.pipelines import Pipeline
from haste_core.stores import JobFilter, Refused, Submitted
from haste_server.store.idempotency import KEYS_KEPT_S, Call
from haste_server.store.schema import idempotency_keys
from haste_server.store.sql import SqlStore
from tests.contract.store_bench import NOW, PIPELINE, spec, submitted

_KEYS = sa.select(idempotency_keys.c.idempotency_key)


def test_a_spec_is_read_back_as_it_was_submitted(store: SqlStore) -> None:
    asked = spec(
        {"taskSequential": ["a", {"taskParallel": ["b", "c"]}]},
        source_id="Ü/é b.tif",
        index=2,
        metadata={"channel": "DAPI", "deep": [1, {"x": None}]},
        location=[1, 2],
        timestamp=12.5,
    )
    [job_id] = submitted(store, asked)
    assert store.job(job_id).spec == asked


def test_a_version_of_a_source_is_stored_once(store: SqlStore) -> None:
    first = spec(source_version="1")
    [job_id] = submitted(store, first)
    answers = store.submit([first, spec(source_version="2"), spec(source_version="2")], now=NOW)
    assert [(answer.job_id == job_id, answer.created) for answer in answers] == [
        (True, False),
        (False, True),
        (False, False),
    ]
    assert answers[1].job_id == answers[2].job_id


def test_sources_without_a_version_may_be_submitted_again(store: SqlStore) -> None:
    assert len(set(submitted(store, spec(), spec()))) == 2


def test_case_matters_in_the_names_of_sources(store: SqlStore) -> None:
    lower, upper = spec(source_id="a01", source_version="1"), spec(source_id="A01", source_version="1")
    assert len(set(submitted(store, lower, upper))) == 2


def test_clients_that_submit_the_same_source_at_once_get_one_job(store: SqlStore) -> None:
    barrier, ids = Barrier(6), []

    def submit() -> None:
        barrier.wait()
        [answer] = store.submit([spec(source_version="1")], now=NOW)
        ids.append(answer.job_id)

    threads = [Thread(target=submit) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ids) == 6
    assert len(set(ids)) == 1


def test_the_numbers_of_deleted_jobs_are_never_given_again(store: SqlStore) -> None:
    [first] = submitted(store, spec())
    task_id = store.job(first).tasks[0].task_id
    store.delete(first)
    [second] = submitted(store, spec())
    assert second > first
    assert store.job(second).tasks[0].task_id > task_id


def test_many_jobs_at_once_get_numbers_of_their_own_in_their_order(store: SqlStore) -> None:
    def of_some(*names: str) -> list[int]:
        return submitted(store, *(spec({"taskSequential": [name, "z"]}, source_id=name) for name in names))

    first = of_some("a", "b", "c")
    task_ids = [task.task_id for job_id in first for task in store.job(job_id).tasks]
    for job_id in first:
        store.delete(job_id)
    second = [*of_some("d", "e"), *of_some("f")]

    assert second == sorted(set(second))
    assert min(second) > max(first)
    jobs = [store.job(job_id) for job_id in second]
    assert [(job.spec.source_id, job.tasks[0].task_key) for job in jobs] == [
        ("d", "d"),
        ("e", "e"),
        ("f", "f"),
    ]
    later = [task.task_id for job in jobs for task in job.tasks]
    assert later == sorted(set(later))
    assert min(later) > max(task_ids)


def test_an_idempotency_key_repeats_the_first_answer(store: SqlStore) -> None:
    [first] = store.submit([spec()], now=NOW, idempotency_key="k")
    [second] = store.submit([spec()], now=NOW, idempotency_key="k")
    assert (second.job_id, second.created) == (first.job_id, False)
    with pytest.raises(ConflictError):
        store.submit([spec(source_id="other")], now=NOW, idempotency_key="k")


def test_an_idempotency_key_whose_job_was_deleted_makes_a_new_job(store: SqlStore) -> None:
    bad = spec("tier", source_id="bad")
    call = [spec(), spec(source_id="y"), bad]
    kept, deleted, _ = store.submit(call, now=NOW, idempotency_key="k")
    store.delete(deleted.job_id)

    same, fresh, refused = store.submit(call, now=NOW + 1, idempotency_key="k")

    assert (same.job_id, same.created) == (kept.job_id, False)
    assert fresh.created
    assert store.job(fresh.job_id).spec.source_id == "y"
    assert isinstance(refused, Refused)
    again = store.submit(call, now=NOW + 2, idempotency_key="k")
    assert [item.job_id for item in again[:2]] == [kept.job_id, fresh.job_id]
    with pytest.raises(ConflictError):
        store.submit([spec(source_id="other")], now=NOW, idempotency_key="k")


def test_of_two_repeated_calls_whose_job_was_deleted_one_makes_the_new_job(store: SqlStore) -> None:
    [first] = store.submit([spec()], now=NOW, idempotency_key="k")
    store.delete(first.job_id)
    barrier, answers = Barrier(4), []

    def repeat() -> None:
        barrier.wait()
        answers.extend(store.submit([spec()], now=NOW, idempotency_key="k"))

    threads = [Thread(target=repeat) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({answer.job_id for answer in answers}) == 1
    assert [answer.created for answer in answers].count(True) == 1


def test_single_jobs_that_come_at_once_are_stored_once_each_and_answered_with_their_own(
    store: SqlStore,
) -> None:
    """Also where calls are repeated while they run, name a known source, or misuse a key."""
    [known] = submitted(store, spec(source_id="known", source_version="1"))
    store.submit([spec(source_id="first")], now=NOW, idempotency_key="taken")

    def submit(number: int) -> tuple[str, int]:
        if number % 10 == 0:
            with pytest.raises(ConflictError, match="another request"):
                store.submit([spec(source_id="second")], now=NOW, idempotency_key="taken")
        if number % 10 == 1:
            [again] = store.submit([spec(source_id="known", source_version="1")], now=NOW)
            assert (again.job_id, again.created) == (known, False)
        source_id = f"image {number // 2}"
        key = f"of {number // 2}" if number % 4 < 2 else None  # a repeated call, or another job
        [answer] = store.submit([spec(source_id=source_id)], now=NOW, idempotency_key=key)
        return source_id, answer.job_id

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(submit, range(200)))

    assert all(store.job(job_id).spec.source_id == source_id for source_id, job_id in answers)
    assert len({job_id for _, job_id in answers}) == 150
    assert len(store.jobs(JobFilter(), cursor=None, limit=1000).items) == 150 + 2


def test_an_idempotency_key_is_forgotten_after_a_day(store: SqlStore) -> None:
    [first] = store.submit([spec()], now=NOW, idempotency_key="k")

    [second] = store.submit([spec(source_id="other")], now=NOW + KEYS_KEPT_S + 1, idempotency_key="k")

    assert second.created
    assert second.job_id != first.job_id


def test_old_idempotency_keys_do_not_gather(store: SqlStore) -> None:
    for number in range(300):
        store.submit([spec(source_version="1")], now=NOW, idempotency_key=f"old {number}")
    for number in range(200):
        store.submit([spec(source_version="1")], now=NOW + 2 * KEYS_KEPT_S, idempotency_key=f"new {number}")

    kept = store.database.read(lambda connection: connection.scalars(_KEYS).all())
    assert sorted(kept) == sorted(f"new {number}" for number in range(200))


def test_old_idempotency_keys_of_calls_that_came_together_do_not_gather(store: SqlStore) -> None:
    for age, now in (("old", NOW), ("new", NOW + 2 * KEYS_KEPT_S)):
        for start in range(0, 320, 16):
            keys = [f"{age} {number}" for number in range(start, start + 16)]
            store._store_calls([Call([spec(source_version="1")], now, key) for key in keys])

    kept = store.database.read(lambda connection: connection.scalars(_KEYS).all())
    assert sorted(kept) == sorted(f"new {number}" for number in range(320))


def test_a_score_that_cannot_be_made_is_refused_at_once(store: SqlStore) -> None:
    bare = Pipeline.parse({"name": "bare", "description": "No score", "tasks": "a"})
    store.create_stream("s", bare, "observe", now=NOW)
    good, bad = store.submit([spec("a", stream_id="s"), spec("tier", stream_id="s")], now=NOW)
    assert isinstance(good, Submitted)
    assert isinstance(bad, Refused)
    assert "interestingness" in bad.problems[0].what


@pytest.mark.parametrize(
    "tasks",
    [
        "tier",
        {"taskSequential": ["tier", "focus-score"]},
        {"taskSequential": ["focus-score", {"Task": {"task_key": "b", "priority_from": "nope"}}]},
    ],
)
def test_a_score_of_what_does_not_come_before_is_refused(store: SqlStore, tasks: object) -> None:
    [answer] = store.submit([spec(tasks)], now=NOW)
    assert isinstance(answer, Refused)
    assert "no task before it" in answer.problems[0].what


def test_streams_are_joined_by_those_who_mean_the_same(store: SqlStore) -> None:
    stream, created = store.create_stream("s", PIPELINE, "observe", now=NOW)
    assert created
    assert store.create_stream("s", PIPELINE, "observe", now=NOW + 1) == (stream, False)
    with pytest.raises(ConflictError, match="in mode 'observe'"):
        store.create_stream("s", PIPELINE, "enforce", now=NOW)
    edited = PIPELINE.model_copy(update={"parameters": {"focus-score": {"bits": 16}}})
    with pytest.raises(ConflictError, match="'focus-tier' as it was then; since then its parameters changed"):
        store.create_stream("s", edited, "observe", now=NOW)
    assert store.stream("s").pipeline == PIPELINE
    assert [item.stream_id for item in store.streams(cursor=None, limit=10).items] == ["s"]


def test_who_names_no_mode_joins_a_stream_in_either(store: SqlStore) -> None:
    stream, created = store.create_stream("s", PIPELINE, None, now=NOW)
    assert (stream.mode, created) == ("observe", True)
    store.set_mode("s", "enforce")
    stream, created = store.create_stream("s", PIPELINE, None, now=NOW)
    assert (stream.mode, created) == ("enforce", False)
