"""The attempts of tasks: what became of each, and which of them nobody wants any more."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from haste_core.jobs import JobRecord
from haste_core.messages import AttemptKey, Outcome, TaskResult
from haste_core.states import Phase, TaskState
from haste_core.stores import AttemptRecord
from haste_server.store.jobs import no_task
from haste_server.store.records import SqlPart
from haste_server.store.schema import attempts, tasks

SHOWN_ATTEMPTS = 100
_LOOKED_UP = 1000  # rows in one query


def attempt_row(result: TaskResult, message: str, now: float) -> dict[str, Any]:
    """Write an attempt that ended as a row."""
    return {
        "task_id": result.task_id,
        "attempt": result.attempt,
        "outcome": result.outcome.value,
        "state": int(result.state),
        "worker_id": result.worker_id,
        "started_at": result.started_at,
        "ended_at": result.ended_at or now,
        "message": message,
    }


class History(SqlPart):
    """Attempts that ended, and attempts that should."""

    def attempts(self, task_id: int) -> list[AttemptRecord]:
        """List the latest attempts of a task, the present one last."""
        ended = (
            sa.select(attempts)
            .where(attempts.c.task_id == task_id)
            .order_by(attempts.c.attempt.desc())
            .limit(SHOWN_ATTEMPTS)
        )

        def work(connection: Connection) -> list[AttemptRecord]:
            task = connection.execute(sa.select(tasks).where(tasks.c.task_id == task_id)).one_or_none()
            if task is None:
                raise no_task(task_id)
            present = [_present(task)] if task.phase is Phase.HANDED_OUT else []
            return [*map(_ended, reversed(connection.execute(ended).all())), *present]

        return self.database.read(work)

    def unwanted(self, held: Collection[AttemptKey]) -> list[AttemptKey]:
        """Find those of some attempts that somebody has cancelled, deleted, or asked for anew."""
        if not held:
            return []

        def work(connection: Connection) -> list[AttemptKey]:
            found: dict[int, Row[Any]] = {}
            task_ids = sorted({task_id for task_id, _ in held})
            for start in range(0, len(task_ids), _LOOKED_UP):
                rows = connection.execute(_PRESENT_ATTEMPTS, {"ids": task_ids[start : start + _LOOKED_UP]})
                found |= {row.task_id: row for row in rows}
            return [key for key in held if _is_unwanted(key[1], found.get(key[0]))]

        return self.database.read(work)


def note_revoked(
    connection: Connection, changes: Iterable[tuple[JobRecord, JobRecord]], *, now: float
) -> None:
    """Write history for the attempts that a user's action has ended before their workers could."""
    rows = list(_revoked_rows(changes, now))
    if rows:
        connection.execute(sa.insert(attempts), rows)


def _revoked_rows(changes: Iterable[tuple[JobRecord, JobRecord]], now: float) -> Iterator[dict[str, Any]]:
    for before, after in changes:
        for old, new in zip(before.tasks, after.tasks, strict=True):
            if old.phase is Phase.HANDED_OUT and new.phase is not Phase.HANDED_OUT:
                yield {
                    "task_id": old.task_id,
                    "attempt": old.attempt,
                    "outcome": Outcome.REVOKED.value,
                    "state": new.state,
                    "worker_id": old.worker_id,
                    "started_at": old.started_at,
                    "ended_at": now,
                    "message": new.message or "stopped, since it was asked for anew",
                }


def _is_unwanted(attempt: int, task: Row[Any] | None) -> bool:
    if task is None or task.attempt != attempt:
        return True
    if task.phase is Phase.ENDED:
        return task.state is TaskState.CANCELLED  # else by its own result, whose worker is done with it
    return task.phase is not Phase.HANDED_OUT


def _ended(row: Row[Any]) -> AttemptRecord:
    return AttemptRecord(
        row.attempt,
        Outcome(row.outcome),
        row.state,
        row.worker_id or None,
        row.started_at,
        row.ended_at,
        row.message,
    )


def _present(task: Row[Any]) -> AttemptRecord:
    return AttemptRecord(task.attempt, None, task.state, task.worker_id, task.started_at, None, task.message)


_PRESENT_ATTEMPTS = sa.select(tasks.c.task_id, tasks.c.attempt, tasks.c.phase, tasks.c.state).where(
    tasks.c.task_id.in_(sa.bindparam("ids", expanding=True))
)
