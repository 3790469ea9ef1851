"""Tasks that are to copy, set aside while their stream observes.

See docs/decisions/0133-a-stream-that-observes-stops-its-moves.md.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from haste_core.states import Phase
from haste_core.task_changes import DECIDED_KEY
from haste_server.store.database import Database
from haste_server.store.schema import decisions, jobs, streams, tasks

TOGETHER = 500  # tasks whose rows are held together
STOPPED = "the stream only observes now; it goes on when the stream enforces again (haste mode)"


def without_stopped(connection: Connection, ready: Sequence[Row[Any]]) -> Sequence[Row[Any]]:
    """Set aside those of some tasks, which are held, that may not copy now, and return the others.

    Most were set aside when the mode changed; some were with a worker then, or waited for another task.
    """
    asked = [row.task_id for row in ready if row.task_key == DECIDED_KEY]
    aside = _set_aside(connection, asked) if asked else set()
    return [row for row in ready if row.task_id not in aside] if aside else ready


def set_moves_aside(database: Database, stream_id: str) -> None:
    """Set aside all tasks of a stream that are to copy, as it observes now.

    A few at a time, after the mode was changed: whoever hands one out meanwhile sets it aside, too.
    """
    found = database.read(lambda connection: connection.scalars(_OF_STREAM, {"name": stream_id}).all())
    for start in range(0, len(found), TOGETHER):
        database.write(partial(_hold_and_set_aside, task_ids=found[start : start + TOGETHER]))


def _hold_and_set_aside(connection: Connection, task_ids: Sequence[int]) -> None:
    held = connection.scalars(_HOLD, {"ids": list(task_ids)}).all()
    if held:
        _set_aside(connection, held)


def _set_aside(connection: Connection, task_ids: Collection[int]) -> set[int]:
    """Set aside those of some tasks, which are held, that are to copy though their stream observes."""
    found = connection.execute(_STOPPED, {"ids": list(task_ids)}).all()
    if not found:
        return set()
    # Else it could enforce again, and its objects be looked through, before this here is to be seen.
    names = {"names": sorted({row.stream_id for row in found})}
    observing = set(connection.scalars(_OBSERVING, names))
    aside = {row.task_id for row in found if row.stream_id in observing}
    if aside:
        connection.execute(_SET_ASIDE, {"ids": sorted(aside)})
    return aside


_IDS: sa.BindParameter[int] = sa.bindparam("ids", expanding=True)
_WAITS = tasks.c.phase.in_((Phase.READY, Phase.DELAYED))
_TO_COPY = (
    sa.select(tasks.c.task_id, jobs.c.stream_id)
    .join(jobs, jobs.c.job_id == tasks.c.job_id)
    .join(decisions, decisions.c.decision_id == tasks.c.decision_id)
    # What is copied already is to be removed where it was: half a move helps nobody.
    .where(tasks.c.task_key == DECIDED_KEY, tasks.c.leaving.is_(None), decisions.c.mode == "enforce")
)
_STOPPED = _TO_COPY.join(streams, streams.c.stream_id == jobs.c.stream_id).where(
    tasks.c.task_id.in_(_IDS), streams.c.mode == "observe"
)
_OF_STREAM = (
    _TO_COPY.with_only_columns(tasks.c.task_id)
    .where(_WAITS, jobs.c.stream_id == sa.bindparam("name"))
    .order_by(tasks.c.task_id)
)
_HOLD = (
    sa.select(tasks.c.task_id)
    .where(tasks.c.task_id.in_(_IDS), _WAITS)
    .order_by(tasks.c.task_id)
    .with_for_update()
)
_OBSERVING = (
    sa.select(streams.c.stream_id)
    .where(streams.c.stream_id.in_(sa.bindparam("names", expanding=True)), streams.c.mode == "observe")
    .order_by(streams.c.stream_id)
    .with_for_update(read=True)
)
_SET_ASIDE = (
    sa.update(tasks)
    .where(tasks.c.task_id.in_(_IDS))
    .values(phase=Phase.SET_ASIDE, due_at=None, message=STOPPED)
)
