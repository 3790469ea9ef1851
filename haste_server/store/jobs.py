"""Looking jobs up, and what users ask of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from haste_core import lifecycle
from haste_core.errors import InvalidError, NotFoundError, Problem
from haste_core.jobs import JobRecord
from haste_core.ports import JobFilter, Page
from haste_core.states import Phase, TaskState
from haste_server.store.records import SqlPart, job_ids_of_tasks, load_jobs, save_changes
from haste_server.store.schema import jobs, tasks

PRIORITY_BATCH = 500  # jobs whose rows are held together while their priorities change

_OPEN_STATES = (TaskState.REGISTERED, TaskState.RESET)

# A job's row does not tell: it would change with each hand-out. What is handed out is little.
_RUNNING = jobs.c.job_id.in_(sa.select(tasks.c.job_id).where(tasks.c.phase == Phase.HANDED_OUT))


class Jobs(SqlPart):
    """The API's view of jobs."""

    def job(self, job_id: int) -> JobRecord:
        """Load a job."""
        found = self.database.read(lambda connection: load_jobs(connection, {job_id}, lock=False))
        if job_id not in found:
            raise NotFoundError(f"there is no job {job_id}")
        return found[job_id]

    def job_of_task(self, task_id: int) -> tuple[JobRecord, int]:
        """Load the job of a task, and the task's position in it."""

        def work(connection: Connection) -> tuple[JobRecord, int]:
            job_id, position = _locate(connection, task_id)
            return _loaded(connection, job_id, lock=False), position

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

    def delete(self, job_id: int) -> None:
        """Forget a job; a result that is still under way will find nothing to change."""

        def work(connection: Connection) -> None:
            _loaded(connection, job_id, lock=True)
            connection.execute(sa.delete(jobs).where(jobs.c.job_id == job_id))

        self.database.write(work)

    def retry_job(self, job_id: int, *, now: float) -> JobRecord:
        """Run the failed and reset tasks of a job again."""

        def work(connection: Connection) -> JobRecord:
            return self._change(connection, job_id, partial(lifecycle.retry, now=now, rules=self.rules))

        return self.database.write(work)

    def retry_task(self, task_id: int, *, now: float) -> JobRecord:
        """Run a failed or reset task again."""
        return self._change_task(task_id, lifecycle.retry_task, now)

    def force_retry_task(self, task_id: int, *, now: float) -> JobRecord:
        """Run a task again whatever its state, and what depends on it."""
        return self._change_task(task_id, lifecycle.force_retry_task, now)

    def reset_task(self, task_id: int, *, now: float) -> JobRecord:
        """Take a task back to registered until it is asked for again."""
        return self._change_task(task_id, lifecycle.reset_task, now)

    def set_priorities(self, priorities: Mapping[int, float]) -> list[int]:
        """Give jobs other priorities; answer with the ids that are unknown."""
        unknown: list[int] = []
        job_ids = sorted(priorities)
        for start in range(0, len(job_ids), PRIORITY_BATCH):
            batch = {job_id: priorities[job_id] for job_id in job_ids[start : start + PRIORITY_BATCH]}
            known = self.database.write(partial(_reprioritise, priorities=batch))
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

    def _change_task(self, task_id: int, change: Callable[..., JobRecord], now: float) -> JobRecord:
        def work(connection: Connection) -> JobRecord:
            job_id, position = _locate(connection, task_id)
            return self._change(
                connection, job_id, lambda job: change(job, position, now=now, rules=self.rules)
            )

        return self.database.write(work)

    def _change(
        self, connection: Connection, job_id: int, change: Callable[[JobRecord], JobRecord]
    ) -> JobRecord:
        before = _loaded(connection, job_id, lock=True)
        after = change(before)
        save_changes(self.database, connection, [(before, after)])
        return after


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


def _bad_cursor(cursor: str | None) -> InvalidError:
    return InvalidError([Problem("cursor", f"{cursor!r} is not the `next` of an earlier answer")])


def _locate(connection: Connection, task_id: int) -> tuple[int, int]:
    found = job_ids_of_tasks(connection, {task_id})
    if task_id not in found:
        raise NotFoundError(f"there is no task {task_id}")
    return found[task_id]


def _loaded(connection: Connection, job_id: int, *, lock: bool) -> JobRecord:
    found = load_jobs(connection, {job_id}, lock=lock)
    if job_id not in found:
        raise NotFoundError(f"there is no job {job_id}")
    return found[job_id]


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


def _reprioritise(connection: Connection, priorities: Mapping[int, float]) -> set[int]:
    """Move the waiting tasks of jobs by the difference of their priorities."""
    rows = connection.execute(
        sa.select(jobs.c.job_id, jobs.c.priority)
        .where(jobs.c.job_id.in_(list(priorities)))
        .order_by(jobs.c.job_id)
        .with_for_update()
    ).all()
    moves: list[dict[str, Any]] = [
        {"id": row.job_id, "new": priorities[row.job_id], "later_by": row.priority - priorities[row.job_id]}
        for row in rows
        if row.priority != priorities[row.job_id]
    ]
    if moves:
        connection.execute(_SET_PRIORITY, moves)
        connection.execute(_MOVE_WAITING_TASKS, moves)
    return {row.job_id for row in rows}


_SET_PRIORITY = (
    sa.update(jobs).where(jobs.c.job_id == sa.bindparam("id")).values(priority=sa.bindparam("new"))
)
_MOVE_WAITING_TASKS = (
    sa.update(tasks)
    .where(
        tasks.c.job_id == sa.bindparam("id"),
        # Handed-out tasks too: they may come back.
        tasks.c.phase.between(Phase.READY, Phase.HANDED_OUT),
        tasks.c.priority.is_(None),
    )
    .values(order_key=tasks.c.order_key + sa.bindparam("later_by"))
)
