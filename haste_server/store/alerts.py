"""Alerts as they are shown and acknowledged."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from haste_core.alert_stores import AlertRecord, DeliveryRecord
from haste_core.errors import NotFoundError
from haste_core.stores import Page
from haste_server.store.jobs import numeric_cursor
from haste_server.store.projects import of_projects
from haste_server.store.records import SqlPart
from haste_server.store.schema import alert_deliveries, alerts, streams


class Alerts(SqlPart):
    """The API's view of alerts; see `haste_core.alert_stores.AlertStore`."""

    def alerts(self, stream_id: str, *, only_open: bool, cursor: str | None, limit: int) -> Page[AlertRecord]:
        """List the alerts of a stream, the oldest first."""
        wanted = (
            sa.select(alerts)
            .where(alerts.c.stream_id == stream_id, alerts.c.alert_id > numeric_cursor(cursor))
            .order_by(alerts.c.alert_id)
            .limit(limit)
        )
        if only_open:
            wanted = wanted.where(alerts.c.acknowledged_at.is_(None))

        def work(connection: Connection) -> Page[AlertRecord]:
            _check_stream(connection, stream_id)
            found = with_deliveries(connection, connection.execute(wanted).all())
            return Page(found, str(found[-1].alert_id) if len(found) == limit else None)

        return self.database.read(work)

    def acknowledge(self, stream_id: str, alert_id: int, *, now: float) -> AlertRecord:
        """Take an alert off the list of open ones; one that is off it keeps its time."""
        this = (alerts.c.stream_id == stream_id, alerts.c.alert_id == alert_id)
        changed = sa.update(alerts).where(*this, alerts.c.acknowledged_at.is_(None))

        def work(connection: Connection) -> AlertRecord:
            connection.execute(changed.values(acknowledged_at=now))
            found = with_deliveries(connection, connection.execute(sa.select(alerts).where(*this)).all())
            if not found:
                raise NotFoundError(f"the stream {stream_id!r} has no alert {alert_id}")
            return found[0]

        return self.database.write(work)

    def open_alerts(self, stream_id: str) -> int:
        """Count the alerts that nobody has acknowledged."""
        counted = (
            sa.select(sa.func.count())
            .select_from(alerts)
            .where(alerts.c.stream_id == stream_id, alerts.c.acknowledged_at.is_(None))
        )
        return self.database.read(lambda connection: connection.execute(counted).scalar_one())

    def newest_open(
        self, *, cursor: str | None, limit: int, projects: Sequence[str] | None = None
    ) -> Page[AlertRecord]:
        """List the alerts of all streams that nobody has acknowledged, the newest first."""
        wanted = (
            sa.select(alerts)
            .where(alerts.c.acknowledged_at.is_(None))
            .order_by(alerts.c.alert_id.desc())
            .limit(limit)
        )
        if projects is not None:
            wanted = wanted.where(of_projects(alerts.c.stream_id, projects))
        if cursor is not None:
            wanted = wanted.where(alerts.c.alert_id < numeric_cursor(cursor))

        def work(connection: Connection) -> Page[AlertRecord]:
            found = with_deliveries(connection, connection.execute(wanted).all())
            return Page(found, str(found[-1].alert_id) if len(found) == limit else None)

        return self.database.read(work)


def alert_record(row: Row[Any], deliveries: Iterable[DeliveryRecord]) -> AlertRecord:
    """Make a record of a row."""
    return AlertRecord(
        alert_id=row.alert_id,
        event_id=row.event_id,
        stream_id=row.stream_id,
        rule=row.rule,
        raised_at=row.raised_at,
        message=row.message,
        details=row.details,
        acknowledged_at=row.acknowledged_at,
        deliveries=tuple(deliveries),
    )


def _check_stream(connection: Connection, stream_id: str) -> None:
    if connection.scalar(sa.select(streams.c.stream_id).where(streams.c.stream_id == stream_id)) is None:
        raise NotFoundError(f"there is no stream {stream_id!r}")


def with_deliveries(connection: Connection, rows: Collection[Row[Any]]) -> list[AlertRecord]:
    """Make records of rows of alerts."""
    if not rows:
        return []
    ids = [row.alert_id for row in rows]
    wanted = (
        sa.select(alert_deliveries)
        .where(alert_deliveries.c.alert_id.in_(ids))
        .order_by(alert_deliveries.c.channel)
    )
    found: defaultdict[int, list[DeliveryRecord]] = defaultdict(list)
    for row in connection.execute(wanted):
        found[row.alert_id].append(
            DeliveryRecord(row.channel, row.delivered_at, row.due_at, row.failures, row.trouble)
        )
    return [alert_record(row, found[row.alert_id]) for row in rows]
