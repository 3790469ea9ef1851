"""Streams of 100,000 images: what a page reads and holds does not grow with them."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa

from haste_core.states import Due, Phase, TaskState
from tests.integration.api.conftest import NOW, Api
from tests.integration.web.conftest import look, measure

IMAGES = 100_000
_MOST_ROWS = 1500  # fifty images, forty bins of four tiers, counts
_MOST_CHARACTERS = 120_000
_NUMBERS = "WITH RECURSIVE n(i) AS (SELECT 10 UNION ALL SELECT i + 1 FROM n WHERE i < :last)"
_STATE = f"CASE WHEN i % 10000 = 0 THEN {int(TaskState.BAD_INPUT)} ELSE {int(TaskState.DONE)} END"
_TIER = "CASE WHEN i % 997 < 250 THEN 'tierD' ELSE 'tierA' END"
_FILLING = (
    f"""
    INSERT INTO jobs (job_id, stream_id, source_id, source_key, stream_index, spec, state, priority,
        created_at, ended_at)
    {_NUMBERS} SELECT i, 'plate7', 'image ' || i, i, i, '{{}}', {_STATE}, 0, :now, :now FROM n
    """,
    f"""
    INSERT INTO objects (job_id, stream_id, task_id, decision_id, score, counts_in, tier, size_bytes, pinned,
        held, due)
    {_NUMBERS} SELECT i, 'plate7', i, i, (i % 997) / 997.0, {_TIER}, {_TIER}, 1000, 0, 0,
        {int(Due.NOTHING)} FROM n
    """,
    f"""
    INSERT INTO tasks (job_id, position, task_key, site, state, phase, order_key, stream_index, contended,
        attempt, failures, losses, message)
    {_NUMBERS} SELECT i, 0, 'focus-score', 'default', {_STATE}, {int(Phase.ENDED)}, 0, i, 0, 1, 0, 0,
        'image ' || i || ' is broken' FROM n
    """,
)


@pytest.fixture
def large(api: Api) -> Api:
    """Return a server with 100,000 images with scores, ten failed and a few real ones."""
    measure(api, {"A01": -2.6, "A02": -0.9})
    with api.store.database.engine.begin() as connection:
        for statement in _FILLING:
            connection.execute(sa.text(statement), {"last": IMAGES + 9, "now": NOW})
    return api


@contextmanager
def counting_rows(api: Api) -> Iterator[list[int]]:
    """Count the rows that the database hands over."""
    counted = [0]

    def count(_cursor: sqlite3.Cursor, row: tuple[Any, ...]) -> tuple[Any, ...]:
        counted[0] += 1
        return row

    def prepare(connection: sqlite3.Connection, *_: object) -> None:
        connection.row_factory = count

    engine = api.store.database.engine
    sa.event.listen(engine, "checkout", prepare)
    yield counted
    sa.event.remove(engine, "checkout", prepare)


def test_pages_of_a_large_stream_read_little_and_stay_small(large: Api) -> None:
    for query in ("", "?show=open", "?show=failed", "?show=best", "?show=lowest", "?tier=tierD"):
        with counting_rows(large) as counted:
            page = look(large, f"/stream/plate7{query}")

        assert 10 < counted[0] < _MOST_ROWS, query
        assert len(page) < _MOST_CHARACTERS, query
    with counting_rows(large) as counted:
        page = look(large, "/")
    assert 5 < counted[0] < 100
    assert len(page) < _MOST_CHARACTERS


def test_counts_are_those_of_all_images_and_no_page_is_dear(large: Api) -> None:
    with counting_rows(large) as counted:
        page = look(large, "/stream/plate7?cursor=70000").replace("\N{NARROW NO-BREAK SPACE}", "")

    assert "100000 of 100002" in page
    assert ">image 70001<" in page
    assert '<td>10</td><td class="word">focus-score</td>' in page
    assert counted[0] < _MOST_ROWS
