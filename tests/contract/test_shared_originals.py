"""Jobs of one file, in one stream or several, of which some move it away, on every database."""

from dataclasses import replace

import pytest

from haste_core.messages import TaskMessage
from haste_core.states import TaskState
from haste_server.store import leaving
from haste_server.store.sql import SqlStore
from tests.contract.store_bench import NOW, claim, result_of, spec, submitted
from tests.contract.test_leaving import ORIGINAL, copied, handed_out


def removed(store: SqlStore) -> None:
    """Let the second half of a move be done."""
    [second] = claim(store, "tier")
    assert second.leaving is not None
    store.record([result_of(second, place=second.place, response={"removed": ORIGINAL})], now=NOW)


def missed(store: SqlStore, message: TaskMessage) -> tuple[TaskState, str]:
    """Record that a file is gone; return what becomes of the task."""
    told = result_of(message, TaskState.SOURCE_MISSING, message="there is no file /nas/x.tif")
    store.record([told], now=NOW)
    [task] = store.job(message.job_id).tasks
    return task.state, task.message


@pytest.mark.parametrize("stream", ["s", "t"])
def test_an_original_stays_until_the_other_jobs_of_the_file_have_ended(store: SqlStore, stream: str) -> None:
    copied(store, handed_out(store))
    submitted(store, spec(stream_id=stream, source_id="called otherwise"))
    [second] = claim(store, "tier")
    assert second.leaving is None


def test_an_original_goes_where_no_other_job_wants_it(store: SqlStore) -> None:
    [ended] = submitted(store, spec(stream_id="t"))
    submitted(store, spec(stream_id="t", source_url="root://nas/y.tif"))
    store.cancel_job(ended, now=NOW)
    left = copied(store, handed_out(store))
    [second] = claim(store, "tier")
    assert second.leaving == left


@pytest.mark.parametrize(("others", "stays"), [(2, True), (1, False)])
def test_an_original_with_too_many_open_jobs_to_look_at_each_stays(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch, others: int, stays: bool
) -> None:
    monkeypatch.setattr(leaving, "MOST_OPEN", 2)
    monkeypatch.setattr(leaving, "MOST_OPEN_OF_ONE", 3)
    # They have moved what they were to move already, which is not looked at any more.
    monkeypatch.setattr(leaving, "_needs", lambda *_: False)
    copied(store, handed_out(store))
    submitted(store, *(spec(stream_id="t", source_id=f"as {number}") for number in range(others)))
    [second] = claim(store, "tier")
    assert (second.leaving is None) is stays


def test_a_task_that_comes_too_late_tells_where_its_file_is(store: SqlStore) -> None:
    first = handed_out(store)
    copied(store, first)
    removed(store)
    submitted(store, spec(stream_id="t", source_id="a"), spec(stream_id="t", source_id="b"))
    early, late = claim(store)
    state, told = missed(store, early)
    assert state is TaskState.SOURCE_MISSING
    assert told == (
        f"there is no file /nas/x.tif; job {first.job_id} of stream 's' has moved it to file:///hot/x.tif. "
        "To go on with it, submit it from there"
    )
    store.redecide_one(
        first.job_id, lambda it: replace(it, tier="cold"), origin="recall", made_by=None, now=NOW
    )
    store.start_moves(limit=10, now=NOW)
    [message] = claim(store, "tier")
    copied(store, message, "cold")
    assert "has moved it to file:///cold/x.tif" in missed(store, late)[1]


def test_a_file_that_is_just_being_removed_is_looked_for_again(store: SqlStore) -> None:
    first = handed_out(store)
    copied(store, first)
    [second] = claim(store, "tier")
    submitted(store, spec(stream_id="t"))
    state, told = missed(store, *claim(store))
    assert (state, f"job {first.job_id} of stream 's' is moving it" in told) == (TaskState.REGISTERED, True)
    store.record([result_of(second, place=second.place, response={"removed": ORIGINAL})], now=NOW)
    store.release_due(now=NOW + 100)
    [again] = claim(store, now=NOW + 100)
    assert missed(store, again)[0] is TaskState.SOURCE_MISSING


def test_a_file_that_nobody_moved_is_just_missing(store: SqlStore) -> None:
    submitted(store, spec(stream_id="t"), spec(stream_id="u"))
    message, _ = claim(store)
    assert missed(store, message) == (TaskState.SOURCE_MISSING, "there is no file /nas/x.tif")
