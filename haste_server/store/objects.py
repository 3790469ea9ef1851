"""Looking up objects and decisions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from haste_core.decisions import Decision
from haste_core.errors import NotFoundError
from haste_core.interestingness import ScoredObject
from haste_core.objects import DecidedObject, DecisionRecord, ObjectFilter, ObjectOrder
from haste_core.states import TaskState
from haste_core.stores import Page
from haste_server.store.jobs import no_job, numeric_cursor, scored_cursor
from haste_server.store.records import PIPELINE_TEXT, load_jobs, read_pipeline
from haste_server.store.redeciding import Redeciding
from haste_server.store.schema import decisions, deleted_objects, jobs, objects, pipelines, tasks

LAST = 200  # decisions, as examples of what a stream's objects have


class Objects(Redeciding):
    """The API's view of objects and decisions."""

    def objects(
        self, stream_id: str, wanted: ObjectFilter, *, order: ObjectOrder, cursor: str | None, limit: int
    ) -> Page[DecidedObject]:
        """List the objects of a stream about which was decided."""
        page = self.object_ids(stream_id, wanted, order=order, cursor=cursor, limit=limit)
        return Page(self.database.read(lambda connection: _loaded(connection, page.items)), page.next)

    def object_ids(
        self, stream_id: str, wanted: ObjectFilter, *, order: ObjectOrder, cursor: str | None, limit: int
    ) -> Page[int]:
        """List the jobs of objects, as `objects` does."""
        pages = [_chosen(table, stream_id, wanted, order, cursor) for table in (objects, deleted_objects)]

        def work(connection: Connection) -> Page[int]:
            found = [row for page in pages for row in connection.execute(page.limit(limit))]
            rows = sorted(found, key=partial(_place, order))[:limit]
            last = f"{rows[-1].score!r}:{rows[-1].job_id}" if len(rows) == limit else None
            return Page([row.job_id for row in rows], last)

        return self.database.read(work)

    def best(self, stream_id: str, *, number: int) -> list[DecidedObject]:
        """List the objects of a stream with the highest scores; see `haste_core.objects.ObjectStore.best`."""

        def work(connection: Connection) -> list[DecidedObject]:
            best: dict[int | str, DecidedObject] = {}
            cursor: str | None = None
            while len(best) < number:
                wanted = _chosen(objects, stream_id, ObjectFilter(lowest=0.0), "-score", cursor)
                rows = connection.execute(wanted.limit(max(number, LAST))).all()
                if not rows:
                    break
                loaded = _loaded(connection, _latest_among(connection, stream_id, rows))
                for item in loaded:
                    best.setdefault(_set_or_job(item), item)
                cursor = f"{rows[-1].score!r}:{rows[-1].job_id}"
            return list(best.values())[:number]

        return self.database.read(work)

    def decision_of(self, job_id: int) -> DecidedObject:
        """Load the object of a job."""

        def work(connection: Connection) -> DecidedObject:
            found = _loaded(connection, [job_id])
            if not found:
                raise _undecided(connection, job_id)
            return found[0]

        return self.database.read(work)

    def decisions_about(self, job_id: int) -> list[DecisionRecord]:
        """List all decisions about the object of a job, the first one first."""

        def work(connection: Connection) -> list[DecisionRecord]:
            rows = connection.execute(_ABOUT_JOB, {"id": job_id}).all()
            if not rows:
                raise _undecided(connection, job_id)
            return [_record(row) for row in rows]

        return self.database.read(work)

    def decisions(self, stream_id: str, *, cursor: str | None, limit: int) -> Page[DecisionRecord]:
        """List the decisions of a stream in their order."""
        wanted = {"name": stream_id, "after": numeric_cursor(cursor), "most": limit}
        rows = self.database.read(lambda connection: connection.execute(_OF_STREAM, wanted).all())
        following = str(rows[-1].decision_id) if len(rows) == limit else None
        return Page([_record(row) for row in rows], following)

    def scored_last(self, stream_id: str) -> list[ScoredObject]:
        """Return objects of the latest decisions that have a score."""
        rows = self.database.read(lambda connection: connection.execute(_LAST, {"name": stream_id}).all())
        return [
            ScoredObject(features=row.features, **row.circumstances) for row in rows if row.score is not None
        ]

    def unmoved(self, stream_id: str) -> tuple[int, int]:
        """Count what was not put to its tier; see `haste_core.objects.ObjectStore.unmoved`."""
        count, size_bytes = self.database.read(
            lambda connection: connection.execute(_UNMOVED, {"name": stream_id}).one()
        )
        return count, int(size_bytes or 0)

    def pin(self, job_id: int, tier: str, *, reason: str, made_by: str | None, now: float) -> None:
        """Keep an object in a tier; see `haste_core.objects.ObjectStore.pin`."""
        why, present = f"pinned to {tier}: {reason}", self.decision_of(job_id)
        if present.pinned and (present.decision.tier, present.decision.reason) == (tier, why):
            return

        def pinned(earlier: Decision) -> Decision:
            return replace(earlier, tier=tier, reason=why)

        self.redecide_one(job_id, pinned, origin="pin", made_by=made_by, now=now, pinned=True)

    def unpin(self, job_id: int, *, reason: str, made_by: str | None, now: float) -> None:
        """Let the policy decide about an object again."""

        def unpinned(earlier: Decision) -> Decision:
            return replace(earlier, reason=f"not pinned any more: {reason}")

        self.redecide_one(job_id, unpinned, origin="unpin", made_by=made_by, now=now, pinned=False)

    def recall(self, job_id: int, tier: str, *, reason: str, made_by: str | None, now: float) -> None:
        """Bring an object back to a tier."""

        def recalled(earlier: Decision) -> Decision:
            return replace(earlier, tier=tier, reason=f"recalled to {tier}: {reason}")

        self.redecide_one(job_id, recalled, origin="recall", made_by=made_by, now=now)


