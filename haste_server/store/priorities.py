"""The order in which waiting tasks are handed out, changed while they wait."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.types import TypeEngine

from haste_core.states import Phase
from haste_server.store.database import Database
from haste_server.store.many_rows import GivenRows
from haste_server.store.records import SqlPart, job_ids_of_tasks
from haste_server.store.schema import jobs, tasks

BATCH = 2000  # jobs or tasks whose rows are held together

_Priority = TypeVar("_Priority", float, float | None)

# Handed-out tasks too: they may come back.
_WAITING = tasks.c.phase.between(Phase.READY, Phase.HANDED_OUT)


class Priorities(SqlPart):
    """Priorities of jobs and of single tasks."""

    def set_priorities(self, priorities: Mapping[int, float]) -> list[int]:
        """Give jobs other priorities; answer with the ids that are unknown."""
        unknown: list[int] = []
        for batch in _batches(priorities):
            known = self.database.write(partial(_reprioritise_jobs, database=self.database, priorities=batch))
            unknown.extend(job_id for job_id in batch if job_id not in known)
        return unknown

    def set_priorities_by_index(self, stream_id: str, priorities: Mapping[int, float]) -> list[int]:
        """Give jobs other priorities, by their objects' numbers in the stream."""
        wanted = sa.select(jobs.c.stream_index, jobs.c.job_id).where(
            jobs.c.stream_id == stream_id, jobs.c.stream_index.in_(list(priorities))
        )
        rows = self.database.read(lambda connection: connection.execute(wanted).all())
        self.set_priorities({row.job_id: priorities[row.stream_index] for row in rows})
        return sorted(set(priorities) - {row.stream_index for row in rows})

    def set_task_priorities(self, priorities: Mapping[int, float | None]) -> list[int]:
        """Give tasks priorities of their own, or (None) their jobs'; answer with the ids that are unknown."""
        unknown: list[int] = []
        for batch in _batches(priorities):
            known = self.database.write(
                partial(_reprioritise_tasks, database=self.database, priorities=batch)
            )
            unknown.extend(task_id for task_id in batch if task_id not in known)
        return unknown


def _batches(priorities: Mapping[int, _Priority]) -> Iterator[dict[int, _Priority]]:
    ids = sorted(priorities)
    for start in range(0, len(ids), BATCH):
        yield {number: priorities[number] for number in ids[start : start + BATCH]}


def _reprioritise_jobs(
    connection: Connection, database: Database, priorities: Mapping[int, float]
) -> set[int]:
    """Move the waiting tasks of jobs by the difference of their priorities."""
    rows = connection.execute(_HOLD_JOBS, {"ids": list(priorities)}).all()
    moves: list[dict[str, Any]] = [
        {"id": row.job_id, "new": priorities[row.job_id], "later_by": row.priority - priorities[row.job_id]}
        for row in rows
        if row.priority != priorities[row.job_id]
    ]
    if moves:
        given = _given(database)
        for statement in _job_moves(given.table):
            for parameter in given.parameters(moves):
                connection.execute(statement, {"rows": parameter})
    return {row.job_id for row in rows}


def _reprioritise_tasks(
    connection: Connection, database: Database, priorities: Mapping[int, float | None]
) -> set[int]:
    """Move tasks by the difference of their priorities, where they wait."""
    # Their jobs' rows are held first, as by all who change several tasks.
    job_ids = {job_id for job_id, _ in job_ids_of_tasks(connection, list(priorities)).values()}
    of_jobs = {
        row.job_id: row.priority for row in connection.execute(_HOLD_JOBS, {"ids": list(job_ids)}).all()
    }
    rows = connection.execute(_HOLD_TASKS, {"ids": list(priorities)}).all()
    moves = []
    for row in rows:
        of_job, new = of_jobs[row.job_id], priorities[row.task_id]
        before, after = (of_job if own is None else own for own in (row.priority, new))
        if (row.priority, before) != (new, after):
            moves.append({"id": row.task_id, "new": new, "later_by": before - after})
    if moves:
        given = _given(database)
        for statement in _task_moves(given.table):
            for parameter in given.parameters(moves):
                connection.execute(statement, {"rows": parameter})
    return {row.task_id for row in rows}


def _job_moves(given: sa.Subquery) -> tuple[sa.Update, sa.Update]:
    inherits = tasks.c.priority.is_(None)
    return (
        sa.update(jobs).where(jobs.c.job_id == given.c.id).values(priority=given.c.new),
        sa.update(tasks)
        .where(tasks.c.job_id == given.c.id, _WAITING, inherits)
        .values(order_key=tasks.c.order_key + given.c.later_by),
    )


def _task_moves(given: sa.Subquery) -> tuple[sa.Update, sa.Update]:
    of_task = tasks.c.task_id == given.c.id
    return (
        sa.update(tasks).where(of_task).values(priority=given.c.new),
        sa.update(tasks).where(of_task, _WAITING).values(order_key=tasks.c.order_key + given.c.later_by),
    )


def _given(database: Database) -> GivenRows:
    double: TypeEngine[float] = sa.Double()
    return GivenRows({"id": sa.BigInteger(), "new": double, "later_by": double}, is_sqlite=database.is_sqlite)


_IDS: sa.BindParameter[int] = sa.bindparam("ids", expanding=True)

_HOLD_JOBS = (
    sa.select(jobs.c.job_id, jobs.c.priority)
    .where(jobs.c.job_id.in_(_IDS))
    .order_by(jobs.c.job_id)
    .with_for_update()
)
_HOLD_TASKS = (
    sa.select(tasks.c.task_id, tasks.c.job_id, tasks.c.priority)
    .where(tasks.c.task_id.in_(_IDS))
    .order_by(tasks.c.task_id)
    .with_for_update()
)
