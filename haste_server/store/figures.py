"""What pages show of a stream."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from haste_core.figures import ImageRow, Pace, RowFilter, ScoreBin
from haste_core.job_lists import Failure
from haste_core.objects import ObjectFilter, ObjectOrder
from haste_core.states import TaskState
from haste_core.stores import JobFilter, Page
from haste_server.store.edge_figures import EdgeFigures
from haste_server.store.job_lists import JobLists
from haste_server.store.jobs import Jobs
from haste_server.store.objects import Objects
from haste_server.store.samples import Samples
from haste_server.store.schema import NO_INDEX, NO_SCORE, deleted_objects, jobs, objects, tasks, thumbnails
from haste_server.store.thumbnails import Thumbnails


class Figures(Jobs, Objects, EdgeFigures, JobLists, Samples, Thumbnails):
    """A `haste_core.figures.FigureStore`."""

    def image_rows(
        self, stream_id: str, wanted: RowFilter, *, order: ObjectOrder, cursor: str | None, limit: int
    ) -> Page[ImageRow]:
        """List images; see `haste_core.figures.FigureStore.image_rows`."""
        if order == "job":
            of_jobs = JobFilter(stream_id=stream_id, state=wanted.state)
            page = self.job_ids(of_jobs, cursor=cursor, limit=limit)
        else:
            chosen = ObjectFilter(tier=wanted.tier)
            page = self.object_ids(stream_id, chosen, order=order, cursor=cursor, limit=limit)
        return Page(self.database.read(lambda connection: _rows(connection, page.items)), page.next)

    def rows_of(self, job_ids: Sequence[int]) -> list[ImageRow]:
        """Load the lines of images; see `haste_core.figures.FigureStore.rows_of`."""
        return self.database.read(lambda connection: _rows(connection, job_ids))

    def score_spread(self, stream_id: str, *, bins: int) -> dict[str, dict[int, ScoreBin]]:
        """Sum up scores; see `haste_core.figures.FigureStore.score_spread`."""
        scaled = objects.c.score * bins
        # A cast rounds on MariaDB, and SQLite has no floor() everywhere.
        whole = sa.cast(scaled, sa.Integer) if self.database.is_sqlite else sa.func.floor(scaled)
        summed = (
            sa.select(
                objects.c.tier,
                whole.label("bin"),
                sa.func.count().label("number"),
                sa.func.sum(objects.c.size_bytes).label("size_bytes"),
                sa.func.min(objects.c.job_id).label("first"),
                sa.func.max(objects.c.job_id).label("last"),
            )
            .where(objects.c.stream_id == stream_id, objects.c.score != NO_SCORE)
            .group_by(objects.c.tier, whole)
        )
        spread: dict[str, dict[int, ScoreBin]] = {}
        for row in self.database.read(lambda connection: connection.execute(summed).all()):
            of_tier = spread.setdefault(row.tier, {})
            found = ScoreBin(row.number, int(row.size_bytes), (row.first, row.last))
            number = min(int(row.bin), bins - 1)  # a score of 1 belongs to the last
            of_tier[number] = _together(of_tier[number], found) if number in of_tier else found
        return spread

    def pace(self, stream_id: str, *, since: float) -> Pace:
        """Count the jobs that ended since a time."""
        counted = sa.select(sa.func.count(), sa.func.min(jobs.c.ended_at)).where(
            jobs.c.stream_id == stream_id, jobs.c.ended_at >= since
        )
        ended, first_at = self.database.read(lambda connection: connection.execute(counted).one())
        return Pace(ended, first_at)

    def failures(self, stream_id: str, *, limit: int) -> list[Failure]:
        """List failed tasks; see `haste_core.figures.FigureStore.failures`."""
        latest = (
            sa.select(jobs.c.job_id, jobs.c.source_id)
            .where(jobs.c.stream_id == stream_id, jobs.c.state.in_(_FAILED))
            .order_by(jobs.c.job_id.desc())
            .limit(limit)
            .subquery()
        )
        wanted = (
            sa.select(latest.c.job_id, latest.c.source_id, tasks.c.task_key, tasks.c.state, tasks.c.message)
            .join(tasks, tasks.c.job_id == latest.c.job_id)
            .where(tasks.c.state.in_(_FAILED))
            .order_by(latest.c.job_id.desc(), tasks.c.position)
        )
        rows = self.database.read(lambda connection: connection.execute(wanted).all())
        return [Failure(*row) for row in rows]


def _together(one: ScoreBin, other: ScoreBin) -> ScoreBin:
    jobs_of_both = one.examples + other.examples
    return ScoreBin(
        one.count + other.count, one.size_bytes + other.size_bytes, (min(jobs_of_both), max(jobs_of_both))
    )


_FAILED = [state for state in TaskState if state.failed]
_IMAGES: sa.Select[Any] = (
    sa.select(
        jobs.c.job_id,
        jobs.c.source_id,
        jobs.c.stream_index,
        jobs.c.state,
        sa.func.coalesce(objects.c.tier, deleted_objects.c.tier).label("tier"),
        sa.func.coalesce(objects.c.score, deleted_objects.c.score).label("score"),
        sa.func.coalesce(objects.c.size_bytes, deleted_objects.c.size_bytes).label("size_bytes"),
        objects.c.pinned,
        deleted_objects.c.deleted_at,
        thumbnails.c.digest,
    )
    .outerjoin(objects, objects.c.job_id == jobs.c.job_id)
    .outerjoin(deleted_objects, deleted_objects.c.job_id == jobs.c.job_id)
    .outerjoin(thumbnails, thumbnails.c.job_id == jobs.c.job_id)
    .where(jobs.c.job_id.in_(sa.bindparam("ids", expanding=True)))
)


def _rows(connection: Connection, job_ids: Sequence[int]) -> list[ImageRow]:
    """Load the lines of jobs, in their order."""
    found = {row.job_id: row for row in connection.execute(_IMAGES, {"ids": job_ids})} if job_ids else {}
    return [_image_row(found[job_id]) for job_id in job_ids if job_id in found]


def _image_row(row: Row[Any]) -> ImageRow:
    return ImageRow(
        job_id=row.job_id,
        source_id=row.source_id,
        index=None if row.stream_index == NO_INDEX else row.stream_index,
        state=row.state,
        tier=row.tier,
        score=None if row.score in (None, NO_SCORE) else row.score,
        size_bytes=row.size_bytes,
        pinned=bool(row.pinned),
        deleted_at=row.deleted_at,
        thumbnail=row.digest,
    )
