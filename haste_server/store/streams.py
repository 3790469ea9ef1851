"""Streams: their pipelines, progress and sources."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row
from sqlalchemy.exc import IntegrityError

from haste_core.errors import ConflictError, NotFoundError
from haste_core.pipelines import Pipeline
from haste_core.policies import RankedPolicy
from haste_core.states import MOVES, TO_DECIDE, Due, Phase, TaskState
from haste_core.stores import DEFAULT_PROJECT, Page, Source, StreamProgress, StreamRecord, TierCount
from haste_server.store.brake import set_moves_aside
from haste_server.store.jobs import numeric_cursor
from haste_server.store.policies_in_sql import is_elsewhere, tier_by_record
from haste_server.store.records import COMPLETED_AT, PIPELINE_TEXT, SqlPart, read_pipeline, store_pipeline
from haste_server.store.schema import NO_SCORE, jobs, objects, pipelines, streams, tasks

Mode = Literal["observe", "enforce"]


class Streams(SqlPart):
    """The API's view of streams."""

    def create_stream(
        self,
        stream_id: str,
        pipeline: Pipeline,
        mode: Mode | None,
        *,
        now: float,
        project: str | None = None,
    ) -> tuple[StreamRecord, bool]:
        """Create a stream, or find it; see `haste_core.stores.StreamStore.create_stream`."""

        def work(connection: Connection) -> None:
            sha256 = store_pipeline(connection, pipeline)
            row = {
                "stream_id": stream_id,
                "pipeline_sha256": sha256,
                "first_pipeline_sha256": sha256,
                "mode": mode or "observe",
                "project": project or DEFAULT_PROJECT,
                "created_at": now,
            }
            connection.execute(sa.insert(streams).values(row))

        try:
            self.database.write(work)
        except IntegrityError:
            there = self.stream(stream_id)
            if project not in (None, there.project):
                raise ConflictError(elsewhere(stream_id)) from None
            known = (there.pipeline.sha256, there.first_pipeline_sha256)
            if mode not in (None, there.mode) or pipeline.sha256 not in known:
                raise ConflictError(_difference(there, pipeline)) from None
            return there, False
        made = StreamRecord(
            stream_id,
            pipeline,
            mode or "observe",
            now,
            pipeline.sha256,
            project=project or DEFAULT_PROJECT,
        )
        return made, True

    def stream(self, stream_id: str) -> StreamRecord:
        """Load a stream."""
        wanted = _STREAM.where(streams.c.stream_id == stream_id)
        row = self.database.read(lambda connection: connection.execute(wanted).one_or_none())
        if row is None:
            raise NotFoundError(f"there is no stream {stream_id!r}")
        return _stream_record(row)

    def streams(
        self, *, cursor: str | None, limit: int, projects: Sequence[str] | None = None
    ) -> Page[StreamRecord]:
        """List streams by name, all or those of projects."""
        wanted = _STREAM.order_by(streams.c.stream_id).limit(limit)
        if projects is not None:
            wanted = wanted.where(streams.c.project.in_(list(projects)))
        if cursor is not None:
            wanted = wanted.where(streams.c.stream_id > cursor)
        rows = self.database.read(lambda connection: connection.execute(wanted).all())
        following = rows[-1].stream_id if len(rows) == limit else None
        return Page([_stream_record(row) for row in rows], following)

    def progress(self, stream_id: str) -> StreamProgress:
        """Count a stream's jobs and tiers."""
        self.stream(stream_id)
        by_state = (
            sa.select(jobs.c.state, sa.func.count().label("number"))
            .where(jobs.c.stream_id == stream_id)
            .group_by(jobs.c.state)
        )

        def work(connection: Connection) -> StreamProgress:
            counts = {TaskState(row.state): row.number for row in connection.execute(by_state)}
            due = {row.due: row.number for row in connection.execute(_COUNT_DUE, {"name": stream_id})}
            return StreamProgress(
                open=sum(number for state, number in counts.items() if not state.ended),
                done=counts.get(TaskState.DONE, 0),
                failed=sum(number for state, number in counts.items() if state.failed),
                to_redecide=sum(due.get(what, 0) for what in TO_DECIDE),
                to_move=sum(due.get(move, 0) for move in MOVES),
                tiers=_tiers(connection, stream_id),
            )

        return self.database.read(work)

    def complete_stream(self, stream_id: str, *, now: float) -> StreamRecord:
        """Take note that no more images come; see `haste_core.stores.StreamStore.complete_stream`."""

        def work(connection: Connection) -> None:
            if connection.execute(_COMPLETE, {"name": stream_id, "now": now}).rowcount:
                connection.execute(_STOP_WAITING, {"name": stream_id})

        self.database.write(work)
        return self.stream(stream_id)

    def set_mode(self, stream_id: str, mode: Mode) -> StreamRecord:
        """Observe, or enforce; see `haste_core.stores.StreamStore.set_mode`."""
        is_other = sa.and_(streams.c.stream_id == stream_id, streams.c.mode != mode)
        changed = sa.update(streams).where(is_other).values(mode=mode)
        follows = _REPEAT if mode == "enforce" else _MOVE_NO_MORE

        def work(connection: Connection) -> None:
            if connection.execute(changed).rowcount:
                connection.execute(follows, {"name": stream_id})

        self.database.write(work)
        if mode == "observe":
            set_moves_aside(self.database, stream_id)
        return self.stream(stream_id)

    def set_policy(self, stream_id: str, pipeline: Pipeline) -> StreamRecord:
        """Decide by another function and policy; see `haste_core.stores.StreamStore.set_policy`."""
        present = self.stream(stream_id).pipeline
        tier = tier_by_record(present, pipeline) if _scores_alike(present, pipeline) else None
        due = sa.update(objects).where(objects.c.stream_id == stream_id).values(due=Due.DECISION)
        changed = sa.update(streams).where(streams.c.stream_id == stream_id)

        def work(connection: Connection) -> None:
            sha256 = store_pipeline(connection, pipeline)
            alike = changed.where(streams.c.pipeline_sha256 == present.sha256)
            found = connection.execute(alike.values(pipeline_sha256=sha256)).rowcount
            if not found:  # another policy came meanwhile
                connection.execute(changed.values(pipeline_sha256=sha256))
            if isinstance(pipeline.policy, RankedPolicy):
                connection.execute(_out_of_place(stream_id, pipeline.policy))
            if found and tier is not None:  # only some are to be asked about
                is_ranked = isinstance(pipeline.policy, RankedPolicy)
                connection.execute(due.where(objects.c.tier != tier if is_ranked else is_elsewhere(tier)))
            else:
                connection.execute(due)

        self.database.write(work)
        return self.stream(stream_id)

    def sources(self, stream_id: str, *, cursor: str | None, limit: int) -> Page[Source]:
        """List what was submitted to a stream, by job id."""
        self.stream(stream_id)
        columns = (jobs.c.source_id, jobs.c.source_version, jobs.c.job_id)
        wanted = (
            sa.select(*columns)
            .where(jobs.c.stream_id == stream_id, jobs.c.job_id > numeric_cursor(cursor))
            .order_by(jobs.c.job_id)
            .limit(limit)
        )
        rows = self.database.read(lambda connection: connection.execute(wanted).all())
        following = str(rows[-1].job_id) if len(rows) == limit else None
        return Page([Source(row.source_id, row.source_version, row.job_id) for row in rows], following)


