"""A report as tables for programs: CSV, JSON and Parquet, a row for each image."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from haste_apps.reporting.page import Report
from haste_apps.reporting.provenance import DECISION_COLUMNS, Provenance
from haste_apps.reporting.spool import blocks
from haste_apps.reporting.tiers import tier_rows
from haste_client.images import columns_of, flat_row
from haste_core.errors import ConflictError, InvalidError, NotFoundError, Problem
from haste_runtime.exit_codes import ExitCode

if TYPE_CHECKING:
    import pyarrow

STDOUT = Path("-")

ROWS_PER_GROUP = 5000
"""Of a Parquet file: so many rows are held while it is written."""

_ROWS_PER_WRITE = 200

_TIMES = ("decided_at", "timestamp", "deleted_at", "decision.made_at")
_TYPES = {"index": "int64", "score": "float64", "size_bytes": "int64", "decision.supersedes": "int64"}
"""Where a column may hold nothing at all, from which its type could be told."""


class Table:
    """A report as rows of the same columns, one for each image; each way through them reads the answers.

    Attributes
    ----------
    columns : list of str
    """

    def __init__(self, report: Report) -> None:
        self._images = report.images
        self._provenance = Provenance(report.images, report.decisions)
        said = columns_of(report.images)
        self.columns = [*said, *DECISION_COLUMNS] if len(report.images) else said

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for image in self._images:
            row = flat_row(image) | self._provenance.columns(image)
            yield {name: row.get(name) for name in self.columns}


def write_csv(report: Report, sink: BinaryIO) -> None:
    """Write a line for each image, under one with the columns' names; UTF-8, times in seconds since 1970."""
    table = Table(report)
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, fieldnames=table.columns)
    writer.writeheader()
    for rows in blocks(table, _ROWS_PER_WRITE):
        writer.writerows(rows)
        sink.write(text.getvalue().encode())
        text.seek(0)
        text.truncate()
    sink.write(text.getvalue().encode())


def write_json(report: Report, sink: BinaryIO) -> None:
    """Write stream, tiers, images, and all decisions with those that were superseded, as one JSON object."""
    sink.write(_json_text(_summary(report)).removesuffix("\n}").encode())
    for name, answers in (("images", report.images), ("decisions", report.decisions)):
        sink.write(f',\n "{name}": ['.encode())
        for number, answer in enumerate(answers):
            text = _json_text(answer.model_dump(mode="json")).replace("\n", "\n  ")
            sink.write(f"{',' if number else ''}\n  {text}".encode())
        sink.write(b"\n ]" if len(answers) else b"]")
    sink.write(b"\n}\n")


def write_parquet(report: Report, sink: BinaryIO) -> None:
    """Write a Parquet file with a row for each image; times are timestamps in UTC.

    Stream and tiers stand as JSON in the file's metadata, under the key ``haste``. A column whose values
    are of different kinds becomes text.

    Raises
    ------
    InvalidError
        If pyarrow is not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise InvalidError(
            [
                Problem(
                    "--format", "pyarrow writes Parquet, and is not here: pip install 'haste-server[parquet]'"
                )
            ]
        ) from error
    table = Table(report)
    schema = pyarrow.schema(_types_of(table), {"haste": json.dumps(_summary(report))})
    with pyarrow.parquet.ParquetWriter(sink, schema) as writer:
        for rows in blocks(table, ROWS_PER_GROUP):
            columns = [_column(field.name, [row[field.name] for row in rows], field.type) for field in schema]
            writer.write_table(pyarrow.table(columns, schema=schema))


def check_free(path: Path, *, force: bool) -> None:
    """Refuse to replace a file unless that was asked for.

    Raises
    ------
    ConflictError
        If it is there.
    NotFoundError
        If its folder is not.
    """
    if path == STDOUT:
        return
    if not path.parent.is_dir():
        raise NotFoundError(f"there is no folder {path.parent}; make it, or choose another --output")
    if not force and os.path.lexists(path):
        raise ConflictError(f"{path} is there already; replace it with --force, or choose another --output")


def write_whole(path: Path, write: Callable[[BinaryIO], None], *, force: bool) -> None:
    """Let a file be written that appears when it is complete, or write to stdout.

    Raises
    ------
    SystemExit
        If nobody reads stdout any more.
    """
    if path == STDOUT:
        try:
            write(sys.stdout.buffer)
            sys.stdout.buffer.flush()
        except BrokenPipeError:  # what has not been written yet, the end of the program throws away
            raise SystemExit(ExitCode.NOBODY_READS) from None
        return
    check_free(path, force=force)
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with partial.open("wb") as file:
            write(file)
        check_free(path, force=force)  # to write a large stream takes a while
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _json_text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1)


def _summary(report: Report) -> dict[str, Any]:
    rows = tier_rows(report.kept, report.stream.pipeline)
    deleted = len(report.images) - sum(row.count for row in rows)
    return {
        "stream": report.stream.model_dump(mode="json"),
        "made_at": report.made_at,
        "software_version": version("haste-server"),
        "tiers": [
            {
                "tier": row.tier,
                "ranges": row.ranges,
                "count": row.count,
                "share": row.share,
                "size_bytes": row.size_bytes,
                "mean_score": row.mean_score,
            }
            for row in rows
        ],
        "deleted": {"count": deleted, "size_bytes": report.deleted_bytes},
    }


def _types_of(table: Table) -> dict[str, pyarrow.DataType]:
    """Find the types that hold all values of each column, from one value of each kind that it has."""
    kinds: dict[str, dict[Any, Any]] = {name: {} for name in table.columns}
    for row in table:
        for name, value in row.items():
            if type(value) is int:
                _keep_extremes(kinds[name], value)
            else:
                kinds[name].setdefault(type(value), value)
    return {name: _column(name, list(values.values())).type for name, values in kinds.items()}


def _keep_extremes(kinds: dict[Any, Any], value: int) -> None:
    """Keep the least and the largest number: whether these fit into a type, tells it of all."""
    kinds["least"] = min(value, kinds.get("least", value))
    kinds["largest"] = max(value, kinds.get("largest", value))


def _column(name: str, values: Sequence[Any], type_: pyarrow.DataType | None = None) -> pyarrow.Array:
    """Make a column of a type; of the one that fits the values, if none is given."""
    import pyarrow

    if name in _TIMES:
        microseconds = [None if value is None else round(value * 1e6) for value in values]
        return pyarrow.array(microseconds, pyarrow.timestamp("us", tz="UTC"))
    if type_ != pyarrow.string():
        try:
            return pyarrow.array(values, type_ or _TYPES.get(name))
        except (pyarrow.ArrowInvalid, pyarrow.ArrowTypeError, OverflowError):
            if type_ is not None:
                raise
    # One image said a number where another said a word.
    return pyarrow.array([None if value is None else str(value) for value in values], pyarrow.string())
