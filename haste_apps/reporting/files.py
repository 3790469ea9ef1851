"""A report as tables for programs: CSV, JSON and Parquet, a row for each image."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from haste_apps.reporting.page import Report
from haste_apps.reporting.provenance import provenance_columns
from haste_apps.reporting.tiers import tier_rows
from haste_client.images import COLUMNS, flat_rows
from haste_core.errors import ConflictError, InvalidError, NotFoundError, Problem

if TYPE_CHECKING:
    import pyarrow

STDOUT = Path("-")

_TIMES = ("decided_at", "timestamp", "deleted_at", "decision.made_at")
_TYPES = {"index": "int64", "score": "float64", "size_bytes": "int64", "decision.supersedes": "int64"}
"""Where a column may hold nothing at all, from which its type could be told."""


def as_csv(report: Report) -> bytes:
    """Write a line for each image, under one with the columns' names; UTF-8, times in seconds since 1970."""
    rows = table_of(report)
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, fieldnames=list(rows[0]) if rows else list(COLUMNS))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def as_json(report: Report) -> bytes:
    """Write stream, tiers, images, and all decisions with those that were superseded, as one JSON object."""
    written = {
        **_summary(report),
        "images": [image.model_dump(mode="json") for image in report.images],
        "decisions": [decision.model_dump(mode="json") for decision in report.decisions],
    }
    return (json.dumps(written, ensure_ascii=False, indent=1) + "\n").encode()


def as_parquet(report: Report) -> bytes:
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
    rows = table_of(report)
    names = list(rows[0]) if rows else list(COLUMNS)
    columns = {name: _column(name, [row[name] for row in rows]) for name in names}
    table = pyarrow.table(columns).replace_schema_metadata({"haste": json.dumps(_summary(report))})
    sink = pyarrow.BufferOutputStream()
    pyarrow.parquet.write_table(table, sink)
    return bytes(sink.getvalue())


def table_of(report: Report) -> list[dict[str, Any]]:
    """Write images with the decisions that are valid for them as rows of the same columns."""
    provenance = provenance_columns(report.images, report.decisions)
    return [row | columns for row, columns in zip(flat_rows(report.images), provenance, strict=True)]


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


def write_whole(path: Path, content: bytes, *, force: bool) -> None:
    """Write a file that appears when it is complete, or to stdout."""
    if path == STDOUT:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
        return
    check_free(path, force=force)
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _summary(report: Report) -> dict[str, Any]:
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
            for row in tier_rows(report.kept, report.stream.pipeline)
        ],
        "deleted": {"count": len(report.images) - len(report.kept), "size_bytes": report.deleted_bytes},
    }


def _column(name: str, values: Sequence[Any]) -> pyarrow.Array:
    import pyarrow

    if name in _TIMES:
        microseconds = [None if value is None else round(value * 1e6) for value in values]
        return pyarrow.array(microseconds, pyarrow.timestamp("us", tz="UTC"))
    try:
        return pyarrow.array(values, _TYPES.get(name))
    except (pyarrow.ArrowInvalid, pyarrow.ArrowTypeError, OverflowError):
        # One image said a number where another said a word.
        return pyarrow.array([None if value is None else str(value) for value in values], pyarrow.string())
