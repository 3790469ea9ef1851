"""Tiers that are trashes: what lies in them, and marking what is to be deleted.

See docs/decisions/0105-emptying-a-trash.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeVarTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from haste_core.states import Due, Phase, TaskState
from haste_core.stores import Page
from haste_core.trashes import Amount, TrashedObject
from haste_server.store.decision_rows import Made, append
from haste_server.store.jobs import numeric_cursor
from haste_server.store.later_decisions import earlier_of, kept_where_put, made_of
from haste_server.store.records import read_pipeline
from haste_server.store.redeciding import Redeciding, held
from haste_server.store.schema import decisions, deleted_objects, objects, streams, tasks

_Columns = TypeVarTuple("_Columns")

BATCH = 200  # objects that are held together


class Emptying(Redeciding):
    """The API's view of trashes."""

    def trashed(
        self, tier: str, *, cursor: str | None, limit: int, projects: Sequence[str] | None = None
    ) -> Page[TrashedObject]:
        """List what lies in a trash; see `haste_core.trashes.TrashStore.trashed`."""
        wanted = {"tier": tier, "after": numeric_cursor(cursor), "most": limit}
        listing = _within(_LIST, projects)
        rows = self.database.read(lambda connection: connection.execute(listing, wanted).all())
        listed = [
            TrashedObject(
                job_id=row.job_id,
                stream_id=row.stream_id,
                source_id=row.source_id,
                size_bytes=row.size_bytes,
                trashed_at=row.ended_at if row.state is TaskState.DONE else None,
                pinned=row.pinned,
                is_enforced=row.mode == "enforce",
                is_marked=row.origin == "deletion" and (row.due is Due.MOVE or row.phase is not Phase.ENDED),
            )
            for row in rows
        ]
        return Page(listed, str(rows[-1].job_id) if len(rows) == limit else None)

    def removable(self, tier: str, *, before: float, projects: Sequence[str] | None = None) -> Amount:
        """Count what may be marked; see `haste_core.trashes.TrashStore.removable`."""
        wanted = {"tier": tier, "before": before}
        counting = _within(_COUNT, projects)
        row = self.database.read(lambda connection: connection.execute(counting, wanted).one())
        return Amount(row.number, int(row.size_bytes or 0))

    def empty(
        self,
        tier: str,
        *,
        before: float,
        made_by: str | None,
        now: float,
        limit: int,
        projects: Sequence[str] | None = None,
    ) -> Amount:
        """Mark what is to be deleted; see `haste_core.trashes.TrashStore.empty`."""
        wanted = {"tier": tier, "before": before, "most": limit}
        finding = _within(_FIND, projects)
        job_ids = self.database.read(lambda connection: connection.scalars(finding, wanted).all())
        count = size_bytes = 0
        for start in range(0, len(job_ids), BATCH):
            marked = self._mark(tier, list(job_ids[start : start + BATCH]), before, made_by, now)
            count, size_bytes = count + marked.count, size_bytes + marked.size_bytes
        return Amount(count, size_bytes)

    def deleted(self, stream_id: str) -> Amount:
        """Count what was deleted; see `haste_core.trashes.TrashStore.deleted`."""
        row = self.database.read(lambda connection: connection.execute(_DELETED, {"name": stream_id}).one())
        return Amount(row.number, int(row.size_bytes or 0))

    def _mark(self, tier: str, job_ids: list[int], before: float, made_by: str | None, now: float) -> Amount:
        reason = f"to be deleted: its time of grace in {tier} is over, and somebody asked to empty this trash"

        def work(connection: Connection) -> Amount:
            rows = held(connection, job_ids)
            asked = {"tier": tier, "before": before, "ids": job_ids}
            sizes = {row.job_id: row.size_bytes for row in connection.execute(_STILL, asked)}
            made = [
                replace(kept_where_put(_deletion(row, reason, made_by), row), due=Due.MOVE)
                for row in rows
                if row.job_id in sizes
            ]
            append(self.database, connection, made, now=now)
            return Amount(len(made), sum(sizes.values()))

        return self.database.write(work)


def _within(wanted: sa.Select[*_Columns], projects: Sequence[str] | None) -> sa.Select[*_Columns]:
    return wanted if projects is None else wanted.where(streams.c.project.in_(list(projects)))


def _deletion(row: Row[Any], reason: str, made_by: str | None) -> Made:
    decision = replace(earlier_of(row), reason=reason)
    return made_of(row, decision, "deletion", made_by, pipeline=read_pipeline(row.pipeline))


_carried = decisions.alias("carried")
_LYING = (
    objects.join(tasks, tasks.c.task_id == objects.c.task_id)
    .join(_carried, _carried.c.decision_id == tasks.c.decision_id)
    .join(streams, streams.c.stream_id == objects.c.stream_id)
    .join(decisions, decisions.c.decision_id == objects.c.decision_id)
)
_IN_TIER = sa.and_(
    objects.c.tier == sa.bindparam("tier"),
    _carried.c.tier == sa.bindparam("tier"),
    _carried.c.mode == "enforce",
)
_MAY_GO = sa.and_(
    _IN_TIER,
    objects.c.pinned.is_(False),
    objects.c.due == Due.NOTHING,
    streams.c.mode == "enforce",
    tasks.c.state == TaskState.DONE,
    tasks.c.ended_at < sa.bindparam("before"),
)
_MOST = sa.bindparam("most", type_=sa.Integer)
_LIST = (
    sa.select(
        objects.c.job_id,
        objects.c.stream_id,
        decisions.c.source_id,
        decisions.c.origin,
        objects.c.size_bytes,
        objects.c.pinned,
        objects.c.due,
        tasks.c.state,
        tasks.c.phase,
        tasks.c.ended_at,
        streams.c.mode,
    )
    .select_from(_LYING)
    .where(_IN_TIER, objects.c.job_id > sa.bindparam("after"))
    .order_by(objects.c.job_id)
    .limit(_MOST)
)
_COUNT = (
    sa.select(
        sa.func.count().label("number"),
        sa.cast(sa.func.sum(objects.c.size_bytes), sa.BigInteger).label("size_bytes"),
    )
    .select_from(_LYING)
    .where(_MAY_GO)
)
_FIND = sa.select(objects.c.job_id).select_from(_LYING).where(_MAY_GO).order_by(objects.c.job_id).limit(_MOST)
_STILL = (
    sa.select(objects.c.job_id, objects.c.size_bytes)
    .select_from(_LYING)
    .where(_MAY_GO, objects.c.job_id.in_(sa.bindparam("ids", expanding=True)))
)
_DELETED = sa.select(
    sa.func.count().label("number"),
    sa.cast(sa.func.sum(deleted_objects.c.size_bytes), sa.BigInteger).label("size_bytes"),
).where(deleted_objects.c.stream_id == sa.bindparam("name"))
