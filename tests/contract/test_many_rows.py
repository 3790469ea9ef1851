"""Whatever rows hold, every database gives it back, one row or many in a statement."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import DBAPIError

from haste_server.store.many_rows import FEW, insert, insert_numbered, overwrite
from haste_server.store.schema import attempts, decisions
from haste_server.store.sql import SqlStore
from tests.contract.store_bench import spec, submitted

_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
_NUMBER = st.floats(allow_nan=False, allow_infinity=False)
_JSON = st.recursive(st.none() | st.booleans() | _TEXT | st.integers(-(2**53), 2**53), st.lists, max_leaves=5)
_ROW = st.fixed_dictionaries(
    {
        "job_id": st.integers(0, 2**63 - 1),
        "made_at": _NUMBER,
        "score": st.none() | _NUMBER,
        "tier": _TEXT,
        "reason": _TEXT,
        "features": st.dictionaries(_TEXT, _JSON, max_size=3),
        "supersedes": st.none() | st.integers(-(2**63), 2**63 - 1),
    }
)
_SAME: dict[str, Any] = {
    "stream_id": "s",
    "task_id": 1,
    "source_id": "a",
    "mode": "observe",
    "origin": "policy",
    "made_by": None,
    "circumstances": {"metadata": {}},
    "pipeline_sha256": "0" * 64,
    "input_sha256": "0" * 64,
    "software_version": "1",
}
_ODD = {
    "job_id": 2**63 - 1,
    "made_at": 1790000000.1234567,
    "score": 5e-324,
    "tier": "\"'\\%s :x \U0001f52c",
    "reason": '\x00\x1f\\u0041\r\n\t"null"\u2028',
    "features": {'"': "\\", "é": [None, True, -0.0, 1e308]},
    "supersedes": None,
}


def read_back(store: SqlStore, numbers: list[int]) -> list[dict[str, Any]]:
    wanted = (
        sa.select(decisions).where(decisions.c.decision_id.in_(numbers)).order_by(decisions.c.decision_id)
    )
    rows = store.database.read(lambda connection: connection.execute(wanted).mappings().all())
    return [{name: row[name] for name in (*_ODD, *_SAME)} for row in rows]


@given(st.lists(_ROW, min_size=1, max_size=FEW + 4), st.data())
@example([_ODD], None)
@example([_ODD, *[{**_ODD, "tier": ""}] * FEW], None)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_rows_are_read_back_as_they_were_written(
    store: SqlStore, rows: list[dict[str, Any]], data: st.DataObject | None
) -> None:
    whole = [_SAME | row for row in rows]
    numbers = store.database.write(
        lambda connection: insert_numbered(store.database, connection, decisions, whole)
    )
    assert numbers == sorted(set(numbers))
    assert read_back(store, numbers) == whole

    others = [row if data is None else data.draw(_ROW) for row in rows[::-1]]
    changed = [_SAME | other | {"decision_id": number} for number, other in zip(numbers, others, strict=True)]
    changing = ("score", "reason", "features")
    store.database.write(
        lambda connection: overwrite(store.database, connection, decisions, changed, changing)
    )
    expected = [
        row | {name: other[name] for name in changing} for row, other in zip(whole, others, strict=True)
    ]
    assert read_back(store, numbers) == expected


@pytest.mark.parametrize("beside", [1, FEW])
@pytest.mark.parametrize("bad", [{"message": None}, {"task_id": 10**9}], ids=["null", "unknown task"])
def test_of_rows_with_a_bad_one_none_is_stored(store: SqlStore, beside: int, bad: dict[str, Any]) -> None:
    task_id = store.job(submitted(store, spec())[0]).tasks[0].task_id
    good = {"task_id": task_id, "outcome": "ended", "state": 200, "message": ""}
    rows = [good | {"attempt": number} for number in range(beside)] + [good | {"attempt": beside} | bad]
    with pytest.raises(DBAPIError):
        store.database.write(lambda connection: insert(store.database, connection, attempts, rows))
    assert store.attempts(task_id) == []


@pytest.mark.parametrize("beside", [1, FEW])
@pytest.mark.parametrize(
    "bad",
    [{"tier": "x" * 101}, {"tier": "x" * 100 + " tail"}, {"reason": "é" * 32768}, {"mode": None}],
    ids=["name", "end of a name", "text", "null"],
)
def test_what_does_not_fit_is_refused_and_not_cut(store: SqlStore, beside: int, bad: dict[str, Any]) -> None:
    rows = [_SAME | _ODD] * beside + [_SAME | _ODD | bad]

    def store_all() -> list[int]:
        return store.database.write(
            lambda connection: insert_numbered(store.database, connection, decisions, rows)
        )

    if store.database.is_sqlite and bad.keys() & {"tier", "reason"}:  # it takes texts of any length
        assert read_back(store, store_all()) == rows
        return
    with pytest.raises(DBAPIError):
        store_all()


def test_rows_may_be_more_than_a_packet_of_the_database_holds(store: SqlStore) -> None:
    rows = [_SAME | _ODD | {"features": {"made": f"{number:04}" * 75_000}} for number in range(60)]
    numbers = store.database.write(
        lambda connection: insert_numbered(store.database, connection, decisions, rows)
    )
    assert read_back(store, numbers) == rows

    turned = [row | {"decision_id": number} for number, row in zip(numbers, reversed(rows), strict=True)]
    store.database.write(
        lambda connection: overwrite(store.database, connection, decisions, turned, ["features"])
    )
    assert read_back(store, numbers) == rows[::-1]