def _chosen(
    table: sa.Table, stream_id: str, wanted: ObjectFilter, order: ObjectOrder, cursor: str | None
) -> sa.Select[tuple[int, float]]:
    columns = table.c
    found = sa.select(columns.job_id, columns.score).where(columns.stream_id == stream_id)
    if wanted.tier is not None:
        found = found.where(columns.tier == wanted.tier)
    if wanted.lowest is not None or wanted.highest is not None:
        found = found.where(columns.score >= (wanted.lowest or 0.0))
    if wanted.highest is not None:
        found = found.where(columns.score <= wanted.highest)
    score, job_id = scored_cursor(cursor) if cursor else (None, 0)
    if order == "job":
        return found.where(columns.job_id > job_id).order_by(columns.job_id)
    rising = order == "score"
    if score is not None:
        beyond = columns.score > score if rising else columns.score < score
        found = found.where(
            columns.score >= score if rising else columns.score <= score,
            sa.or_(beyond, columns.job_id > job_id),
        )
    return found.order_by(columns.score if rising else columns.score.desc(), columns.job_id)


def _latest_among(connection: Connection, stream_id: str, rows: Sequence[Row[Any]]) -> list[int]:
    """Leave out of jobs those of whose object a later version was decided about."""
    job_ids = [row.job_id for row in rows]
    latest = set(connection.scalars(_LATEST, {"name": stream_id, "ids": job_ids}))
    return [job_id for job_id in job_ids if job_id in latest]


def _set_or_job(item: DecidedObject) -> int | str:
    image_set = item.decision.pipeline.image_set
    set_key = None if image_set is None else image_set.key_of(item.job.spec.metadata)
    return item.job.job_id if set_key is None else set_key


def _place(order: ObjectOrder, row: Row[Any]) -> tuple[float, int]:
    """Tell where a row of `_chosen` stands among those of both tables."""
    return (0.0 if order == "job" else row.score if order == "score" else -row.score), row.job_id


def _loaded(connection: Connection, job_ids: list[int]) -> list[DecidedObject]:
    """Load objects, in the order of these jobs."""
    if not job_ids:
        return []
    found = load_jobs(connection, job_ids, lock=False)
    rows = {row.job_id: row for row in connection.execute(_WITH_DECISIONS, {"ids": job_ids})}
    if len(rows) < len(job_ids):
        rows |= {row.job_id: row for row in connection.execute(_DELETED, {"ids": job_ids})}
    return [
        DecidedObject(
            found[job_id],
            _record(rows[job_id]),
            rows[job_id].size_bytes,
            rows[job_id].pinned,
            rows[job_id].deleted_at,
        )
        for job_id in job_ids
        if job_id in found and job_id in rows
    ]


