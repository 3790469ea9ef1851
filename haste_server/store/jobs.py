"""Looking jobs up."""

from __future__ import annotations

import math
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from haste_core.errors import InvalidError, NotFoundError, Problem
from haste_core.jobs import JobRecord
from haste_core.states import Phase, TaskState
from haste_core.stores import JobFilter, Page
from haste_server.store.projects import of_projects
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
        after = int(cursor or 0)
    except ValueError:
        raise bad_cursor(cursor) from None
    if not 0 <= after < 2**63:  # the largest that databases store
        raise bad_cursor(cursor)
    return after


def scored_cursor(cursor: str) -> tuple[float, int]:
    """Read a cursor that is a score or a time, and the id of a job.

    Raises
    ------
    InvalidError
        If it was not made by this server.
    """
    value, _, job_id = cursor.partition(":")
    try:
        number = float(value)
    except ValueError:
        raise bad_cursor(cursor) from None
    if not math.isfinite(number) or not job_id:
        raise bad_cursor(cursor)
    return number, numeric_cursor(job_id)


def bad_cursor(cursor: str | None) -> InvalidError:
    """Say that a cursor was not made by this server."""
    shown = (cursor or "")[:100]
    return InvalidError([Problem("cursor", f"{shown!r} is not the `next` of an earlier answer")])


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


def _page(connection: Connection, wanted: JobFilter, cursor: str | None, limit: int) -> Page[int]:
    if wanted.ended_since is None:
        after = numeric_cursor(cursor)
        items = list(connection.scalars(_in_order_of_ids(wanted, after, limit)))
        return Page(items, str(items[-1]) if len(items) == limit else None)
    ended_at, job_id = scored_cursor(cursor) if cursor else (wanted.ended_since, 0)
    later = sa.or_(jobs.c.ended_at > ended_at, sa.and_(jobs.c.ended_at == ended_at, jobs.c.job_id > job_id))
    rows = connection.execute(
        sa.select(jobs.c.job_id, jobs.c.ended_at)
        .where(*conditions_of(wanted), *_of_states(states_of(wanted)), later)
        .order_by(jobs.c.ended_at, jobs.c.job_id)
        .limit(limit)
    ).all()
    following = f"{rows[-1].ended_at!r}:{rows[-1].job_id}" if len(rows) == limit else None
    return Page([row.job_id for row in rows], following)


def _in_order_of_ids(wanted: JobFilter, after: int, limit: int) -> sa.Select[int]:
    """Choose one page, state by state: of several at once, databases would read all jobs that come before."""
    pages = [
        sa.select(jobs.c.job_id)
        .where(*conditions_of(wanted), *_of_states(states), jobs.c.job_id > after)
        .order_by(jobs.c.job_id)
        .limit(limit)
        .subquery()
        for states in [[state] for state in states_of(wanted)] or [[]]
    ]
    found = sa.union_all(*(sa.select(page.c.job_id) for page in pages)).subquery()
    return sa.select(found.c.job_id).order_by(found.c.job_id).limit(limit)


def conditions_of(wanted: JobFilter) -> list[sa.ColumnElement[bool]]:
    """Write what is wanted beside the jobs' own states."""
    conditions: list[sa.ColumnElement[bool]] = []
    if wanted.stream_id is not None:
        conditions.append(jobs.c.stream_id == wanted.stream_id)
    if wanted.source_id is not None:
        conditions.append(jobs.c.source_id == wanted.source_id)
    if wanted.projects is not None:
        conditions.append(of_projects(jobs.c.stream_id, wanted.projects))
    if wanted.state == TaskState.RUNNING:
        conditions.append(_RUNNING)
    elif wanted.state == TaskState.REGISTERED:  # as jobs are shown: waiting, or held until somebody asks
        conditions.append(~_RUNNING)
    return conditions


def states_of(wanted: JobFilter) -> Sequence[int]:
    """List the states that the wanted jobs may be in; empty if any."""
    match wanted.state:
        case None | TaskState.RUNNING:
            return ()
        case "open" | TaskState.REGISTERED:
            return _OPEN_STATES
        case "done":
            return (TaskState.DONE,)
        case "failed":
            return [state for state in TaskState if state.failed]
        case code:
            return (code,)


def _of_states(states: Sequence[int]) -> list[sa.ColumnElement[bool]]:
    return [jobs.c.state.in_(states)] if states else []
