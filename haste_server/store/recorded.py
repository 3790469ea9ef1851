"""What was recorded of the objects of a stream: only what somebody wants of it, for all of them at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from heapq import merge
from typing import Any, TypeAlias

import sqlalchemy as sa
from pydantic import TypeAdapter
from sqlalchemy.engine import Connection
from typing_extensions import TypedDict

from haste_core.interestingness import Reads
from haste_server.store.schema import decisions, deleted_objects, jobs, objects

PAGE = 1000

Recorded: TypeAlias = tuple[
    str | None, bool, int, str | None, str | None, Mapping[str, Any], Mapping[str, Any], int
]
"""An object's tier (None: it was deleted from a trash), whether it is pinned, its size in bytes, its image
set and source_id (None unless asked for), those of its features and circumstances that are wanted, and its
job."""


def recorded(
    connection: Connection, stream_id: str, reads: Reads, *, named: bool = False, deleted: bool = False
) -> Iterator[Recorded]:
    """Read the objects of a stream in the order of their jobs.

    Each row is one JSON text, and what nobody wants in it is passed over by the parser: drivers take their
    time for each column, and parsers for each value.

    Parameters
    ----------
    connection : Connection
    stream_id : str
    reads : Reads
        What is wanted of features and circumstances.
    named : bool
        Whether set and source_id are wanted, too.
    deleted : bool
        Whether those that were deleted from a trash are wanted, too.
    """
    present = _read(connection, stream_id, reads, _rows(objects, reads, named=named))
    if not deleted:
        return present
    # All of them first: a connection does not go through two answers at a time.
    gone = list(_read(connection, stream_id, reads, _rows(deleted_objects, reads, named=named)))
    return merge(gone, present, key=lambda row: row[-1]) if gone else present


def _read(connection: Connection, stream_id: str, reads: Reads, wanted: sa.Select[str]) -> Iterator[Recorded]:
    page_of: TypeAdapter[list[Recorded]] = TypeAdapter(_page_type(reads))
    first, last = connection.execute(_RANGE, {"name": stream_id}).one()
    found = connection.execution_options(yield_per=PAGE).execute(
        wanted, {"name": stream_id, "first": first, "last": last}
    )
    for rows in found.scalars().partitions():
        yield from page_of.validate_json(f"[{','.join(rows)}]")


def _page_type(reads: Reads) -> Any:
    beside = dict.fromkeys(reads.circumstances, Any)
    if reads.metadata and "metadata" not in beside:
        beside["metadata"] = _some("metadata", dict.fromkeys(reads.metadata, Any))
    features = _some("features", dict.fromkeys(reads.features, Any))
    return list[tuple[Any, Any, Any, Any, Any, features, _some("beside", beside), int]]  # type: ignore[valid-type, misc]


def _some(name: str, wanted: Mapping[str, Any]) -> Any:
    return TypedDict(name, wanted, total=False)  # type: ignore[operator]


def _rows(table: sa.Table, reads: Reads, *, named: bool) -> sa.Select[str]:
    is_present = table is objects
    columns = [
        _json(table.c.tier) if is_present else sa.literal("null"),
        sa.case((table.c.pinned, "true"), else_="false") if is_present else sa.literal("false"),
        sa.type_coerce(table.c.size_bytes, sa.Text),
        _json(table.c.set_key) if named else sa.literal("null"),
        _json(decisions.c.source_id) if named else sa.literal("null"),
        sa.type_coerce(decisions.c.features, sa.Text),
        _beside_of(reads),
        sa.type_coerce(table.c.job_id, sa.Text),
    ]
    row = sa.literal("[") + columns[0]
    for column in columns[1:]:
        row = row + "," + column
    # In the order of the rows, not of an index: else each row of `decisions` is looked for in another place.
    # What is computed uses no index, and the jobs of a stream mostly have numbers that follow each other.
    return (
        sa.select(row + "]")
        .join(decisions, decisions.c.decision_id == table.c.decision_id)
        .where(
            table.c.job_id.between(sa.bindparam("first"), sa.bindparam("last")),
            table.c.stream_id + "" == sa.bindparam("name"),
        )
        .order_by(table.c.job_id)
    )


def _beside_of(reads: Reads) -> sa.ColumnElement[str]:
    is_wanted = reads.circumstances or reads.metadata
    return sa.type_coerce(decisions.c.circumstances, sa.Text) if is_wanted else sa.literal("{}")


def _json(value: sa.ColumnElement[str]) -> sa.ColumnElement[str]:
    return sa.func.coalesce(sa.func.json_quote(value, type_=sa.Text), "null", type_=sa.Text)


_RANGE = sa.select(sa.func.min(jobs.c.job_id), sa.func.max(jobs.c.job_id)).where(
    jobs.c.stream_id == sa.bindparam("name")
)
