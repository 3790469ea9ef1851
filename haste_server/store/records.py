"""Rows to records and back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from functools import lru_cache
from typing import Any

import pydantic_core
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from haste_core.jobs import JobRecord, TaskRecord
from haste_core.jobspec import JobSpec
from haste_core.lifecycle import Rules
from haste_core.pipelines import Pipeline
from haste_core.set_members import tier_task
from haste_core.states import Phase, TaskState
from haste_server.store.database import Database
from haste_server.store.many_rows import overwrite
from haste_server.store.schema import NO_INDEX, jobs, pipelines, streams, tasks

REMEMBERED_CHARACTERS = 10_000
REMEMBERED_STREAMS = 1000


@dataclass(frozen=True)
class SqlPart:
    """What each part of the store works with."""

    database: Database
    rules: Rules
    _remembered: dict[str, Pipeline] = field(default_factory=dict, init=False, repr=False, compare=False)

    def plans_of(self, connection: Connection, stream_ids: Iterable[str]) -> dict[str, Pipeline]:
        """Load the pipelines that streams began with; unknown names are left out.

        Tasks and parameters of a stream never change; its interestingness function and policy may.
        """
        found = {name: self._remembered.get(name) for name in set(stream_ids)}
        missing = [name for name, pipeline in found.items() if pipeline is None]
        if missing:
            read = pipelines_now(connection, missing)
            if len(self._remembered) + len(read) > REMEMBERED_STREAMS:
                self._remembered.clear()
            self._remembered.update(read)
            found.update(read)
        return {name: pipeline for name, pipeline in found.items() if pipeline is not None}


def pipelines_now(connection: Connection, stream_ids: Iterable[str]) -> dict[str, Pipeline]:
    """Load the present pipelines of streams; unknown names are left out."""
    rows = connection.execute(_LOAD_PIPELINES, {"names": list(stream_ids)})
    return {row.stream_id: read_pipeline(row.pipeline) for row in rows}


@lru_cache(maxsize=100)
def read_pipeline(text: str) -> Pipeline:
    """Read a stored pipeline."""
    return Pipeline.parse(pydantic_core.from_json(text))


def store_pipeline(connection: Connection, pipeline: Pipeline) -> str:
    """Have a pipeline stored, and return its hash."""
    connection.execute(_STORE_PIPELINE, {"pipeline_sha256": pipeline.sha256, "pipeline": pipeline.to_json()})
    return pipeline.sha256


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
    job_rows, task_rows = (_HOLD_JOBS, _HOLD_TASKS) if lock else (_LOAD_JOBS, _LOAD_TASKS)
    rows = connection.execute(job_rows, {"ids": list(job_ids)}).all()
    found: defaultdict[int, list[TaskRecord]] = defaultdict(list)
    for job_id, *values in connection.execute(task_rows, {"ids": [row.job_id for row in rows]}):
        found[job_id].append(TaskRecord.of(zip(_TASK_FIELDS, values, strict=True)))
    return {row.job_id: _job_record(row, tuple(found[row.job_id])) for row in rows}


def job_ids_of_tasks(connection: Connection, task_ids: Collection[int]) -> dict[int, tuple[int, int]]:
    """Find the job and the position of each task; unknown ids are left out."""
    rows = connection.execute(_JOBS_OF_TASKS, {"ids": list(task_ids)})
    return {row.task_id: (row.job_id, row.position) for row in rows}


def by_stream(names: Iterable[tuple[str, str]]) -> Iterator[dict[str, Any]]:
    """Group pairs of stream and name, as the parameters of one statement for each stream.

    In a list of pairs, SQLite looks for each row of the table.
    """
    grouped: defaultdict[str, list[str]] = defaultdict(list)
    for stream_id, name in set(names):
        grouped[stream_id].append(name)
    for stream_id, its_names in grouped.items():
        yield {"stream_id": stream_id, "names": its_names}


def save_changes(
    database: Database, connection: Connection, changes: Iterable[tuple[JobRecord, JobRecord]]
) -> None:
    """Write what differs between jobs before and after, whose rows this transaction holds."""
    ends: defaultdict[tuple[TaskState, float | None], list[int]] = defaultdict(list)
    task_rows, left_out = [], []
    for before, after in changes:
        if (before.state, before.ended_at) != (after.state, after.ended_at):
            ends[after.state, after.ended_at].append(after.job_id)
            if after.ended_at is not None and _has_no_decision(after):
                left_out.append(after.job_id)
        for old, new in zip(before.tasks, after.tasks, strict=True):
            if old is not new and old != new:
                task_rows.append(task_row(after, new))
    for (state, ended_at), job_ids in ends.items():  # few: what ends together ends at one time
        connection.execute(_SET_STATE, {"ids": job_ids, "new_state": state, "end": ended_at})
    if task_rows:
        overwrite(database, connection, tasks, task_rows, _CHANGING)
    if left_out:
        stop_waiting(connection, left_out)


def stop_waiting(connection: Connection, job_ids: Sequence[int]) -> None:
    """Have the image sets of jobs looked at now: one that gets no decision may be the last one awaited."""
    connection.execute(_STOP_WAITING, {"ids": job_ids})


def _has_no_decision(job: JobRecord) -> bool:
    tier = tier_task(job)
    return tier is not None and tier.decision_id is None


def task_row(job: JobRecord, task: TaskRecord) -> dict[str, Any]:
    """Write a task as a row."""
    return {
        **vars(task),
        "job_id": job.job_id,
        "stream_index": NO_INDEX if job.spec.index is None else job.spec.index,
    }


def _job_record(row: Any, its_tasks: tuple[TaskRecord, ...]) -> JobRecord:
    return JobRecord(
        spec=_spec(row.spec),
        tasks=its_tasks,
        created_at=row.created_at,
        priority=row.priority,
        job_id=row.job_id,
        state=row.state,
        ended_at=row.ended_at,
    )


def _spec(text: str) -> JobSpec:
    return _remembered_spec(text) if len(text) <= REMEMBERED_CHARACTERS else JobSpec.stored(text)


@lru_cache(maxsize=1000)
def _remembered_spec(text: str) -> JobSpec:
    """Read a spec that is wanted again soon: when its task ends, and for the job's other tasks."""
    return JobSpec.stored(text)


