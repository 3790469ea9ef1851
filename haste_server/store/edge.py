"""What the schedules of a microscope's computer read."""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from haste_core.edge_images import EDGE_KEYS, PREPROCESS, UPLOAD, EdgeImage, EdgeTask, ReadyTask
from haste_core.routing import Route
from haste_core.states import Phase, TaskState
from haste_server.store.database import Database
from haste_server.store.schema import NO_INDEX, jobs, tasks

_LOOKED_UP = 500  # jobs in one query


class EdgeTasks:
    """A `haste_core.edge_images.EdgeStore`.

    Parameters
    ----------
    database : Database
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def news(
        self, site: str, *, since: float, watched: Collection[int], known: Container[int]
    ) -> tuple[list[EdgeImage], float]:
        """Load the images of watched jobs, and of unknown ones with tasks that became ready after `since`."""

        def work(connection: Connection) -> tuple[list[EdgeImage], float]:
            ready = connection.execute(_READY_SINCE, {"site": site, "since": since}).all()
            newest = max((row.ready_at for row in ready), default=since)
            new = {row.job_id for row in ready if row.job_id not in known}
            return _images(connection, site, sorted(new.union(watched))), newest

        return self._database.read(work)

    def ready_after(self, route: Route, after: tuple[float, int], *, limit: int) -> list[ReadyTask]:
        """List the first ready tasks of a queue behind a (`ready_at`, `task_id`)."""
        moment, task_id = after
        behind = {"key": route.task_key, "site": route.site, "moment": moment, "task_id": task_id}

        def work(connection: Connection) -> list[ReadyTask]:
            found: list[ReadyTask] = []
            for statement in (_READY_THEN, _READY_LATER):
                rows = connection.execute(statement, {**behind, "most": limit - len(found)})
                found += [ReadyTask(*row) for row in rows]
            return found

        return self._database.read(work)

    def under_way(self, site: str) -> list[int]:
        """List the jobs whose images are at a worker, or wait for their next attempt."""
        return list(
            self._database.read(lambda connection: connection.scalars(_UNDER_WAY, {"site": site}).all())
        )

    def images(self, site: str, job_ids: Sequence[int]) -> list[EdgeImage]:
        """Load images with their tasks at a site; unknown jobs are left out."""
        return self._database.read(lambda connection: _images(connection, site, job_ids))

    def beginning(self, stream_id: str) -> tuple[int, int | None]:
        """Return a stream's first job, and the lowest index of its images."""

        def work(connection: Connection) -> tuple[int, int | None]:
            first_job = connection.scalar(_FIRST_JOB, {"stream_id": stream_id})
            index = connection.scalar(_LOWEST_INDEX, {"stream_id": stream_id})
            return first_job or 0, None if index in (None, NO_INDEX) else index

        return self._database.read(work)

    def preprocessed(self, stream_id: str, site: str, *, limit: int) -> list[EdgeImage]:
        """Load the latest images of a stream that were preprocessed, in the order in which they were."""
        asked = {"stream_id": stream_id, "site": site, "most": limit}

        def work(connection: Connection) -> list[EdgeImage]:
            rows = connection.execute(_PREPROCESSED, asked).all()
            return _images(connection, site, [row.job_id for row in sorted(rows, key=lambda r: r.ended_at)])

        return self._database.read(work)


def _images(connection: Connection, site: str, job_ids: Sequence[int]) -> list[EdgeImage]:
    """Load images in the order of these ids."""
    found: dict[int, EdgeImage] = {}
    for start in range(0, len(job_ids), _LOOKED_UP):
        rows = connection.execute(_IMAGES, {"ids": job_ids[start : start + _LOOKED_UP], "site": site})
        found.update((image.job_id, image) for image in _by_job(rows.all()))
    return [found[job_id] for job_id in job_ids if job_id in found]


def _by_job(rows: Iterable[Any]) -> Iterable[EdgeImage]:
    its_rows: list[Any] = []
    for row in rows:
        if its_rows and its_rows[0].job_id != row.job_id:
            yield _image(its_rows)
            its_rows = []
        its_rows.append(row)
    if its_rows:
        yield _image(its_rows)


