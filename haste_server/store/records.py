"""Rows to records and back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from haste_core.jobs import JobRecord, TaskRecord
from haste_core.jobspec import JobSpec
from haste_core.lifecycle import Rules
from haste_core.messages import Place
from haste_core.states import Phase, TaskState
from haste_server.store import schema
from haste_server.store.database import Database


@dataclass(frozen=True)
class SqlPart:
    """What each part of the store works with."""

    database: Database
    rules: Rules


def load_jobs(connection: Connection, job_ids: Collection[int], *, lock: bool) -> dict[int, JobRecord]:
    """Load jobs with their tasks; unknown ids are left out.

    Parameters
    ----------
    lock : bool
        Hold the rows of the jobs and of their tasks to the end of the transaction. Whoever changes more than
        one task of a job holds its row, and rows are taken in the order of their ids, so that no two wait for
        each other. The tasks' rows are held as well, since a claim does without the job's.
    """
    if not job_ids:
        return {}
    job_rows = sa.select(schema.jobs).where(schema.jobs.c.job_id.in_(job_ids)).order_by(schema.jobs.c.job_id)
    if lock:
        job_rows = job_rows.with_for_update()
    rows = connection.execute(job_rows).all()
    task_rows = (
        sa.select(schema.tasks)
        .where(schema.tasks.c.job_id.in_([row.job_id for row in rows]))
        .order_by(schema.tasks.c.job_id, schema.tasks.c.position)
    )
    if lock:
        task_rows = task_rows.with_for_update()
    tasks: defaultdict[int, list[TaskRecord]] = defaultdict(list)
    for row in connection.execute(task_rows):
        tasks[row.job_id].append(task_record(row))
    return {row.job_id: _job_record(row, tuple(tasks[row.job_id])) for row in rows}


def job_ids_of_tasks(connection: Connection, task_ids: Collection[int]) -> dict[int, tuple[int, int]]:
    """Find the job and the position of each task; unknown ids are left out."""
    columns = (schema.tasks.c.task_id, schema.tasks.c.job_id, schema.tasks.c.position)
    rows = connection.execute(sa.select(*columns).where(schema.tasks.c.task_id.in_(task_ids)))
    return {row.task_id: (row.job_id, row.position) for row in rows}


def save_changes(connection: Connection, changes: Iterable[tuple[JobRecord, JobRecord]]) -> None:
    """Write what differs between jobs before and after."""
    job_rows, task_rows = [], []
    for before, after in changes:
        if (before.state, before.ended_at) != (after.state, after.ended_at):
            job_rows.append({"id": after.job_id, "state": int(after.state), "ended_at": after.ended_at})
        for old, new in zip(before.tasks, after.tasks, strict=True):
            if old is not new and old != new:
                task_rows.append({"id": new.task_id, **task_columns(new)})
    if job_rows:
        connection.execute(_UPDATE_JOB, job_rows)
    if task_rows:
        connection.execute(_UPDATE_TASK, task_rows)


def task_columns(task: TaskRecord) -> dict[str, Any]:
    """Write what may change about a task as columns."""
    return {
        "site": task.site,
        "state": int(task.state),
        "phase": int(task.phase),
        "order_key": task.order_key,
        "ready_at": task.ready_at,
        "contended": task.contended,
        "priority": task.priority,
        "attempt": task.attempt,
        "failures": task.failures,
        "losses": task.losses,
        "due_at": task.due_at,
        "worker_id": task.worker_id,
        "started_at": task.started_at,
        "ended_at": task.ended_at,
        "message": task.message,
        "response": task.response,
        "place": None if task.place is None else task.place.model_dump(exclude_none=True),
        "decision_id": task.decision_id,
    }


def task_record(row: Row[Any]) -> TaskRecord:
    """Read a task from its row."""
    return TaskRecord(
        position=row.position,
        task_key=row.task_key,
        site=row.site,
        task_id=row.task_id,
        state=TaskState(row.state),
        phase=Phase(row.phase),
        attempt=row.attempt,
        failures=row.failures,
        losses=row.losses,
        priority=row.priority,
        order_key=row.order_key,
        ready_at=row.ready_at,
        contended=row.contended,
        due_at=row.due_at,
        worker_id=row.worker_id,
        started_at=row.started_at,
        ended_at=row.ended_at,
        message=row.message,
        response=row.response,
        place=None if row.place is None else Place(**row.place),
        decision_id=row.decision_id,
    )


def _job_record(row: Row[Any], tasks: tuple[TaskRecord, ...]) -> JobRecord:
    return JobRecord(
        spec=JobSpec.model_validate(row.spec),
        tasks=tasks,
        created_at=row.created_at,
        priority=row.priority,
        job_id=row.job_id,
        state=TaskState(row.state),
        ended_at=row.ended_at,
    )


def parameters_of(pipeline: Mapping[str, Any], task_key: str) -> dict[str, Any]:
    """Find the handler's parameters in a stored pipeline."""
    found: dict[str, Any] = pipeline.get("parameters", {}).get(task_key, {})
    return found


_UPDATE_JOB = (
    sa.update(schema.jobs)
    .where(schema.jobs.c.job_id == sa.bindparam("id"))
    .values(state=sa.bindparam("state"), ended_at=sa.bindparam("ended_at"))
)
_UPDATE_TASK = (
    sa.update(schema.tasks)
    .where(schema.tasks.c.task_id == sa.bindparam("id"))
    .values({name: sa.bindparam(name) for name in task_columns(TaskRecord(0, "", ""))})
)
