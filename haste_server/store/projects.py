"""What belongs to which project: streams do, and all else by its stream."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from haste_server.store.records import SqlPart
from haste_server.store.schema import jobs, streams, tasks


class Projects(SqlPart):
    """A `haste_core.tokens.ProjectStore`."""

    def streams_among(self, stream_ids: Sequence[str], projects: Sequence[str]) -> frozenset[str]:
        """Choose the streams that belong to projects."""
        return self._among(_STREAMS, stream_ids, projects)

    def foreign_streams(self, stream_ids: Sequence[str], projects: Sequence[str]) -> frozenset[str]:
        """Choose the streams that are there, and belong to other projects."""
        return self._among(FOREIGN, stream_ids, projects)

    def jobs_among(self, job_ids: Sequence[int], projects: Sequence[str]) -> frozenset[int]:
        """Choose the jobs that belong to projects."""
        return self._among(_JOBS, job_ids, projects)

    def tasks_among(self, task_ids: Sequence[int], projects: Sequence[str]) -> frozenset[int]:
        """Choose the tasks that belong to projects."""
        return self._among(_TASKS, task_ids, projects)

    def _among(self, wanted: sa.Select[Any], ids: Sequence[Any], projects: Sequence[str]) -> frozenset[Any]:
        if not ids:
            return frozenset()
        given = {"ids": list(ids), "projects": list(projects)}
        return frozenset(self.database.read(lambda connection: connection.scalars(wanted, given).all()))


def of_projects(column: sa.ColumnElement[str], projects: Sequence[str]) -> sa.ColumnElement[bool]:
    """Make the condition that a stream belongs to projects."""
    return column.in_(sa.select(streams.c.stream_id).where(streams.c.project.in_(list(projects))))


_IDS: sa.BindParameter[Any] = sa.bindparam("ids", expanding=True)
_IN_PROJECTS = streams.c.project.in_(sa.bindparam("projects", expanding=True))
_OF_NAMES = sa.select(streams.c.stream_id).where(streams.c.stream_id.in_(_IDS))
_STREAMS = _OF_NAMES.where(_IN_PROJECTS)
FOREIGN = _OF_NAMES.where(~_IN_PROJECTS)
_JOBS = (
    sa.select(jobs.c.job_id)
    .join(streams, streams.c.stream_id == jobs.c.stream_id)
    .where(jobs.c.job_id.in_(_IDS), _IN_PROJECTS)
)
_TASKS = (
    sa.select(tasks.c.task_id)
    .join(jobs, jobs.c.job_id == tasks.c.job_id)
    .join(streams, streams.c.stream_id == jobs.c.stream_id)
    .where(tasks.c.task_id.in_(_IDS), _IN_PROJECTS)
)