def _record(row: Row[Any]) -> DecisionRecord:
    return DecisionRecord(
        decision_id=row.decision_id,
        stream_id=row.stream_id,
        job_id=row.job_id,
        source_id=row.source_id,
        made_at=row.made_at,
        score=row.score,
        tier=row.tier,
        reason=row.reason,
        mode=row.mode,
        origin=row.origin,
        made_by=row.made_by,
        features=row.features,
        circumstances=row.circumstances,
        pipeline=read_pipeline(row.pipeline),
        input_sha256=row.input_sha256,
        software_version=row.software_version,
        supersedes=row.supersedes,
        seen=row.seen,
        members=None if row.members is None else tuple(row.members),
    )


def _undecided(connection: Connection, job_id: int) -> NotFoundError:
    if connection.scalar(sa.select(jobs.c.job_id).where(jobs.c.job_id == job_id)) is None:
        return no_job(job_id)
    return NotFoundError(f"nothing was decided yet about the object of job {job_id}")


_RECORDED = sa.select(decisions, PIPELINE_TEXT).join(
    pipelines, pipelines.c.pipeline_sha256 == decisions.c.pipeline_sha256
)
_ABOUT_JOB = _RECORDED.where(decisions.c.job_id == sa.bindparam("id")).order_by(decisions.c.decision_id)
_OF_STREAM = (
    _RECORDED.where(
        decisions.c.stream_id == sa.bindparam("name"), decisions.c.decision_id > sa.bindparam("after")
    )
    .order_by(decisions.c.decision_id)
    .limit(sa.bindparam("most", type_=sa.Integer))
)
_LAST = (
    sa.select(decisions.c.score, decisions.c.features, decisions.c.circumstances)
    .where(decisions.c.stream_id == sa.bindparam("name"))
    .order_by(decisions.c.decision_id.desc())
    .limit(LAST)
)
_IDS: sa.BindParameter[int] = sa.bindparam("ids", expanding=True)
_WITH_DECISIONS = (
    _RECORDED.add_columns(objects.c.size_bytes, objects.c.pinned, sa.null().label("deleted_at"))
    .join(objects, objects.c.decision_id == decisions.c.decision_id)
    .where(objects.c.job_id.in_(_IDS))
)
_DELETED = (
    _RECORDED.add_columns(
        deleted_objects.c.size_bytes, sa.false().label("pinned"), deleted_objects.c.deleted_at
    )
    .join(deleted_objects, deleted_objects.c.decision_id == decisions.c.decision_id)
    .where(deleted_objects.c.job_id.in_(_IDS))
)
_named = jobs.alias("named")
_LATEST = (
    sa.select(sa.func.max(jobs.c.job_id))
    .join(_named, sa.and_(_named.c.stream_id == jobs.c.stream_id, _named.c.source_id == jobs.c.source_id))
    .outerjoin(objects, objects.c.job_id == jobs.c.job_id)
    .outerjoin(deleted_objects, deleted_objects.c.job_id == jobs.c.job_id)
    .where(
        jobs.c.stream_id == sa.bindparam("name"),
        _named.c.job_id.in_(_IDS),
        sa.or_(objects.c.job_id.is_not(None), deleted_objects.c.job_id.is_not(None)),
    )
    .group_by(jobs.c.source_id)
)
_carried = decisions.alias("carried")
_UNMOVED = (
    sa.select(sa.func.count(), sa.func.sum(objects.c.size_bytes))
    .join(tasks, tasks.c.task_id == objects.c.task_id)
    .outerjoin(_carried, _carried.c.decision_id == tasks.c.decision_id)
    .where(
        objects.c.stream_id == sa.bindparam("name"),
        sa.or_(
            _carried.c.decision_id.is_(None),
            _carried.c.mode != "enforce",
            _carried.c.tier != objects.c.tier,
            sa.and_(tasks.c.state != TaskState.DONE, tasks.c.leaving.is_(None)),  # it waits, or has failed
        ),
    )
)