def _scores_alike(present: Pipeline, other: Pipeline) -> bool:
    return present.interestingness == other.interestingness


def _out_of_place(stream_id: str, policy: RankedPolicy) -> sa.Update:
    """Let what was put or sent on count where it is, but for what was sent on from a tier of the ranking."""
    known = sorted(policy.ranked) if policy.audit is None else sorted(policy.ranked | {policy.audit.tier})
    return (
        sa.update(objects)
        .where(
            objects.c.stream_id == stream_id,
            objects.c.counts_in != objects.c.tier,
            sa.or_(objects.c.held, objects.c.counts_in.not_in(known)),
        )
        .values(counts_in=objects.c.tier)
    )


def elsewhere(stream_id: str) -> str:
    """Say that the name of a stream is another project's."""
    return f"the name {stream_id!r} belongs to a stream of another project: choose another one"


def _difference(there: StreamRecord, pipeline: Pipeline) -> str:
    known = f"the stream {there.stream_id!r} is there already, with pipeline {there.pipeline.name!r}"
    if there.pipeline.name == pipeline.name and there.pipeline != pipeline:
        parts = [
            name for name in Pipeline.model_fields if getattr(there.pipeline, name) != getattr(pipeline, name)
        ]
        return (
            f"{known} as it was then; since then its {' and '.join(parts)} changed, and a stream keeps the "
            "pipeline that it began with. Choose another name for the stream"
        )
    return f"{known} in mode {there.mode!r}; choose another name, or the same pipeline and mode"


