"""What every selector promises, whatever it prefers, and what each one prefers."""

import time
from collections.abc import Callable, Sequence

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from haste_core.jobspec import JobSpec
from haste_core.messages import TaskMessage
from haste_core.ports import Selector
from haste_core.routing import Route
from haste_core.states import TaskState
from haste_server.engine.attendance import Window
from haste_server.engine.dispatcher import Dispatcher
from haste_server.engine.edge_selector import EdgeSelector
from haste_server.metrics.counts import Counts
from haste_server.store.choosing import SELECTORS
from haste_server.store.edge import EdgeTasks
from haste_server.store.sql import SqlStore
from tests.contract import store_bench
from tests.contract.store_bench import NOW, run, submitted, tasks_of

# A key of which all may choose; images that are not to be sent go in the order in which they came.
KEY = "preprocess"
ROUTE = Route(KEY, "default")
LATER = NOW + 10_000


def spec(tasks: object = KEY, **more: object) -> JobSpec:
    return store_bench.spec(tasks, **more)


@pytest.fixture(params=[*sorted(SELECTORS), "edge"])
def selector(request: pytest.FixtureRequest, store: SqlStore) -> Selector:
    if request.param != "edge":
        return SELECTORS[request.param](store.database)
    edge = EdgeSelector(EdgeTasks(store.database), clock=lambda: NOW)
    edge.choose(ROUTE, 1, now=NOW)
    edge.step()  # reads what is there
    return edge


def test_only_ready_tasks_of_the_queue_are_chosen_each_once(store: SqlStore, selector: Selector) -> None:
    ready = submitted(store, *(spec(source_id=str(i)) for i in range(5)))
    submitted(store, spec("b"), spec({"taskSequential": ["b", KEY]}), spec(site="hpc"))

    chosen = selector.choose(ROUTE, 100, now=NOW)

    assert sorted(chosen) == [task.task_id for task in tasks_of(store, *ready)]
    assert selector.choose(Route("nobody", "default"), 5, now=NOW) == []


def test_never_more_than_there_are_free_slots_and_the_best_ones_first(
    store: SqlStore, selector: Selector
) -> None:
    submitted(store, *(spec(source_id=str(i), priority=i % 3) for i in range(9)))
    everything = selector.choose(ROUTE, 9, now=NOW)
    assert [selector.choose(ROUTE, count, now=NOW) for count in (1, 4)] == [everything[:1], everything[:4]]


def test_what_was_chosen_is_claimed_in_that_order_if_it_is_still_ready(
    store: SqlStore, selector: Selector
) -> None:
    job_ids = submitted(store, *(spec(source_id=str(i), priority=i % 2) for i in range(6)))
    chosen = selector.choose(ROUTE, 4, now=NOW)
    taken = store.job_of_task(chosen[1])[0].job_id
    store.cancel_job(taken, now=NOW)

    messages = store.claim_chosen(ROUTE, chosen, now=NOW, lease_s=30)

    assert [message.task_id for message in messages] == [chosen[0], *chosen[2:]]
    assert {message.attempt for message in messages} == {1}
    assert store.claim_chosen(ROUTE, chosen, now=NOW, lease_s=30) == []
    assert store.claim_chosen(ROUTE, [], now=NOW, lease_s=30) == []
    left = {job_id for job_id in job_ids if store.job(job_id).tasks[0].attempt == 0} - {taken}
    rest = selector.choose(ROUTE, 9, now=NOW)
    assert {store.job_of_task(task_id)[0].job_id for task_id in rest} == left


class _Workers:
    """One worker with a free slot, at a broker that takes everything."""

    def __init__(self) -> None:
        self.published: list[TaskMessage] = []

    def is_up(self) -> bool:
        return True

    def publish(self, messages: Sequence[TaskMessage], *, together: int = 1) -> None:
        self.published += messages

    def windows(self, *, now: float) -> dict[Route, Window]:
        return {ROUTE: Window(size=1, slots=1, together=1)}


def test_a_slot_whose_task_was_cancelled_as_it_was_chosen_is_filled_at_once(
    store: SqlStore, selector: Selector, monkeypatch: pytest.MonkeyPatch
) -> None:
    submitted(store, *(spec(source_id=str(i)) for i in range(3)))
    choose, cancelled = selector.choose, []

    def choose_and_cancel(route: Route, free_slots: int, *, now: float) -> list[int]:
        chosen = choose(route, free_slots, now=now)
        if not cancelled:
            cancelled.append(store.job_of_task(chosen[0])[0].job_id)
            store.cancel_job(cancelled[0], now=NOW)
        return chosen

    monkeypatch.setattr(selector, "choose", choose_and_cancel)
    workers = _Workers()
    dispatcher = Dispatcher(
        store=store,
        broker=workers,
        attendance=workers,
        selectors={KEY: selector},
        lease_s=30,
        counts=Counts(),
        clock=lambda: NOW,
    )
    dispatcher.wake()
    dispatcher.step()
    assert [message.job_id for message in workers.published] != cancelled
    assert len(workers.published) == 1


