"""Looking jobs up."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from haste_core.errors import InvalidError, NotFoundError, Problem
from haste_core.jobs import JobRecord
from haste_core.states import Phase, TaskState
from haste_core.stores import JobFilter, Page
from haste_server.store.records import SqlPart, job_ids_of_tasks, load_jobs
from haste_server.store.schema import jobs, tasks

_OPEN_STATES = (TaskState.REGISTERED, TaskState.RESET)

# A job's row does not tell: it would change with each hand-out. What is handed out is little.
_RUNNING = jobs.c.job_id.in_(sa.select(tasks.c.job_id).where(tasks.c.phase == Phase.HANDED_OUT))


class Jobs(SqlPart):
    """The API's view of jobs."""

    def job(self, job_id: int) -> JobRecord:
        """Load a job."""
        return self.database.read(lambda connection: load_job(connection, job_id, lock=False))

    def job_of_task(self, task_id: int) -> tuple[JobRecord, int]:
        """Load the job of a task, and the task's position in it."""

        def work(connection: Connection) -> tuple[JobRecord, int]:
            job_id, position = locate(connection, task_id)
            return load_job(connection, job_id, lock=False), position

        return self.database.read(work)

    def jobs(self, wanted: JobFilter, *, cursor: str | None, limit: int) -> Page[JobRecord]:
        """List jobs, by id or by end."""

        def work(connection: Connection) -> Page[JobRecord]:
            page = _page(connection, wanted, cursor, limit)
            found = load_jobs(connection, page.items, lock=False)
            return Page([found[job_id] for job_id in page.items if job_id in found], page.next)

        return self.database.read(work)

    def job_ids(self, wanted: JobFilter, *, cursor: str | None, limit: int) -> Page[int]:
        """List the ids of jobs."""
        return self.database.read(lambda connection: _page(connection, wanted, cursor, limit))


def numeric_cursor(cursor: str | None) -> int:
    """Read a cursor that is the last id of the page before.

    Raises
    ------
    InvalidError
        If it was not made by this server.
    """
    try:
        return int(cursor or 0)
    except ValueError:
        raise _bad_cursor(cursor) from None


def load_job(connection: Connection, job_id: int, *, lock: bool) -> JobRecord:
    """Load a job, and hold its rows if `lock` says so; see `load_jobs`.

    Raises
    ------
    NotFoundError
    """
    found = load_jobs(connection, {job_id}, lock=lock)
    if job_id not in found:
        raise no_job(job_id)
    return found[job_id]


def locate(connection: Connection, task_id: int) -> tuple[int, int]:
    """Find the job of a task, and the task's position in it.

    Raises
    ------
    NotFoundError
    """
    found = job_ids_of_tasks(connection, {task_id})
    if task_id not in found:
        raise no_task(task_id)
    return found[task_id]


def no_job(job_id: int) -> NotFoundError:
    """Say that there is no such job."""
    return NotFoundError(f"there is no job {job_id}")


def no_task(task_id: int) -> NotFoundError:
    """Say that there is no such task."""
    return NotFoundError(f"there is no task {task_id}")


def _bad_cursor(cursor: str | None) -> InvalidError:
    return InvalidError([Problem("cursor", f"{cursor!r} is not the `next` of an earlier answer")])


def _page(connection: Connection, wanted: JobFilter, cursor: str | None, limit: int) -> Page[int]:
    chosen = sa.select(jobs.c.job_id, jobs.c.ended_at).where(*_conditions(wanted)).limit(limit)
    if wanted.ended_since is None:
        chosen = chosen.where(jobs.c.job_id > numeric_cursor(cursor)).order_by(jobs.c.job_id)
    else:
        ended_at, job_id = _end_cursor(cursor) if cursor else (wanted.ended_since, 0)
        chosen = chosen.where(
            sa.or_(
                jobs.c.ended_at > ended_at,
                sa.and_(jobs.c.ended_at == ended_at, jobs.c.job_id > job_id),
            )
        ).order_by(jobs.c.ended_at, jobs.c.job_id)
    rows = connection.execute(chosen).all()
    following = None
    if len(rows) == limit:
        last = rows[-1]
        following = str(last.job_id) if wanted.ended_since is None else f"{last.ended_at!r}:{last.job_id}"
    return Page([row.job_id for row in rows], following)


def _end_cursor(cursor: str) -> tuple[float, int]:
    ended_at, _, job_id = cursor.partition(":")
    try:
        return float(ended_at), int(job_id)
    except ValueError:
        raise _bad_cursor(cursor) from None


def _conditions(wanted: JobFilter) -> list[sa.ColumnElement[bool]]:
    conditions = []
    if wanted.stream_id is not None:
        conditions.append(jobs.c.stream_id == wanted.stream_id)
    if wanted.source_id is not None:
        conditions.append(jobs.c.source_id == wanted.source_id)
    match wanted.state:
        case None:
            pass
        case "open":
            conditions.append(jobs.c.state.in_(_OPEN_STATES))
        case "done":
            conditions.append(jobs.c.state == TaskState.DONE)
        case "failed":
            conditions.append(jobs.c.state.in_([state for state in TaskState if state.failed]))
        case TaskState.RUNNING:
            conditions.append(_RUNNING)
        case TaskState.REGISTERED:  # as jobs are shown: waiting, or held until somebody asks
            conditions += [jobs.c.state.in_(_OPEN_STATES), ~_RUNNING]
        case code:
            conditions.append(jobs.c.state == code)
    return conditions