def _stream_record(row: Row[Any]) -> StreamRecord:
    return StreamRecord(
        row.stream_id,
        read_pipeline(row.pipeline),
        row.mode,
        row.created_at,
        row.first_pipeline_sha256,
        row.completed_at,
        row.project,
    )


_OF_STREAM = sa.update(objects).where(objects.c.stream_id == sa.bindparam("name"))
_REPEAT = _OF_STREAM.where(objects.c.due != Due.DECISION).values(due=Due.REPETITION)
_MOVE_NO_MORE = _OF_STREAM.where(objects.c.due.in_(MOVES)).values(due=Due.NOTHING)
_COUNT_DUE = (
    sa.select(objects.c.due, sa.func.count().label("number"))
    # Few are due, as a rule. By an index of streams, each object of the stream would be looked up, 0.2 s at
    # 100,000 with SQLite: what is joined to nothing is in none.
    .where(objects.c.stream_id.concat("") == sa.bindparam("name"), objects.c.due.in_((*TO_DECIDE, *MOVES)))
    .group_by(objects.c.due)
)
_STREAM = sa.select(
    streams.c.stream_id,
    streams.c.mode,
    streams.c.project,
    streams.c.created_at,
    streams.c.first_pipeline_sha256,
    COMPLETED_AT,
    PIPELINE_TEXT,
).join(pipelines, pipelines.c.pipeline_sha256 == streams.c.pipeline_sha256)
_LAST_JOB = sa.select(sa.func.coalesce(sa.func.max(jobs.c.job_id), 0)).where(
    jobs.c.stream_id == sa.bindparam("name")
)
_COMPLETE = (
    sa.update(streams)
    .where(streams.c.stream_id == sa.bindparam("name"), COMPLETED_AT.is_(None))
    .values(completed_at=sa.bindparam("now"), last_job=_LAST_JOB.scalar_subquery())
)
_OF_SETS = sa.select(jobs.c.job_id).where(
    jobs.c.stream_id == sa.bindparam("name"), jobs.c.set_key.is_not(None)
)
_STOP_WAITING = (
    sa.update(tasks)
    .where(tasks.c.phase == Phase.UNDECIDED, tasks.c.due_at.is_not(None), tasks.c.job_id.in_(_OF_SETS))
    .values(due_at=None)
)


def _tiers(connection: Connection, stream_id: str) -> dict[str, TierCount]:
    score = sa.case((objects.c.score != NO_SCORE, objects.c.score))
    counted = (
        sa.select(
            objects.c.tier,
            sa.func.count().label("number"),
            sa.func.sum(objects.c.size_bytes).label("size_bytes"),
            sa.func.avg(score).label("mean_score"),
        )
        .where(objects.c.stream_id == stream_id)
        .group_by(objects.c.tier)
        .order_by(objects.c.tier)
    )
    return {
        row.tier: TierCount(row.number, int(row.size_bytes), row.mean_score)
        for row in connection.execute(counted)
    }