def test_optional_tasks_are_overtaken_as_ever(store: SqlStore, selector: Selector) -> None:
    tree = {"taskSequential": [{"Task": {"task_key": "pre", "optional": True}}, KEY]}
    [job_id] = submitted(store, spec(tree))
    [message] = store.claim_chosen(ROUTE, selector.choose(ROUTE, 1, now=NOW), now=NOW, lease_s=30)
    assert message.task_key == KEY
    assert [task.state for task in tasks_of(store, job_id)] == [TaskState.SKIPPED, TaskState.RUNNING]


def test_highest_rank_chooses_as_a_plain_claim_does(store: SqlStore) -> None:
    for priority, index in ((1.0, 3), (1.0, 2), (9.0, 7), (1.0, None)):
        numbered = {} if index is None else {"index": index}
        submitted(store, spec(source_id=f"{priority} {index}", priority=priority, **numbered))
    chosen = SELECTORS["highest-rank"](store.database).choose(ROUTE, 4, now=NOW)
    claimed = store.claim(ROUTE, 4, now=NOW, lease_s=30)
    assert chosen == [message.task_id for message in claimed]


def test_newest_first_takes_the_latest_image_whatever_the_backlog_s_rank(store: SqlStore) -> None:
    old = submitted(store, *(spec(source_id=f"old {i}", priority=9) for i in range(3)))
    new = submitted(store, *(spec(source_id=f"new {i}") for i in range(2)), now=NOW + 1)
    later = submitted(store, spec({"taskSequential": ["z", KEY]}, source_id="later"), now=NOW)
    run(store, "z")
    chosen = SELECTORS["newest-first"](store.database).choose(ROUTE, 9, now=NOW + 1)
    order = [store.job_of_task(task_id)[0].job_id for task_id in chosen]
    assert order == [*reversed(new), *later, *reversed(old)]


def test_choosing_reads_no_more_of_the_backlog_than_it_chooses(store: SqlStore, selector: Selector) -> None:
    for start in range(0, 3000, 1000):
        submitted(store, *(spec(source_id=str(start + i)) for i in range(1000)), now=NOW + start)
    selector.choose(ROUTE, 1, now=LATER)  # those that keep images in mind read them once
    read = rows_read if not store.database.is_sqlite else None
    plan = plan_of(store, selector)
    if read is None:
        assert "USE TEMP B-TREE" not in plan
        assert "ix_tasks_" in plan
    else:
        assert "filesort" not in plan.lower()
        assert read(store, lambda: selector.choose(ROUTE, 5, now=LATER)) < 50


def plan_of(store: SqlStore, selector: Selector) -> str:
    """Return how the database would find what the selector asks for."""
    statements: list[tuple[str, object]] = []

    def note(_connection: object, _cursor: object, statement: str, parameters: object, *_: object) -> None:
        statements.append((statement, parameters))

    sa.event.listen(store.database.engine, "before_cursor_execute", note)
    selector.choose(ROUTE, 5, now=LATER)
    sa.event.remove(store.database.engine, "before_cursor_execute", note)
    statement, parameters = next(item for item in statements if item[0].startswith("SELECT"))
    explain = "EXPLAIN QUERY PLAN " if store.database.is_sqlite else "EXPLAIN "
    with store.database.engine.connect() as connection:
        rows = connection.exec_driver_sql(explain + statement, parameters).all()
    return "\n".join(map(str, rows))


def rows_read(store: SqlStore, work: Callable[[], object]) -> int:
    """Count the rows that MariaDB reads meanwhile, of all its clients."""

    def count(connection: Connection) -> int:
        names = "'Handler_read_key', 'Handler_read_next', 'Handler_read_prev', 'Handler_read_rnd_next'"
        found = connection.exec_driver_sql(f"SHOW GLOBAL STATUS WHERE Variable_name IN ({names})").all()
        return sum(int(row[1]) for row in found)

    with store.database.engine.connect() as connection:
        before = count(connection)
        work()
        time.sleep(0)
        own = count(connection)
        overhead = count(connection) - own
    return own - before - overhead
