"""Streams that are complete, on every database: what waits no longer, what opens them again."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from haste_core.errors import NotFoundError
from haste_core.states import TaskState
from haste_server.store import image_sets as module
from haste_server.store.sql import SqlStore
from tests.contract.store_bench import NOW, claim, result_of, run, spec, states, submitted
from tests.contract.test_alerting import FINISHED, SILENCE, judge, watch
from tests.contract.test_image_sets import Bench, on_one_database


def complete(store: SqlStore, at: float) -> float | None:
    return store.complete_stream("s", now=at).completed_at


def completed_at(store: SqlStore) -> float | None:
    [listed] = store.streams(cursor=None, limit=10).items
    assert listed == store.stream("s")
    return listed.completed_at


def test_a_stream_is_complete_until_an_image_comes(store: SqlStore) -> None:
    watch(store)
    assert completed_at(store) is None
    assert [complete(store, NOW + 1), complete(store, NOW + 2)] == [NOW + 1] * 2
    submitted(store, spec(stream_id="s", source_id="x", source_version="1"))
    assert completed_at(store) is None
    assert complete(store, NOW + 3) == NOW + 3

    [again] = store.submit([spec(stream_id="s", source_id="x", source_version="1")], now=NOW + 4)
    submitted(store, spec(stream_id="another"))
    assert not getattr(again, "created", True)
    assert store.stream("s").completed_at == NOW + 3, "nothing new came"

    [late] = submitted(store, spec(stream_id="s", source_id="x", source_version="2"))
    assert store.stream("s").completed_at is None
    store.delete(late)
    assert store.stream("s").completed_at == NOW + 3, "what opened it has gone"
    with pytest.raises(NotFoundError, match="'none'"):
        store.complete_stream("none", now=NOW)


def test_jobs_of_a_complete_stream_are_retried_cancelled_and_deleted(store: SqlStore) -> None:
    watch(store)
    failed, open_one, last = submitted(store, *(spec(stream_id="s", source_id=name) for name in "abc"))
    message = next(one for one in claim(store) if one.job["source_id"] == "a")
    store.record([result_of(message, TaskState.BAD_INPUT)], now=NOW)
    complete(store, NOW + 1)
    store.retry_job(failed, now=NOW + 2)
    run(store)
    store.cancel_job(open_one, now=NOW + 2)
    store.delete(last)
    assert states(store, failed, open_one) == [TaskState.DONE, TaskState.CANCELLED]
    assert completed_at(store) == NOW + 1


def test_a_complete_stream_is_not_silent_and_finished_when_all_has_ended(store: SqlStore) -> None:
    watch(store, FINISHED, SILENCE)
    submitted(store, *(spec(stream_id="s", source_id=name) for name in "ab"))
    complete(store, NOW + 1)
    assert judge(store, now=NOW + 9999) == []
    run(store, ended_at=NOW + 9999)
    [told] = judge(store, now=NOW + 9999.5)
    assert (told.rule, told.details["done"]) == ("finished", 2)
    assert "the stream is complete" in told.message
    assert store.watched() == []
    submitted(store, spec(stream_id="s", source_id="late"), now=NOW + 10_000)
    assert store.watched() == ["s"]
    assert [told.rule for told in judge(store, now=NOW + 10_600)] == ["silence"]


def test_a_stream_whose_jobs_were_cancelled_has_finished(store: SqlStore) -> None:
    watch(store, FINISHED)
    job_ids = submitted(store, *(spec(stream_id="s", source_id=name) for name in "abc"))
    assert store.act_on_jobs("cancel", job_ids, now=NOW) == [None] * 3
    assert judge(store, now=NOW + 1) == []
    complete(store, NOW + 2)
    [told] = judge(store, now=NOW + 2)
    assert told.details == {"done": 0, "failed": 3, "cancelled": 3}
    assert "3 of them cancelled" in told.message


def test_a_set_waits_no_longer_for_what_does_not_come(store: SqlStore) -> None:
    bench = Bench(store)
    bench.submit("DAPI", "GFP")
    bench.submit("DAPI", site=2)
    bench.score({"DAPI": 0.9, "GFP": 0.2})
    bench.decide()
    assert bench.tiers() == {}
    complete(store, NOW + 1)
    bench.decide()
    assert bench.tiers() == {"DAPI": ("hot", 0.9), "GFP": ("hot", 0.9)}
    assert all("incomplete (channel Cy5 missing)" in reason for reason in bench.reasons())
    bench.score({"DAPI": 0.3}, site=2)
    bench.decide()
    assert bench.tiers(site=2) == {"DAPI": ("warm", 0.3)}


@on_one_database
def test_a_stream_that_is_open_again_waits_again(store: SqlStore) -> None:
    bench = Bench(store)
    bench.submit("DAPI")
    complete(store, NOW + 1)
    bench.submit("GFP")
    bench.score({"DAPI": 0.9, "GFP": 0.2})
    bench.decide()
    assert bench.tiers() == {}
    bench.now += 61
    bench.decide()
    assert bench.tiers() == {"DAPI": ("hot", 0.9), "GFP": ("hot", 0.9)}


@pytest.mark.parametrize("end", ["scored", "failed", "deleted"])
@on_one_database
def test_what_was_submitted_is_waited_for(store: SqlStore, end: str) -> None:
    bench = Bench(store)
    jobs = bench.submit("DAPI", "GFP")
    complete(store, NOW + 1)
    bench.score({"DAPI": 0.9})
    bench.decide()
    assert bench.tiers() == {}
    if end == "deleted":
        store.delete(jobs["GFP"])
    else:
        bench.score({"GFP": 0.2 if end == "scored" else "failed"})
    bench.decide()
    there = ["DAPI", "GFP"] if end == "scored" else ["DAPI"]
    assert bench.tiers() == dict.fromkeys(there, ("hot", 0.9))


def test_a_set_that_was_looked_at_just_before_is_not_held(store: SqlStore) -> None:
    bench = Bench(store)
    bench.submit("DAPI")
    bench.score({"DAPI": 0.9})
    [item] = store.undecided(limit=10, now=NOW)
    name = (item.stream_id, item.set_key or "")
    seen = store.set_members([name])[name]
    complete(store, NOW)
    store.hold_sets([(name, seen, NOW + 60)])
    assert [one.task_id for one in store.undecided(limit=10, now=NOW)] == [item.task_id]

    now_seen = [replace(one, more_come=False) for one in seen]
    store.hold_sets([(name, now_seen, NOW + 60)])
    assert store.undecided(limit=10, now=NOW) == []


def test_who_completes_a_stream_while_a_set_is_held_lets_it_go(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(store)
    bench.submit("DAPI")
    bench.score({"DAPI": 0.9})
    [item] = store.undecided(limit=10, now=NOW)
    name = (item.stream_id, item.set_key or "")
    seen = store.set_members([name])[name]
    looked, as_seen = threading.Event(), module._as_seen

    def slow(*members: Any) -> Any:
        looked.set()
        time.sleep(0.1)  # so that completing has begun
        return as_seen(*members)

    monkeypatch.setattr(module, "_as_seen", slow)
    with ThreadPoolExecutor(1) as engine:
        held = engine.submit(store.hold_sets, [(name, seen, NOW + 60)])
        assert looked.wait(5)
        complete(store, NOW)
        held.result()
    assert [one.task_id for one in store.undecided(limit=10, now=NOW)] == [item.task_id]
