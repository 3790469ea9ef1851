"""Which workers are there, and what waits for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from haste_core.messages import Presence
from haste_core.ports import QueueView
from haste_core.routing import Route
from haste_core.states import Phase
from haste_core.stores import WorkerView
from haste_server.store.records import SqlPart
from haste_server.store.schema import tasks, workers

FORGET_AFTER_S = 24 * 3600  # who was not heard of for a day is dropped from the table


class Workers(SqlPart):
    """Presence of workers, and the queues' lengths."""

    def save_presence(self, presences: Sequence[Presence], *, now: float) -> None:
        """Remember which workers are there."""
        latest = {presence.worker_id: presence for presence in presences}

        def work(connection: Connection) -> None:
            for worker_id in sorted(latest):
                presence = latest[worker_id]
                row = {
                    "presence": presence.encode().decode(),
                    "leaving": presence.leaving,
                    "seen_at": now,
                }
                _upsert(connection, worker_id, row)
            connection.execute(sa.delete(workers).where(workers.c.seen_at < now - FORGET_AFTER_S))

        if latest:
            self.database.write(work)

    def workers(self, *, seen_since: float) -> list[WorkerView]:
        """List the workers that were heard of lately and are not leaving."""
        wanted = (
            sa.select(workers)
            .where(workers.c.seen_at >= seen_since, workers.c.leaving.is_(False))
            .order_by(workers.c.worker_id)
        )
        rows = self.database.read(lambda connection: connection.execute(wanted).all())
        return [WorkerView(Presence.decode(row.presence.encode()), row.seen_at) for row in rows]

    def queues(self) -> list[QueueView]:
        """Count the tasks on their way, by queue."""
        counted = (
            sa.select(
                tasks.c.phase,
                tasks.c.task_key,
                tasks.c.site,
                sa.func.count().label("number"),
                sa.func.min(tasks.c.ready_at).label("oldest"),
            )
            .where(tasks.c.phase.in_([Phase.READY, Phase.DELAYED, Phase.HANDED_OUT]))
            .group_by(tasks.c.phase, tasks.c.task_key, tasks.c.site)
        )
        rows = self.database.read(lambda connection: connection.execute(counted).all())
        counts = {(Route(row.task_key, row.site), Phase(row.phase)): row for row in rows}

        def number(route: Route, phase: Phase) -> int:
            return counts[route, phase].number if (route, phase) in counts else 0

        return [
            QueueView(
                route,
                ready=number(route, Phase.READY),
                delayed=number(route, Phase.DELAYED),
                handed_out=number(route, Phase.HANDED_OUT),
                oldest_ready_at=counts[route, Phase.READY].oldest if (route, Phase.READY) in counts else None,
            )
            for route in sorted({route for route, _ in counts})
        ]

    def ping(self) -> None:
        """Ask the database for anything."""
        self.database.read(lambda connection: connection.execute(sa.select(1)))


def _upsert(connection: Connection, worker_id: str, row: dict[str, Any]) -> None:
    known = sa.update(workers).where(workers.c.worker_id == worker_id).values(row)
    if connection.execute(known).rowcount:
        return
    try:
        with connection.begin_nested():
            connection.execute(sa.insert(workers).values(worker_id=worker_id, **row))
    except IntegrityError:  # another engine heard the same worker's first word
        connection.execute(known)