# Made once: what SQLAlchemy does for a statement costs more than the database's work on a few rows.
_IDS: sa.BindParameter[int] = sa.bindparam("ids", expanding=True)
_TASK_FIELDS = tuple(field.name for field in fields(TaskRecord))
_RECORD = [tasks.c[name] for name in _TASK_FIELDS]
_CHANGING = [column.name for column in _RECORD if column.name not in ("task_id", "position", "task_key")]
_LOAD_JOBS = (
    sa.select(jobs.c.job_id, jobs.c.spec, jobs.c.state, jobs.c.priority, jobs.c.created_at, jobs.c.ended_at)
    .where(jobs.c.job_id.in_(_IDS))
    .order_by(jobs.c.job_id)
)
_LOAD_TASKS = (
    sa.select(tasks.c.job_id, *_RECORD)
    .where(tasks.c.job_id.in_(_IDS))
    .order_by(tasks.c.job_id, tasks.c.position)
)
_HOLD_JOBS = _LOAD_JOBS.with_for_update()
_HOLD_TASKS = _LOAD_TASKS.with_for_update()
_JOBS_OF_TASKS = sa.select(tasks.c.task_id, tasks.c.job_id, tasks.c.position).where(tasks.c.task_id.in_(_IDS))
_SET_STATE = (
    sa.update(jobs)
    .where(jobs.c.job_id.in_(_IDS))
    .values(state=sa.bindparam("new_state", type_=jobs.c.state.type), ended_at=sa.bindparam("end"))
)
_ended = jobs.alias("ended")
_OF_THEIR_SETS = (
    sa.select(jobs.c.job_id)
    .join(_ended, sa.and_(_ended.c.stream_id == jobs.c.stream_id, _ended.c.set_key == jobs.c.set_key))
    .where(_ended.c.job_id.in_(_IDS))
)
_STOP_WAITING = (
    sa.update(tasks)
    .where(
        tasks.c.job_id.in_(_OF_THEIR_SETS),
        tasks.c.phase == Phase.UNDECIDED,
        tasks.c.due_at.is_not(None),
    )
    .values(due_at=None)
)
# Follows from the jobs, so that submitting costs nothing, and nobody can forget to open a stream again.
_LATER_JOB = (
    sa.select(jobs.c.job_id)
    .where(jobs.c.stream_id == streams.c.stream_id, jobs.c.job_id > streams.c.last_job)
    .correlate(streams)
)
COMPLETED_AT = sa.case((~_LATER_JOB.exists(), streams.c.completed_at)).label("completed_at")
PIPELINE_TEXT = sa.type_coerce(pipelines.c.pipeline, sa.Text).label("pipeline")
_LOAD_PIPELINES = (
    sa.select(streams.c.stream_id, PIPELINE_TEXT)
    .join(pipelines, pipelines.c.pipeline_sha256 == streams.c.pipeline_sha256)
    .where(streams.c.stream_id.in_(sa.bindparam("names", expanding=True)))
)
_STORE_PIPELINE = (
    sa.insert(pipelines).prefix_with("OR IGNORE", dialect="sqlite").prefix_with("IGNORE", dialect="mysql")
)