def _image(rows: Sequence[Any]) -> EdgeImage:
    first = rows[0]
    return EdgeImage(
        job_id=first.job_id,
        stream_id=first.stream_id,
        index=None if first.stream_index == NO_INDEX else first.stream_index,
        source_version=first.source_version,
        arrived_at=first.created_at,
        preprocess=_task(rows, PREPROCESS),
        upload=_task(rows, UPLOAD),
    )


def _task(rows: Sequence[Any], key: str) -> EdgeTask | None:
    """Return the task of a key; of several, the first one that has not ended."""
    its_rows = [row for row in rows if row.task_key == key]
    if not its_rows:
        return None
    row = next((row for row in its_rows if row.phase is not Phase.ENDED), its_rows[-1])
    return EdgeTask(
        task_id=row.task_id,
        state=row.state,
        phase=row.phase,
        failures=row.failures,
        started_at=row.started_at,
        ended_at=row.ended_at,
        response=row.response,
        size_bytes=None if row.place is None else row.place.size_bytes,
    )


def _ready_of(key: str) -> sa.Select[Any]:
    return sa.select(tasks.c.job_id, tasks.c.ready_at).where(
        tasks.c.phase == Phase.READY,
        tasks.c.task_key == key,
        tasks.c.site == sa.bindparam("site"),
        tasks.c.ready_at > sa.bindparam("since"),
    )


_READY_SINCE = sa.union_all(*map(_ready_of, EDGE_KEYS))
_READY_BEHIND = (
    sa.select(tasks.c.ready_at, tasks.c.task_id, tasks.c.job_id)
    .where(
        tasks.c.phase == Phase.READY,
        tasks.c.task_key == sa.bindparam("key"),
        tasks.c.site == sa.bindparam("site"),
    )
    .order_by(tasks.c.ready_at, tasks.c.task_id)
    .limit(sa.bindparam("most", type_=sa.Integer))
)
_READY_THEN = _READY_BEHIND.where(
    tasks.c.ready_at == sa.bindparam("moment"), tasks.c.task_id > sa.bindparam("task_id")
)
_READY_LATER = _READY_BEHIND.where(tasks.c.ready_at > sa.bindparam("moment"))
_UNDER_WAY = (
    sa.select(tasks.c.job_id)
    .distinct()
    .where(
        tasks.c.phase.in_((Phase.HANDED_OUT, Phase.DELAYED)),
        tasks.c.task_key.in_(EDGE_KEYS),
        tasks.c.site == sa.bindparam("site"),
    )
)
_IMAGES = (
    sa.select(
        tasks.c.job_id,
        jobs.c.stream_id,
        jobs.c.stream_index,
        jobs.c.source_version,
        jobs.c.created_at,
        tasks.c.task_id,
        tasks.c.task_key,
        tasks.c.state,
        tasks.c.phase,
        tasks.c.failures,
        tasks.c.started_at,
        tasks.c.ended_at,
        tasks.c.response,
        tasks.c.place,
    )
    .join(jobs, jobs.c.job_id == tasks.c.job_id)
    .where(
        tasks.c.job_id.in_(sa.bindparam("ids", expanding=True)),
        tasks.c.task_key.in_(EDGE_KEYS),
        tasks.c.site == sa.bindparam("site"),
    )
    .order_by(tasks.c.job_id, tasks.c.position)
)
_FIRST_JOB = sa.select(sa.func.min(jobs.c.job_id)).where(jobs.c.stream_id == sa.bindparam("stream_id"))
_LOWEST_INDEX = sa.select(sa.func.min(jobs.c.stream_index)).where(
    jobs.c.stream_id == sa.bindparam("stream_id")
)
_PREPROCESSED = (
    sa.select(tasks.c.job_id, tasks.c.ended_at)
    .join(jobs, jobs.c.job_id == tasks.c.job_id)
    .where(
        jobs.c.stream_id == sa.bindparam("stream_id"),
        tasks.c.task_key == PREPROCESS,
        tasks.c.site == sa.bindparam("site"),
        tasks.c.state == TaskState.DONE,
    )
    .order_by(jobs.c.job_id.desc())
    .limit(sa.bindparam("most", type_=sa.Integer))
)
