"""Jobs as pages list them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from haste_core.job_lists import Failure, FoundJobs, JobLine, JobSearch, TaskLine
from haste_core.states import Phase, TaskState
from haste_core.stores import JobFilter
from haste_server.store.jobs import conditions_of, numeric_cursor, states_of
from haste_server.store.projects import of_projects
from haste_server.store.records import SqlPart, job_ids_of_tasks
from haste_server.store.schema import jobs, tasks

LOOKED_AT = 10_000
"""Jobs that one call looks at where no index tells which of them are wanted: a tenth of a second's work."""

_FIRST_LOOK = 500  # doubled until enough is found

_FAILED = [state for state in TaskState if state.failed]
_ON_THEIR_OWN = (Phase.UNDECIDED, Phase.READY, Phase.DELAYED)
_NEWEST = 2**63 - 1


class JobLists(SqlPart):
    """A `haste_core.job_lists.JobListStore`."""

    def find_jobs(self, wanted: JobSearch, *, cursor: str | None, limit: int) -> FoundJobs:
        """List jobs; see `haste_core.job_lists.JobListStore.find_jobs`."""
        before = numeric_cursor(cursor) if cursor else _NEWEST

        def work(connection: Connection) -> FoundJobs:
            job_ids, following, looked_at = _find(connection, wanted, before, limit)
            lines = _lines(connection, job_ids)
            return FoundJobs(lines, None if following is None else str(following), looked_at)

        return self.database.read(work)

    def latest_failures(self, wanted: JobSearch, *, limit: int) -> list[Failure]:
        """List failed tasks; see `haste_core.job_lists.JobListStore.latest_failures`."""

        def work(connection: Connection) -> list[Failure]:
            job_ids, _, _ = _find(connection, replace(wanted, state="failed"), _NEWEST, limit)
            rows = connection.execute(_FAILED_TASKS, {"ids": job_ids}) if job_ids else ()
            return [Failure(*row) for row in rows if wanted.task_key in (None, row.task_key)]

        return self.database.read(work)

    def tasks_to_hold(self, job_ids: Sequence[int], *, task_key: str | None) -> dict[int, list[int]]:
        """Find tasks to hold; see `haste_core.job_lists.JobListStore.tasks_to_hold`."""
        chosen = _TO_HOLD if task_key is None else _TO_HOLD.where(tasks.c.task_key == task_key)

        def work(connection: Connection) -> dict[int, list[int]]:
            found: defaultdict[int, list[int]] = defaultdict(list)
            for row in connection.execute(chosen, {"ids": list(job_ids)}) if job_ids else ():
                found[row.job_id].append(row.task_id)
            return dict(found)

        return self.database.read(work)

    def jobs_of_tasks(self, task_ids: Sequence[int]) -> dict[int, JobLine]:
        """Find the jobs of tasks; see `haste_core.job_lists.JobListStore.jobs_of_tasks`."""

        def work(connection: Connection) -> dict[int, JobLine]:
            located = job_ids_of_tasks(connection, task_ids)
            job_ids = {job_id for job_id, _ in located.values()}
            rows = connection.execute(_JOBS, {"ids": sorted(job_ids)}) if job_ids else ()
            lines = {row.job_id: _line(row, ()) for row in rows}
            return {task_id: lines[job_id] for task_id, (job_id, _) in located.items() if job_id in lines}

        return self.database.read(work)


def _find(
    connection: Connection, wanted: JobSearch, before: int, limit: int
) -> tuple[list[int], int | None, int]:
    """Find one part: the jobs' ids, the last id that was looked at if there are more, and how many were."""
    if not wanted.looks_inside:
        job_ids = list(connection.scalars(_window(wanted, before, limit)))
        return job_ids, job_ids[-1] if len(job_ids) == limit else None, len(job_ids)
    found: list[int] = []
    size, looked_at = _FIRST_LOOK, 0
    while looked_at < LOOKED_AT:
        window = _window(wanted, before, size).subquery()
        number, last = connection.execute(
            sa.select(sa.func.count(), sa.func.min(window.c.job_id)).select_from(window)
        ).one()
        found += connection.scalars(_fitting(wanted, window, limit - len(found)))
        looked_at += number
        if len(found) == limit:
            return found, found[-1], looked_at
        if number < size:
            return found, None, looked_at
        before, size = last, min(2 * size, LOOKED_AT - looked_at)
    return found, before, looked_at


def _fitting(wanted: JobSearch, window: sa.Subquery, limit: int) -> sa.Select[int]:
    return (
        sa.select(jobs.c.job_id)
        .join(window, window.c.job_id == jobs.c.job_id)
        .where(*_inside(wanted))
        .order_by(jobs.c.job_id.desc())
        .limit(limit)
    )


