"""What may go once it was copied, and what other jobs still need."""

from __future__ import annotations

from collections.abc import Collection

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from haste_core.jobs import JobRecord, TaskRecord
from haste_core.messages import Place
from haste_core.pipelines import Pipeline
from haste_server.store.records import by_stream, load_jobs
from haste_server.store.schema import jobs


def may_go(place: Place, job: JobRecord, task: TaskRecord, pipeline: Pipeline) -> bool:
    """Tell whether the place that a task takes its object from may be removed once the copy is recorded."""
    if task.place is not None:  # a copy of its own, in the tier that the object leaves
        return True
    return pipeline.policy is not None and pipeline.policy.move and place.url == job.spec.source_url


def needed_by_others(connection: Connection, leaving: Collection[tuple[JobRecord, TaskRecord]]) -> set[int]:
    """Find the tasks that were to remove what is the present place of another job of the same object.

    A file that is submitted again in another version, but with equal content, is one file in its tier.

    Parameters
    ----------
    connection : Connection
    leaving : collection of (JobRecord, TaskRecord)
        Tasks that have `leaving`.

    Returns
    -------
    set of int
        Of their ids.
    """
    if not leaving:
        return set()
    names = {_name(job) for job, _ in leaving}
    ids = {job_id for some in by_stream(names) for job_id in connection.scalars(_OF_SOURCES, some)}
    others = load_jobs(connection, ids, lock=False)
    # Their own present place is the copy.
    present = {(*_name(job), job.place_before(len(job.tasks)).url) for job in others.values()}
    return {
        task.task_id
        for job, task in leaving
        if task.leaving is not None and (*_name(job), task.leaving.url) in present
    }


def _name(job: JobRecord) -> tuple[str, str]:
    return job.spec.stream_id, job.spec.source_id


_OF_SOURCES = sa.select(jobs.c.job_id).where(
    jobs.c.stream_id == sa.bindparam("stream_id"),
    jobs.c.source_id.in_(sa.bindparam("names", expanding=True)),
)
