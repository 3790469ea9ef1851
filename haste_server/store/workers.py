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
COUNTED_UP_TO = 100_000
"""Tasks of one queue and phase; a million would take half a second."""

_ON_THEIR_WAY = (Phase.READY, Phase.DELAYED, Phase.HANDED_OUT)


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
        """Count the tasks on their way, by queue, up to `COUNTED_UP_TO` of each phase."""
        return self.database.read(
            lambda connection: [_queue(connection, route) for route in _routes(connection)]
        )

    def ping(self) -> None:
        """Ask the database for anything."""
        self.database.read(lambda connection: connection.execute(sa.select(1)))


def _routes(connection: Connection) -> list[Route]:
    """Find the queues of tasks on their way, by stepping from one to the next in an index."""
    found = set()
    for phase in _ON_THEIR_WAY:
        key = connection.scalar(_NEXT_KEY, {"phase": phase, "key": ""})
        while key is not None:
            of_key = {"phase": phase, "key": key}
            site = connection.scalar(_NEXT_SITE, {**of_key, "site": ""})
            while site is not None:
                found.add(Route(key, site))
                site = connection.scalar(_NEXT_SITE, {**of_key, "site": site})
            key = connection.scalar(_NEXT_KEY, of_key)
    return sorted(found)


def _queue(connection: Connection, route: Route) -> QueueView:
    named = {"key": route.task_key, "site": route.site}
    ready, delayed, handed_out = (
        connection.execute(_COUNTED, {**named, "phase": phase}).scalar_one() for phase in _ON_THEIR_WAY
    )
    return QueueView(
        route,
        ready=min(ready, COUNTED_UP_TO),
        delayed=min(delayed, COUNTED_UP_TO),
        handed_out=min(handed_out, COUNTED_UP_TO),
        oldest_ready_at=connection.scalar(_OLDEST, {**named, "phase": Phase.READY}),
        more=max(ready, delayed, handed_out) > COUNTED_UP_TO,
    )


def _upsert(connection: Connection, worker_id: str, row: dict[str, Any]) -> None:
    known = sa.update(workers).where(workers.c.worker_id == worker_id).values(row)
    if connection.execute(known).rowcount:
        return
    try:
        with connection.begin_nested():
            connection.execute(sa.insert(workers).values(worker_id=worker_id, **row))
    except IntegrityError:  # another engine heard the same worker's first word
        connection.execute(known)


# Made once, since each is asked some times for each queue.
_IN_PHASE = tasks.c.phase == sa.bindparam("phase", type_=tasks.c.phase.type)
_OF_KEY = tasks.c.task_key == sa.bindparam("key")
_OF_QUEUE = (_IN_PHASE, _OF_KEY, tasks.c.site == sa.bindparam("site"))
_NEXT_KEY = sa.select(sa.func.min(tasks.c.task_key)).where(_IN_PHASE, tasks.c.task_key > sa.bindparam("key"))
_NEXT_SITE = sa.select(sa.func.min(tasks.c.site)).where(
    _IN_PHASE, _OF_KEY, tasks.c.site > sa.bindparam("site")
)
_OLDEST = sa.select(sa.func.min(tasks.c.ready_at)).where(*_OF_QUEUE)
_COUNTED = sa.select(sa.func.count()).select_from(
    sa.select(sa.literal(1)).select_from(tasks).where(*_OF_QUEUE).limit(COUNTED_UP_TO + 1).subquery()
)