def _window(wanted: JobSearch, before: int, size: int) -> sa.Select[int]:
    """Choose the newest jobs below an id by what indexes know, state by state.

    Of several states at once, databases would read and sort all jobs that have them.
    """
    if wanted.state == TaskState.RUNNING:
        return _running(wanted, before).order_by(jobs.c.job_id.desc()).limit(size)
    of_jobs = JobFilter(stream_id=wanted.stream_id, state=wanted.state, projects=wanted.projects)
    parts = [
        sa.select(jobs.c.job_id)
        .where(*conditions_of(of_jobs), *by_state, jobs.c.job_id < before)
        .order_by(jobs.c.job_id.desc())
        .limit(size)
        .subquery()
        for by_state in [[jobs.c.state == state] for state in states_of(of_jobs)] or [[]]
    ]
    found = sa.union_all(*(sa.select(part.c.job_id) for part in parts)).subquery()
    return sa.select(found.c.job_id).order_by(found.c.job_id.desc()).limit(size)


def _running(wanted: JobSearch, before: int) -> sa.Select[int]:
    """Choose jobs with a task at a worker, which are few, so that databases have to begin with these."""
    handed_out = sa.select(tasks.c.job_id).where(tasks.c.phase == Phase.HANDED_OUT)
    running = sa.select(jobs.c.job_id).where(jobs.c.job_id.in_(handed_out), jobs.c.job_id < before)
    if wanted.projects is not None:
        running = running.where(of_projects(jobs.c.stream_id, wanted.projects))
    if wanted.stream_id is None:
        return running
    without_index = sa.func.coalesce(jobs.c.stream_id, "")
    return running.where(without_index == wanted.stream_id)


def _inside(wanted: JobSearch) -> list[sa.ColumnElement[bool]]:
    """Write what only a look at each job tells."""
    conditions: list[sa.ColumnElement[bool]] = []
    if wanted.task_key is not None:
        of_key = [tasks.c.job_id == jobs.c.job_id, tasks.c.task_key == wanted.task_key]
        if wanted.state is not None:
            of_key.append(tasks.c.state.in_(_states_of_tasks(wanted)))
        conditions.append(sa.exists().where(*of_key))
    if wanted.text is not None:
        said = sa.exists().where(tasks.c.job_id == jobs.c.job_id, _holds(tasks.c.message, wanted.text))
        conditions.append(sa.or_(_holds(jobs.c.source_id, wanted.text), said))
    return conditions


def _states_of_tasks(wanted: JobSearch) -> list[TaskState]:
    match wanted.state:
        case "open":
            return [state for state in TaskState if not state.ended]
        case "done":
            return [state for state in TaskState if state.succeeded]
        case "failed":
            return _FAILED
        case code:
            return [state for state in TaskState if code in (state, state.shown)]


def _holds(column: sa.Column[str], text: str) -> sa.ColumnElement[bool]:
    # SQLite's lower() knows ASCII letters only: others are found as they were written.
    as_written = column.contains(text, autoescape=True)
    return sa.or_(as_written, sa.func.lower(column).contains(text.lower(), autoescape=True))


def _lines(connection: Connection, job_ids: Sequence[int]) -> list[JobLine]:
    if not job_ids:
        return []
    its_tasks: defaultdict[int, list[TaskLine]] = defaultdict(list)
    for job_id, *values in connection.execute(_TASKS, {"ids": job_ids}):
        its_tasks[job_id].append(TaskLine(*values))
    found = {row.job_id: row for row in connection.execute(_JOBS, {"ids": job_ids})}
    return [_line(found[job_id], tuple(its_tasks[job_id])) for job_id in job_ids if job_id in found]


def _line(row: Row[Any], its_tasks: tuple[TaskLine, ...]) -> JobLine:
    running = any(task.state is TaskState.RUNNING for task in its_tasks)
    return JobLine(
        job_id=row.job_id,
        stream_id=row.stream_id,
        source_id=row.source_id,
        state=TaskState.RUNNING if running else row.state,
        priority=row.priority,
        created_at=row.created_at,
        ended_at=row.ended_at,
        tasks=its_tasks,
    )


_IDS: sa.BindParameter[int] = sa.bindparam("ids", expanding=True)
_JOBS: sa.Select[Any] = sa.select(
    jobs.c.job_id,
    jobs.c.stream_id,
    jobs.c.source_id,
    jobs.c.state,
    jobs.c.priority,
    jobs.c.created_at,
    jobs.c.ended_at,
).where(jobs.c.job_id.in_(_IDS))
_TASKS = (
    sa.select(tasks.c.job_id, tasks.c.task_key, tasks.c.state, tasks.c.attempt, tasks.c.message)
    .where(tasks.c.job_id.in_(_IDS))
    .order_by(tasks.c.job_id, tasks.c.position)
)
_FAILED_TASKS = (
    sa.select(jobs.c.job_id, jobs.c.source_id, tasks.c.task_key, tasks.c.state, tasks.c.message)
    .join(tasks, tasks.c.job_id == jobs.c.job_id)
    .where(jobs.c.job_id.in_(_IDS), tasks.c.state.in_(_FAILED))
    .order_by(jobs.c.job_id.desc(), tasks.c.position)
)
_TO_HOLD = (
    sa.select(tasks.c.job_id, tasks.c.task_id)
    .where(tasks.c.job_id.in_(_IDS), sa.or_(tasks.c.state.in_(_FAILED), tasks.c.phase.in_(_ON_THEIR_OWN)))
    .order_by(tasks.c.job_id, tasks.c.position)
)
