"""Many rows in one statement, in the way in which each database takes them fastest.

SQLite takes them one by one, within the process. MariaDB's driver would write each value as SQL text, and
some statements once for each row; so the rows travel as one JSON parameter, which MariaDB reads as a table.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql, sqlite
from sqlalchemy.engine import Connection
from sqlalchemy.types import TypeEngine

from haste_runtime.batches import runs
from haste_server.store.database import Database, to_json

MOST_CHARACTERS = 2**20
"""Of the rows in one statement; a single row may be longer.

MariaDB takes no packet above 16 MiB unless it is told so, and a character that is escaped twice has up to
seven bytes.
"""

FEW = 8
"""So many rows and fewer cost MariaDB less as values than as a table that it has to make for them."""

Row = Mapping[str, Any]

_MARIADB = mysql.dialect(json_serializer=to_json)
_LAST_NUMBER = sa.text("SELECT seq FROM sqlite_sequence WHERE name = :table")


class GivenRows:
    """A table that a statement is given as its parameter ``rows``.

    Parameters
    ----------
    columns : mapping of str to TypeEngine
    is_sqlite : bool

    Attributes
    ----------
    table : Subquery
    """

    def __init__(self, columns: Mapping[str, TypeEngine[Any]], *, is_sqlite: bool) -> None:
        self._writers = {
            name: kind.dialect_impl(_MARIADB).bind_processor(_MARIADB) for name, kind in columns.items()
        }
        if is_sqlite:
            read = ", ".join(f"value ->> {place} AS {name}" for place, name in enumerate(columns))
            text = f"SELECT {read} FROM json_each(:rows)"  # noqa: S608 - names of columns in our code
        else:
            declared = ", ".join(
                f"`{name}` {_declared_type(kind)} PATH '$[{place}]' ERROR ON ERROR"
                for place, (name, kind) in enumerate(columns.items())
            )
            read = ", ".join(_read(name, kind) for name, kind in columns.items())
            text = f"SELECT {read} FROM JSON_TABLE(:rows, '$[*]' COLUMNS ({declared})) AS parsed"  # noqa: S608
        typed = [sa.column(name, kind) for name, kind in columns.items()]
        rows = sa.bindparam("rows", type_=sa.Text)
        self.table = sa.text(text).bindparams(rows).columns(*typed).subquery("given")

    def parameters(self, rows: Sequence[Row]) -> Iterator[str]:
        """Write rows as the parameter of one statement or, if they are too long for that, of several."""
        columns = [
            [row[name] if write is None else write(row[name]) for row in rows]
            for name, write in self._writers.items()
        ]
        written = list(zip(*columns, strict=True))
        sizes = [_characters(values) for values in written]
        for places in runs(sizes, most=len(rows), most_in_sum=MOST_CHARACTERS):
            yield to_json(written[places.start : places.stop])


def insert(database: Database, connection: Connection, table: sa.Table, rows: Sequence[Row]) -> None:
    """Store new rows that bring their keys."""
    if database.is_sqlite or len(rows) <= FEW:
        connection.execute(_inserting(table), rows)
        return
    given = _rows_of(table, tuple(rows[0]))
    for parameter in given.parameters(rows):
        connection.execute(_inserting_given(table, given), {"rows": parameter})


def insert_numbered(
    database: Database, connection: Connection, table: sa.Table, rows: Sequence[Row]
) -> list[int]:
    """Store new rows; return the numbers that the database gives them, in their order."""
    (key,) = table.primary_key
    if len(rows) == 1:
        return list(connection.execute(_inserting(table), rows[0]).inserted_primary_key or ())
    if database.is_sqlite:
        # To learn their numbers from it, each row would be a statement. Nobody else writes meanwhile.
        last = connection.scalar(_LAST_NUMBER, {"table": table.name}) or 0
        numbered = [{**row, key.name: last + place} for place, row in enumerate(rows, start=1)]
        connection.execute(_inserting(table), numbered)
        return [row[key.name] for row in numbered]
    if len(rows) <= FEW and sum(_characters(row.values()) for row in rows) <= MOST_CHARACTERS:
        return list(connection.scalars(_inserting(table, key), rows))
    given = _rows_of(table, tuple(rows[0]))
    numbers: list[int] = []
    for parameter in given.parameters(rows):
        # They rise with the rows.
        numbers += sorted(connection.scalars(_inserting_given(table, given, key), {"rows": parameter}))
    return numbers


def overwrite(
    database: Database,
    connection: Connection,
    table: sa.Table,
    rows: Sequence[Row],
    columns: Sequence[str],
) -> None:
    """Give other values to rows that exist and that this transaction holds.

    Parameters
    ----------
    rows : sequence of mapping
        Whole rows, their primary keys included.
    columns : sequence of str
        What may differ.
    """
    if database.is_sqlite:
        connection.execute(_overwriting(table, tuple(columns)), rows)
        return
    given = _rows_of(table, tuple(rows[0]))
    changing = _overwriting_given(table, given, tuple(columns))
    for parameter in given.parameters(rows):
        connection.execute(changing, {"rows": parameter})


def _characters(values: Iterable[Any]) -> int:
    return 200 + sum(len(value) for value in values if isinstance(value, str))  # 200: names and numbers


@cache
def _rows_of(table: sa.Table, names: tuple[str, ...]) -> GivenRows:
    return GivenRows({name: table.c[name].type for name in names}, is_sqlite=False)


def _declared_type(kind: TypeEngine[Any]) -> str:
    plain = _plain(kind)
    if isinstance(plain, sa.Double):
        return "DOUBLE"
    # Texts are not declared as long as the column has them: JSON_TABLE cuts, where the column is to refuse.
    return "BIGINT" if isinstance(plain, sa.Integer | sa.Boolean) else "LONGTEXT"


def _read(name: str, kind: TypeEngine[Any]) -> str:
    # A bare LONGTEXT that is too long for a TEXT leaves its length modulo 64 KiB there, without an error.
    return f"CONCAT(`{name}`) AS `{name}`" if isinstance(_plain(kind), sa.String) else f"`{name}`"


def _plain(kind: TypeEngine[Any]) -> TypeEngine[Any]:
    of_mariadb = kind.dialect_impl(_MARIADB)
    return of_mariadb.impl_instance if isinstance(of_mariadb, sa.TypeDecorator) else of_mariadb


@cache
def _inserting(table: sa.Table, *numbers: sa.Column[int]) -> Any:
    stored = sa.insert(table)
    return stored.returning(*numbers, sort_by_parameter_order=True) if numbers else stored


@cache
def _inserting_given(table: sa.Table, given: GivenRows, *numbers: sa.Column[int]) -> Any:
    stored = sa.insert(table).from_select(list(given.table.c.keys()), sa.select(given.table))
    return stored.returning(*numbers) if numbers else stored


@cache
def _overwriting(table: sa.Table, columns: tuple[str, ...]) -> sa.Insert:
    stored = sqlite.insert(table)
    changed = {name: stored.excluded[name] for name in columns}
    return stored.on_conflict_do_update(index_elements=list(table.primary_key), set_=changed)


@cache
def _overwriting_given(table: sa.Table, given: GivenRows, columns: tuple[str, ...]) -> sa.Insert:
    stored = mysql.insert(table).from_select(list(given.table.c.keys()), sa.select(given.table))
    return stored.on_duplicate_key_update({name: stored.inserted[name] for name in columns})
