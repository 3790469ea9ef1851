"""What the migrations make of an empty database is the schema that the program works with."""

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from haste_server.store.schema import metadata
from haste_server.store.sql import SqlStore


def differences(store: SqlStore, wanted: sa.MetaData) -> list[str]:
    """List what a next migration would have to change, each as one text."""
    with store.database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"target_metadata": wanted})
        found: list[Any] = compare_metadata(context, wanted)
    return [repr(one) for one in found]


def add_column(tables: sa.MetaData) -> None:
    tables.tables["objects"].append_column(sa.Column("mood", sa.Integer))


def drop_column(tables: sa.MetaData) -> None:
    drop(tables.tables["objects"], "value")


def drop(table: sa.Table, name: str) -> None:
    table._columns.remove(table.c[name])


def add_index(tables: sa.MetaData) -> None:
    sa.Index("ix_jobs_mood", tables.tables["jobs"].c.state, tables.tables["jobs"].c.created_at)


def drop_index(tables: sa.MetaData) -> None:
    jobs = tables.tables["jobs"]
    jobs.indexes.remove(next(index for index in jobs.indexes if index.name == "ix_jobs_set"))


def shorten_index(tables: sa.MetaData) -> None:
    drop_index(tables)
    sa.Index("ix_jobs_set", tables.tables["jobs"].c.stream_id, tables.tables["jobs"].c.set_key)


def allow_null(tables: sa.MetaData) -> None:
    tables.tables["tasks"].c.message.nullable = True


def change_type(tables: sa.MetaData) -> None:
    tables.tables["objects"].c.size_bytes.type = sa.Double()


def lengthen(tables: sa.MetaData) -> None:
    tables.tables["objects"].c.tier.type = sa.String(200)


def add_table(tables: sa.MetaData) -> None:
    sa.Table("moods", tables, sa.Column("mood", sa.Integer, primary_key=True))


def test_the_migrations_make_the_schema(store: SqlStore) -> None:
    assert differences(store, metadata) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (add_column, "mood"),
        (drop_column, "value"),
        (add_index, "ix_jobs_mood"),
        (drop_index, "ix_jobs_set"),
        (shorten_index, "ix_jobs_set"),
        (allow_null, "modify_nullable"),
        (change_type, "modify_type"),
        (lengthen, "modify_type"),
        (add_table, "moods"),
    ],
)
def test_a_schema_without_its_migration_is_found(
    store: SqlStore, change: Callable[[sa.MetaData], None], said: str
) -> None:
    changed = sa.MetaData()
    for table in metadata.sorted_tables:
        table.to_metadata(changed)
    change(changed)
    found = differences(store, changed)
    assert found
    assert all(said in one for one in found)
