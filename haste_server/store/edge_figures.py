"""What pages show of the streams of a microscope's computer."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Row

from haste_core.edge_images import PREPROCESS, UPLOAD
from haste_core.figures import EdgeFlow, Preprocessed
from haste_core.interestingness import value_of
from haste_core.states import TaskState
from haste_server.store.records import SqlPart
from haste_server.store.schema import NO_INDEX, jobs, tasks

_before, _send = tasks.alias("preprocessing"), tasks.alias("sending")


class EdgeFigures(SqlPart):
    """A `haste_core.figures.EdgeFigureStore`."""

    def edge_flow(self, stream_id: str) -> EdgeFlow:
        """Count images and bytes on their way."""
        rows = self.database.read(lambda connection: connection.execute(_FLOW, {"name": stream_id}).all())
        sent = [row for row in rows if row.upload == TaskState.DONE]
        return EdgeFlow(
            found=sum(row.number for row in rows),
            preprocessing=sum(row.number for row in rows if row.preprocess == TaskState.RUNNING),
            preprocessed=sum(row.number for row in rows if row.preprocess == TaskState.DONE),
            sending=sum(row.number for row in rows if row.upload == TaskState.RUNNING),
            sent=sum(row.number for row in sent),
            sent_bytes=sum(int(row.sent_bytes or 0) for row in sent),
            original_bytes=sum(int(row.original_bytes or 0) for row in sent),
        )

    def sent_bytes(self, stream_id: str, *, since: float) -> int:
        """Sum up what was sent since a time."""
        lately = {"name": stream_id, "since": since}
        return int(self.database.read(lambda connection: connection.scalar(_SENT_LATELY, lately)) or 0)

    def preprocessed(self, stream_id: str, *, limit: int) -> list[Preprocessed]:
        """List images that were preprocessed; see `haste_core.figures.EdgeFigureStore.preprocessed`."""

        def work(connection: sa.Connection) -> list[Row[Any]]:
            there = connection.scalar(_COUNT_PREPROCESSED, {"name": stream_id}) or 0
            step = max(1, -(-there // limit))
            return list(connection.execute(_PREPROCESSED, {"name": stream_id, "step": step}).all())

        found = map(_preprocessed, self.database.read(work))
        return [image for image in found if image is not None]

    def sent_as_found(self, stream_id: str, *, width: int) -> list[int]:
        """List images; see `haste_core.figures.EdgeFigureStore.sent_as_found`."""
        asked = {"name": stream_id, "width": width}
        rows = self.database.read(lambda connection: connection.scalars(_SENT_AS_FOUND, asked).all())
        return [int(number) for number in rows]


def _preprocessed(row: Row[Any]) -> Preprocessed | None:
    """Read what a handler told; nothing where it told something else."""
    told = row.response or {}
    before, after = value_of(told, "bytes_before"), value_of(told, "bytes_after")
    # The time that a core was taken decides, whatever a handler counts as its own.
    lasted = None if None in (row.started_at, row.ended_at) else row.ended_at - row.started_at
    cpu_s = lasted or value_of(told, "cpu_s")
    if before is None or after is None or not cpu_s or cpu_s <= 0:
        return None
    return Preprocessed(int(row.number), row.started_at or 0.0, before - after, cpu_s)


def _number_told(task: sa.FromClause, name: str) -> sa.ColumnElement[int]:
    told: sa.ColumnElement[int] = task.c.response[name].as_integer()
    return told


_first = jobs.alias("first")
_FIRST_JOB = (
    sa.select(sa.func.min(_first.c.job_id))
    .where(_first.c.stream_id == sa.bindparam("name"))
    .scalar_subquery()
)
# Images without an index are numbered in the order of their arrival.
_NUMBER = sa.case(
    (jobs.c.stream_index == NO_INDEX, jobs.c.job_id - _FIRST_JOB), else_=jobs.c.stream_index
).label("number")
_BOTH = jobs.join(_send, sa.and_(_send.c.job_id == jobs.c.job_id, _send.c.task_key == UPLOAD)).outerjoin(
    _before, sa.and_(_before.c.job_id == jobs.c.job_id, _before.c.task_key == PREPROCESS)
)
_OF_STREAM = jobs.c.stream_id == sa.bindparam("name")
_SENT = _number_told(_send, "size_bytes")
_FLOW = (
    sa.select(
        _before.c.state.label("preprocess"),
        _send.c.state.label("upload"),
        sa.func.count().label("number"),
        sa.func.sum(_SENT).label("sent_bytes"),
        sa.func.sum(
            sa.case((_before.c.state == TaskState.DONE, _number_told(_before, "bytes_before")), else_=_SENT)
        ).label("original_bytes"),
    )
    .select_from(_BOTH)
    .where(_OF_STREAM)
    .group_by(_before.c.state, _send.c.state)
)
_SENT_LATELY = (
    sa.select(sa.func.sum(_SENT))
    .select_from(_BOTH)
    .where(_OF_STREAM, jobs.c.ended_at >= sa.bindparam("since"), _send.c.state == TaskState.DONE)
)
_DONE = (_OF_STREAM, _before.c.state == TaskState.DONE)
_COUNT_PREPROCESSED = sa.select(sa.func.count()).select_from(_BOTH).where(*_DONE)
_placed = (
    sa.select(
        _NUMBER,
        _before.c.task_id,
        sa.func.row_number().over(order_by=(_NUMBER, jobs.c.job_id)).label("place"),
    )
    .select_from(_BOTH)
    .where(*_DONE)
    .subquery()
)
_PREPROCESSED: sa.Select[Any] = (
    sa.select(_placed.c.number, tasks.c.started_at, tasks.c.ended_at, tasks.c.response)
    .join(tasks, tasks.c.task_id == _placed.c.task_id)
    .where((_placed.c.place - 1) % sa.bindparam("step") == 0)
    .order_by(_placed.c.place)
)
_unprocessed = (
    sa.select(_NUMBER)
    .select_from(_BOTH)
    .where(
        _OF_STREAM,
        _send.c.state == TaskState.DONE,
        sa.or_(_before.c.state.is_(None), _before.c.state != TaskState.DONE),
    )
    .subquery()
)
_SENT_AS_FOUND = (
    sa.select(sa.func.min(_unprocessed.c.number).label("number"))
    .group_by(_unprocessed.c.number // sa.bindparam("width", type_=sa.Integer))
    .order_by("number")
)
