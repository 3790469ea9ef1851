"""Jobs as pages look for them, on every database."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from haste_core.job_lists import JobSearch
from haste_core.routing import Route
from haste_core.states import TaskState
from haste_server.store import job_lists, workers
from haste_server.store.sql import SqlStore
from tests.contract.store_bench import NOW, claim, result_of, run, spec, submitted
from tests.contract.test_looking_up import on_sqlite, plans_of

TWO = {"taskSequential": ["a", "b"]}


@pytest.fixture
def plate(store: SqlStore) -> list[int]:
    """Have jobs that failed, are done, run, wait for the second task, wait, and are held; return them."""
    names = ["Failed", "Done", "Running", "Half", "Waiting"]
    job_ids = submitted(
        store, *(spec(TWO, source_id=f"{name} 50%", stream_id="s", index=n) for n, name in enumerate(names))
    )
    failed, done, running, half = claim(store, limit=4)
    store.record(
        [result_of(failed, TaskState.BAD_INPUT, message="no Good"), result_of(done), result_of(half)], now=NOW
    )
    (b_done,) = claim(store, "b", limit=1)
    store.record([result_of(b_done)], now=NOW)
    assert running.job_id == job_ids[2]
    (held,) = submitted(store, spec("c", source_id="Ünheld", stream_id="t"))
    store.reset_task(store.job(held).tasks[0].task_id, now=NOW)
    return [*job_ids, held]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (JobSearch(), [5, 4, 3, 2, 1, 0]),
        (JobSearch(state="open"), [5, 4, 3, 2]),
        (JobSearch(state="failed"), [0]),
        (JobSearch(state=502), [0]),
        (JobSearch(state="done"), [1]),
        (JobSearch(state=102), [2]),
        (JobSearch(state=102, stream_id="t"), []),
        (JobSearch(state=102, stream_id="s"), [2]),
        (JobSearch(state=205), [5]),
        (JobSearch(stream_id="t"), [5]),
        (JobSearch(task_key="b"), [4, 3, 2, 1, 0]),
        (JobSearch(task_key="a", state="failed"), [0]),
        (JobSearch(task_key="b", state="failed"), []),
        (JobSearch(task_key="a", state="open"), [4, 2]),
        (JobSearch(text="NO g"), [0]),
        (JobSearch(text="waiting"), [4]),
        (JobSearch(text="0%"), [4, 3, 2, 1, 0]),
        (JobSearch(text="ing_"), []),
        (JobSearch(text="Ün"), [5]),
        (JobSearch(text="50", state="failed", stream_id="s", task_key="a"), [0]),
        (JobSearch(state="failed", projects=("default",)), [0]),
        (JobSearch(state=102, projects=("other", "default")), [2]),
        (JobSearch(projects=("other",)), []),
        (JobSearch(state=102, projects=("other",)), []),
    ],
)
def test_jobs_are_found_the_newest_first(
    store: SqlStore, plate: list[int], wanted: JobSearch, found: list[int]
) -> None:
    names, cursor = [], None
    for _ in range(9):
        page = store.find_jobs(wanted, cursor=cursor, limit=2)
        names += [plate.index(line.job_id) for line in page.lines]
        cursor = page.next
        if cursor is None:
            break
    assert names == found


def test_a_line_tells_how_its_job_stands(store: SqlStore, plate: list[int]) -> None:
    lines = {line.job_id: line for line in store.find_jobs(JobSearch(), cursor=None, limit=9).lines}
    told = [lines[job_id].telling for job_id in plate]

    assert [(task.task_key, int(task.state)) if task else None for task in told] == [
        ("a", 502),
        None,
        ("a", 102),
        ("b", 201),
        ("a", 201),
        ("c", 205),
    ]
    assert lines[plate[2]].state is TaskState.RUNNING
    assert (lines[plate[0]].ended_at, lines[plate[4]].ended_at) == (NOW, None)


def test_a_search_without_end_stops_and_tells_where(
    store: SqlStore, plate: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_lists, "LOOKED_AT", 3)
    monkeypatch.setattr(job_lists, "_FIRST_LOOK", 1)
    wanted = JobSearch(text="failed")

    first = store.find_jobs(wanted, cursor=None, limit=9)
    rest = store.find_jobs(wanted, cursor=first.next, limit=9)

    assert (first.lines, first.looked_at, first.next) == ([], 3, str(plate[3]))
    assert [line.job_id for line in rest.lines] == [plate[0]]


def test_failures_and_what_can_be_held_are_found(store: SqlStore, plate: list[int]) -> None:
    (failure,) = store.latest_failures(JobSearch(), limit=10)
    assert (failure.job_id, failure.task_key, failure.message) == (plate[0], "a", "no Good")
    assert store.latest_failures(JobSearch(task_key="b"), limit=10) == []

    held = store.tasks_to_hold(plate, task_key=None)

    assert {plate.index(job_id) for job_id in held} == {0, 3, 4}
    assert store.tasks_to_hold(plate, task_key="b").keys() == {plate[3]}
    assert store.tasks_to_hold([], task_key=None) == {}


def test_the_jobs_of_tasks_are_found(store: SqlStore, plate: list[int]) -> None:
    task_id = store.job(plate[2]).tasks[1].task_id

    found = store.jobs_of_tasks([task_id, 10**6])

    assert {task_id: "Running 50%"} == {number: line.source_id for number, line in found.items()}
    assert store.jobs_of_tasks([]) == {}


def test_queues_are_counted_up_to_a_limit(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    submitted(store, *(spec("a", source_id=f"A{number}", stream_id="s") for number in range(5)), now=NOW - 9)
    submitted(store, spec("b", source_id="B", stream_id="s", site="lab1"))
    claim(store, limit=1)
    monkeypatch.setattr(workers, "COUNTED_UP_TO", 3)

    first, second = store.queues()

    assert (first.route, first.ready, first.handed_out, first.more) == (Route("a", "default"), 3, 1, True)
    assert first.oldest_ready_at == NOW - 9
    assert (second.route, second.ready, second.more) == (Route("b", "lab1"), 1, False)
    run(store)
    first, second = store.queues()
    assert (first.ready, first.handed_out, first.oldest_ready_at) == (0, 1, None)


@on_sqlite
@pytest.mark.parametrize(
    "wanted",
    [
        JobSearch(),
        JobSearch(stream_id="s"),
        JobSearch(state="open"),
        JobSearch(state=102, stream_id="s"),
        JobSearch(state=201),
        JobSearch(state="failed", stream_id="s", task_key="a"),
        JobSearch(text="x", stream_id="s"),
    ],
)
def test_no_search_reads_all_jobs_or_tasks(store: SqlStore, wanted: JobSearch) -> None:
    submitted(store, spec("a", stream_id="s"))
    plans = plans_of(store, lambda: (store.find_jobs(wanted, cursor="9", limit=2), store.queues()))
    assert "SEARCH jobs" in plans
    assert "SCAN jobs" not in plans
    assert "SCAN tasks" not in plans


@pytest.mark.parametrize("store", ["mariadb"], indirect=True)
def test_searches_are_cheap_on_mariadb_too(store: SqlStore) -> None:
    count = 3000
    submitted(store, *(spec("a", source_id=f"A{number}", stream_id="s") for number in range(count)))
    with store.database.engine.begin() as connection:
        connection.exec_driver_sql("ANALYZE TABLE jobs, tasks").all()
    with counting_reads(store) as read:
        for state in ("open", 102, "failed", 201):
            store.find_jobs(JobSearch(state=state, stream_id="s"), cursor=None, limit=50)
        store.newest_open(cursor=None, limit=5)
    assert 200 < read[0] < count // 3


@contextmanager
def counting_reads(store: SqlStore) -> Iterator[list[int]]:
    """Count the rows and index entries that MariaDB reads."""
    read = [0]

    def note(sign: int) -> Callable[..., None]:
        def look(connection: Connection, *_: object) -> None:
            with connection.connection.cursor() as cursor:
                cursor.execute("SHOW SESSION STATUS LIKE 'Handler_read%'")
                read[0] += sign * sum(int(value) for _, value in cursor.fetchall())

        return look

    listeners = {"before_cursor_execute": note(-1), "after_cursor_execute": note(1)}
    for name, listener in listeners.items():
        sa.event.listen(store.database.engine, name, listener)
    yield read
    for name, listener in listeners.items():
        sa.event.remove(store.database.engine, name, listener)
