"""Originals that came by upload, and whose copies in tiers stand for them from then on, on every database."""

from typing import Any

import pytest

from haste_core.decisions import Decision
from haste_core.messages import Place, TaskMessage
from haste_core.states import TaskState
from haste_server.store.sql import SqlStore
from tests.contract.store_bench import NOW, claim, result_of, spec, submitted
from tests.contract.test_leaving import moving

SHA256 = "a" * 64
UPLOAD = f"root://landing/s/aa/{SHA256}.tif"
COPY = Place(url="file:///hot/x.tif", site="default", sha256=SHA256, size_bytes=7)
TASKS = {"taskSequential": ["focus-score", "tier"]}


def handed_out(store: SqlStore, *, move: bool = True, stream: str = "s", **more: Any) -> TaskMessage:
    """Submit an uploaded object to a stream that enforces, up to the hand-out of its `tier` task."""
    store.create_stream(stream, moving(move), "enforce", now=NOW)
    submitted(store, spec(TASKS, stream_id=stream, source_url=UPLOAD, **more))
    [scoring] = claim(store, "focus-score")
    store.record([result_of(scoring, response={"plls": -1.0})], now=NOW)
    [waiting] = store.undecided(limit=10, now=NOW)
    store.record_decisions([(waiting, Decision(0.2, "hot", "why", SHA256, {}))], now=NOW)
    [message] = claim(store, "tier")
    return message


def copied(store: SqlStore, *, place: Place = COPY, **more: Any) -> int:
    """Have an uploaded object put to its tier; return its job."""
    message = handed_out(store, **more)
    store.record([result_of(message, place=place, response={"n": 1})], now=NOW)
    assert store.job(message.job_id).state is TaskState.DONE
    return message.job_id


def test_an_uploads_copy_stands_for_it_from_then_on(store: SqlStore) -> None:
    job_id = copied(store)

    assert store.leave_originals([UPLOAD, "root://landing/s/bb/unknown.tif"]) == {UPLOAD}

    job = store.job(job_id)
    assert job.state is TaskState.DONE
    assert job.place == COPY.model_copy(update={"moved": True})
    assert store.leave_originals([UPLOAD]) == {UPLOAD}  # asked again after a crash
    store.force_retry_task(job.tasks[0].task_id, now=NOW)
    [again] = claim(store, "focus-score")
    assert again.place.url == COPY.url


def test_a_later_job_that_names_it_is_told_where_it_is(store: SqlStore) -> None:
    job_id = copied(store)
    store.leave_originals([UPLOAD])
    submitted(store, spec(stream_id="t", source_url=UPLOAD))
    [late] = claim(store)

    told = result_of(late, TaskState.SOURCE_MISSING, message="there is no file")
    store.record([told], now=NOW)

    [task] = store.job(late.job_id).tasks
    assert task.message == (
        f"there is no file; job {job_id} of stream 's' has moved it to {COPY.url}. "
        "To go on with it, submit it from there"
    )


@pytest.mark.parametrize("stream", ["s", "t"])
def test_it_stays_until_all_its_jobs_have_copies(store: SqlStore, stream: str) -> None:
    first = copied(store)
    second = handed_out(store, stream=stream, source_id="of the same content")

    assert store.leave_originals([UPLOAD]) == set()
    assert store.job(first).place == COPY
    store.record([result_of(second, place=COPY, response={"n": 1})], now=NOW)

    assert store.leave_originals([UPLOAD]) == {UPLOAD}
    for job_id in (first, second.job_id):
        assert store.job(job_id).place == COPY.model_copy(update={"moved": True})


def test_it_stays_where_a_policy_does_not_move(store: SqlStore) -> None:
    copied(store)
    copied(store, move=False, stream="t")

    assert store.leave_originals([UPLOAD]) == set()


def test_it_stays_while_its_job_may_read_it(store: SqlStore) -> None:
    job_id = copied(store)
    store.force_retry_task(store.job(job_id).tasks[0].task_id, now=NOW)
    assert store.leave_originals([UPLOAD]) == set()
    [again] = claim(store, "focus-score")
    assert again.place.url == UPLOAD
    store.record([result_of(again, TaskState.BAD_INPUT, message="no image")], now=NOW)
    assert store.leave_originals([UPLOAD]) == set()


@pytest.mark.parametrize(
    "place",
    [
        COPY.model_copy(update={"sha256": "b" * 64}),  # made smaller before
        COPY.model_copy(update={"sha256": None}),
        None,  # the stream observes
        Place(url=UPLOAD, site="default", sha256=SHA256),
    ],
)
def test_it_stays_where_its_copy_is_another_or_nowhere(store: SqlStore, place: Any) -> None:
    copied(store, place=place)

    assert store.leave_originals([UPLOAD]) == set()


def test_it_stays_where_a_task_of_a_user_put_it_elsewhere(store: SqlStore) -> None:
    store.create_stream("s", moving(True), "enforce", now=NOW)
    submitted(store, spec("a", stream_id="s", source_url=UPLOAD))
    [message] = claim(store)
    store.record([result_of(message, place=COPY)], now=NOW)

    assert store.leave_originals([UPLOAD]) == set()
