"""What tells that something happened."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from haste_core.alert_stores import AlertRecord
from haste_core.events import JobCounts, StreamMark
from haste_core.states import Phase, TaskState
from haste_server.store.alerts import with_deliveries
from haste_server.store.records import COMPLETED_AT, SqlPart
from haste_server.store.schema import alerts, decisions, jobs, streams, tasks


class Events(SqlPart):
    """A `haste_core.events.EventStore`."""

    def stream_marks(self, stream_id: str | None) -> list[StreamMark]:
        """Tell how streams stand; see `haste_core.events.EventStore.stream_marks`."""
        wanted = _MARKS if stream_id is None else _MARKS.where(streams.c.stream_id == stream_id)

        def work(connection: Connection) -> list[StreamMark]:
            running = {row.stream_id: row.number for row in connection.execute(_RUNNING)}
            return [_mark(row, running.get(row.stream_id, 0)) for row in connection.execute(wanted)]

        return self.database.read(work)

    def job_counts(self, stream_id: str) -> JobCounts:
        """Count a stream's jobs."""
        rows = self.database.read(lambda connection: connection.execute(_COUNTED, {"name": stream_id}).all())
        counts = {TaskState(row.state): row.number for row in rows}
        return JobCounts(
            open=sum(number for state, number in counts.items() if not state.ended),
            done=counts.get(TaskState.DONE, 0),
            failed=sum(number for state, number in counts.items() if state.failed),
        )

    def last_alert_id(self) -> int:
        """Return the number of the latest alert; 0 if there is none."""
        latest = sa.select(sa.func.coalesce(sa.func.max(alerts.c.alert_id), 0))
        return int(self.database.read(lambda connection: connection.execute(latest).scalar_one()))

    def alerts_after(self, alert_id: int, *, limit: int) -> list[AlertRecord]:
        """List the alerts of all streams that were raised after one, the oldest first."""
        wanted = (
            sa.select(alerts).where(alerts.c.alert_id > alert_id).order_by(alerts.c.alert_id).limit(limit)
        )
        return self.database.read(
            lambda connection: with_deliveries(connection, connection.execute(wanted).all())
        )


def _mark(row: Row[Any], running: int) -> StreamMark:
    return StreamMark(
        stream_id=row.stream_id,
        last_job_id=row.last_job_id or 0,
        last_decision_id=row.last_decision_id or 0,
        last_end_at=row.last_end_at,
        first_open_id=row.first_open_id or 0,
        last_open_id=row.last_open_id or 0,
        last_held_id=row.last_held_id or 0,
        running=running,
        open_alerts=row.open_alerts,
        pipeline_sha256=row.pipeline_sha256,
        mode=row.mode,
        completed_at=row.completed_at,
    )


def _end(
    column: sa.Column[Any],
    stream_id: sa.Column[str],
    *more: sa.ColumnElement[bool],
    first: bool = False,
) -> sa.ColumnElement[Any]:
    wanted = (sa.func.min if first else sa.func.max)(column)
    return sa.select(wanted).where(stream_id == streams.c.stream_id, *more).scalar_subquery()


# Each part is one step into an index, so that all of it takes some microseconds a stream.
_OPEN_ALERTS = sa.select(sa.func.count()).where(
    alerts.c.stream_id == streams.c.stream_id, alerts.c.acknowledged_at.is_(None)
)
_OPEN, _HELD = (jobs.c.state == state for state in (TaskState.REGISTERED, TaskState.RESET))
_MARKS: sa.Select[Any] = sa.select(
    streams.c.stream_id,
    streams.c.mode,
    streams.c.pipeline_sha256,
    COMPLETED_AT,
    _end(jobs.c.job_id, jobs.c.stream_id).label("last_job_id"),
    _end(jobs.c.ended_at, jobs.c.stream_id).label("last_end_at"),
    _end(decisions.c.decision_id, decisions.c.stream_id).label("last_decision_id"),
    _end(jobs.c.job_id, jobs.c.stream_id, _OPEN, first=True).label("first_open_id"),
    _end(jobs.c.job_id, jobs.c.stream_id, _OPEN).label("last_open_id"),
    _end(jobs.c.job_id, jobs.c.stream_id, _HELD).label("last_held_id"),
    _OPEN_ALERTS.scalar_subquery().label("open_alerts"),
)
_RUNNING = (
    sa.select(jobs.c.stream_id, sa.func.count().label("number"))
    .select_from(tasks)
    .join(jobs, jobs.c.job_id == tasks.c.job_id)
    .where(tasks.c.phase == Phase.HANDED_OUT)
    .group_by(jobs.c.stream_id)
)
_COUNTED = (
    sa.select(jobs.c.state, sa.func.count().label("number"))
    .where(jobs.c.stream_id == sa.bindparam("name"))
    .group_by(jobs.c.state)
)
