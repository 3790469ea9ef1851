"""Looking for several jobs at once reads these, and not all that there are."""

from collections.abc import Callable

import pytest
import sqlalchemy as sa

from haste_core.decisions import Decision
from haste_core.messages import Place
from haste_server.store.sql import SqlStore
from tests.contract.store_bench import NOW, PIPELINE, claim, result_of, spec, submitted

SOURCES = ("A01", "A02")

# MariaDB goes through a table that is as small as these, whatever its indexes.
on_sqlite = pytest.mark.parametrize("store", ["sqlite"], indirect=True)


def plans_of(store: SqlStore, work: Callable[[], object]) -> str:
    """Return how the database finds all that it is asked meanwhile."""
    asked: list[tuple[str, object]] = []

    def note(_connection: object, _cursor: object, statement: str, parameters: object, *_: object) -> None:
        if statement.startswith("SELECT"):
            asked.append((statement, parameters))

    sa.event.listen(store.database.engine, "before_cursor_execute", note)
    work()
    sa.event.remove(store.database.engine, "before_cursor_execute", note)
    with store.database.engine.connect() as connection:
        plans = [
            connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
            for statement, parameters in asked
        ]
    return "\n".join(str(row) for plan in plans for row in plan)


@on_sqlite
def test_handing_out_what_is_to_be_removed(store: SqlStore) -> None:
    store.create_stream("s", PIPELINE, "enforce", now=NOW)
    response = {"focus-score": {"plls": -1.0}}
    submitted(store, *(spec("tier", source_id=name, stream_id="s", response=response) for name in SOURCES))
    waiting = store.undecided(limit=10, now=NOW)
    store.record_decisions([(item, Decision(0.2, "hot", "why", "f" * 64, {})) for item in waiting], now=NOW)
    for message in claim(store, "tier"):
        place = Place(url=f"file:///hot/{message.job['source_id']}", site="default")
        store.record([result_of(message, place=place, leaving=message.place)], now=NOW)
    messages = []
    plans = plans_of(store, lambda: messages.extend(claim(store, "tier")))
    assert [message.leaving is not None for message in messages] == [True, True]
    assert "SEARCH jobs" in plans
    assert "SCAN jobs" not in plans


@on_sqlite
def test_finding_image_sets(store: SqlStore) -> None:
    plans = plans_of(store, lambda: store.set_members([("s", "A01"), ("s", "A02"), ("t", "A01")]))
    assert "ix_jobs_set" in plans
    assert "SCAN jobs" not in plans


@on_sqlite
def test_submitting_what_may_be_there(store: SqlStore) -> None:
    store.create_stream("s", PIPELINE, "observe", now=NOW)
    specs = [spec(source_id=name, source_version="1", stream_id="s") for name in SOURCES]
    plans = plans_of(store, lambda: store.submit(specs, now=NOW))
    assert "SEARCH jobs" in plans
    assert "SCAN jobs" not in plans
