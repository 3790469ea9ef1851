"""What tells that something happened, on every database."""

from itertools import pairwise

from haste_core.events import JobCounts, StreamMark
from haste_core.pipelines import Pipeline
from haste_core.states import TaskState
from haste_server.store.sql import SqlStore
from tests.contract.store_bench import NOW, PIPELINE, claim, result_of, run, spec, submitted
from tests.contract.test_looking_up import on_sqlite, plans_of

WATCHED = Pipeline.parse({**PIPELINE.to_json(), "alerts": [{"rule": "finished", "settle_s": 10}]})


def mark(store: SqlStore, stream_id: str = "s") -> StreamMark:
    (found,) = store.stream_marks(stream_id)
    return found


def test_a_mark_changes_with_whatever_happens(store: SqlStore) -> None:
    store.create_stream("s", PIPELINE, "observe", now=NOW)
    store.create_stream("t", PIPELINE, "enforce", now=NOW)
    seen = [mark(store)]
    assert (seen[0].last_job_id, seen[0].last_end_at, seen[0].mode) == (0, None, "observe")
    first, second = submitted(store, *(spec("a", source_id=name, stream_id="s") for name in "AB"))
    seen.append(mark(store))
    assert (seen[-1].first_open_id, seen[-1].last_open_id, seen[-1].last_job_id) == (first, second, second)
    (task,) = claim(store, limit=1)
    seen.append(mark(store))
    assert seen[-1].running == 1
    store.record([result_of(task)], now=NOW + 1)
    seen.append(mark(store))
    assert seen[-1].last_end_at == NOW + 1
    for change in (
        lambda: store.reset_task(store.job(second).tasks[0].task_id, now=NOW),
        lambda: store.retry_job(second, now=NOW),
        lambda: store.cancel_job(second, now=NOW + 2),
        lambda: store.retry_job(second, now=NOW + 3),
        lambda: store.set_mode("s", "enforce"),
        lambda: store.complete_stream("s", now=NOW + 4),
    ):
        change()
        seen.append(mark(store))

    assert all(before != after for before, after in pairwise(seen))
    assert [one.stream_id for one in store.stream_marks(None)] == ["s", "t"]
    assert store.stream_marks("none") == []


def test_jobs_are_counted_as_everywhere(store: SqlStore) -> None:
    submitted(store, *(spec("a", source_id=f"A{number}", stream_id="s") for number in range(2)))
    run(store)
    submitted(store, *(spec("a", source_id=f"B{number}", stream_id="s") for number in range(3)))
    run(store, state=TaskState.BAD_INPUT)
    submitted(store, *(spec("a", source_id=f"C{number}", stream_id="s") for number in range(4)))

    assert store.job_counts("s") == JobCounts(open=4, done=2, failed=3)
    assert store.job_counts("none") == JobCounts(0, 0, 0)


def test_alerts_of_all_streams_are_listed_by_number(store: SqlStore) -> None:
    assert store.last_alert_id() == 0
    for name in ("s", "t"):
        store.create_stream(name, WATCHED, "observe", now=NOW)
        submitted(store, spec("a", source_id="A", stream_id=name))
        run(store)
        for later in (0, 20):
            store.judge(name, now=NOW + later, listening_since=0, fills={}, channels=["e-mail"])

    first, second = store.alerts_after(0, limit=9)

    assert (first.stream_id, second.stream_id) == ("s", "t")
    assert second.deliveries[0].channel == "e-mail"
    assert store.last_alert_id() == second.alert_id
    assert [one.alert_id for one in store.alerts_after(first.alert_id, limit=9)] == [second.alert_id]
    assert [one.alert_id for one in store.newest_open(cursor=None, limit=1).items] == [second.alert_id]
    assert store.newest_open(cursor=None, limit=1, projects=["default"]).items == [second]
    assert store.newest_open(cursor=None, limit=1, projects=["other"]).items == []
    older = store.newest_open(cursor=str(second.alert_id), limit=9)
    assert ([one.alert_id for one in older.items], older.next) == ([first.alert_id], None)
    assert mark(store, "t").open_alerts == 1
    store.acknowledge("t", second.alert_id, now=NOW)
    assert mark(store, "t").open_alerts == 0
    assert [one.alert_id for one in store.newest_open(cursor=None, limit=9).items] == [first.alert_id]


@on_sqlite
def test_looking_for_changes_reads_no_table(store: SqlStore) -> None:
    submitted(store, spec("a", stream_id="s"))
    plans = plans_of(store, lambda: (store.stream_marks(None), store.newest_open(cursor=None, limit=3)))
    assert "SCAN streams" in plans  # one step into each index for each
    for table in ("jobs", "tasks", "decisions", "alerts"):
        assert f"SCAN {table}" not in plans
