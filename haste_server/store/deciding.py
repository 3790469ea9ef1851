"""Tasks that wait for a decision, and the append-only record of decisions."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from importlib.metadata import version

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from haste_core import lifecycle
from haste_core.decisions import Decision
from haste_core.interestingness import ScoredObject, StreamObject
from haste_core.jobs import JobRecord
from haste_core.pipelines import Pipeline
from haste_core.ports import Decided, StateChange, Undecidable, Undecided
from haste_core.states import Phase
from haste_server.store.handout import state_changes
from haste_server.store.records import SqlPart, job_ids_of_tasks, load_jobs, save_changes
from haste_server.store.schema import decisions, streams, tasks

SOFTWARE_VERSION = version("haste-server")


class Deciding(SqlPart):
    """The evaluator's view of the store."""

    def undecided(self, *, limit: int) -> list[Undecided]:
        """Find tasks that wait for a decision."""

        def work(connection: Connection) -> list[Undecided]:
            rows = connection.execute(_UNDECIDED, {"most": limit}).all()
            found = load_jobs(connection, {row.job_id for row in rows}, lock=False)
            names = {job.spec.stream_id for job in found.values()}
            pipelines = self.pipelines_of(connection, names)
            seen = {name: connection.scalar(_LAST_OF_STREAM, {"name": name}) or 0 for name in names}
            return [
                _undecided(row.task_id, found[row.job_id], pipelines, seen)
                for row in rows
                if row.job_id in found
            ]

        return self.database.read(work)

    def decided(self, stream_id: str, *, after: int, up_to: int, limit: int) -> list[Decided]:
        """List decisions of a stream; see `haste_core.ports.TaskStore.decided`."""
        wanted = {"name": stream_id, "after": after, "up_to": up_to, "most": limit}
        rows = self.database.read(lambda connection: connection.execute(_OF_STREAM, wanted).all())
        return [
            Decided(row.decision_id, StreamObject(row.source_id, row.features, row.score, row.tier))
            for row in rows
        ]

    def record_decisions(
        self, decided: Mapping[int, Decision | Undecidable], *, now: float
    ) -> list[StateChange]:
        """Append decisions and make their tasks ready, by task id; end those that cannot be decided."""

        def work(connection: Connection) -> list[StateChange]:
            found = job_ids_of_tasks(connection, list(decided))
            before = load_jobs(connection, {job_id for job_id, _ in found.values()}, lock=True)
            waiting = {
                task_id: before[job_id]
                for task_id, (job_id, position) in found.items()
                if job_id in before and before[job_id].tasks[position].phase is Phase.UNDECIDED
            }
            decision_ids = _append(connection, waiting, decided, now)
            after = dict(before)
            for task_id in waiting:
                job_id, position = found[task_id]
                if after[job_id].tasks[position].phase is Phase.UNDECIDED:
                    after[job_id] = self._with_verdict(
                        after[job_id], position, decided[task_id], decision_ids.get(task_id), now
                    )
            changes = [(before[job_id], after[job_id]) for job_id in before]
            save_changes(self.database, connection, changes)
            return state_changes(changes)

        return self.database.write(work) if decided else []

    def _with_verdict(
        self,
        job: JobRecord,
        position: int,
        verdict: Decision | Undecidable,
        decision_id: int | None,
        now: float,
    ) -> JobRecord:
        if isinstance(verdict, Undecidable):
            return lifecycle.refuse(job, position, verdict.reason, now=now, rules=self.rules)
        assert decision_id is not None
        return lifecycle.decided(job, position, decision_id, verdict.score, now=now, rules=self.rules)


def _undecided(
    task_id: int, job: JobRecord, pipelines: Mapping[str, Pipeline], seen: Mapping[str, int]
) -> Undecided:
    pipeline = pipelines[job.spec.stream_id]
    source = pipeline.interestingness.features_from if pipeline.interestingness else ""
    features = job.responses.get(source)
    scored = ScoredObject(
        features=features if isinstance(features, dict) else {},
        metadata=job.spec.metadata,
        timestamp=job.spec.timestamp,
        location=job.spec.location,
        substream_id=job.spec.substream_id,
    )
    stream_id = job.spec.stream_id
    return Undecided(task_id, stream_id, job.spec.source_id, pipeline, scored, seen[stream_id])


def _append(
    connection: Connection,
    waiting: Mapping[int, JobRecord],
    decided: Mapping[int, Decision | Undecidable],
    now: float,
) -> dict[int, int]:
    """Store the decisions about waiting tasks; return their numbers by task id."""
    made = {
        task_id: (job, verdict)
        for task_id, job in waiting.items()
        if isinstance(verdict := decided[task_id], Decision)
    }
    if not made:
        return {}
    names = {job.spec.stream_id for job, _ in made.values()}
    their_streams = {row.stream_id: row for row in connection.execute(_STREAMS, {"names": list(names)})}
    earlier = _latest_decisions(connection, made)
    rows = [
        {
            "stream_id": job.spec.stream_id,
            "job_id": job.job_id,
            "task_id": task_id,
            "source_id": job.spec.source_id,
            "made_at": now,
            "score": decision.score,
            "tier": decision.tier,
            "reason": decision.reason,
            "mode": their_streams[job.spec.stream_id].mode,
            "features": dict(decision.features),
            "pipeline": their_streams[job.spec.stream_id].pipeline,
            "input_sha256": decision.input_sha256,
            "software_version": SOFTWARE_VERSION,
            "supersedes": earlier.get(task_id),
            "seen": decision.seen,
        }
        for task_id, (job, decision) in made.items()
    ]
    decision_ids = connection.scalars(_INSERT, rows).all()
    return dict(zip(made, decision_ids, strict=True))


def _latest_decisions(connection: Connection, task_ids: Collection[int]) -> dict[int, int]:
    rows = connection.execute(_LATEST, {"ids": list(task_ids)})
    return {row.task_id: row.decision_id for row in rows}


_UNDECIDED = (
    sa.select(tasks.c.task_id, tasks.c.job_id)
    .where(tasks.c.phase == Phase.UNDECIDED)
    .limit(sa.bindparam("most", type_=sa.Integer))
)
_STREAMS = sa.select(streams).where(streams.c.stream_id.in_(sa.bindparam("names", expanding=True)))
_LATEST = (
    sa.select(decisions.c.task_id, sa.func.max(decisions.c.decision_id).label("decision_id"))
    .where(decisions.c.task_id.in_(sa.bindparam("ids", expanding=True)))
    .group_by(decisions.c.task_id)
)
_LAST_OF_STREAM = sa.select(sa.func.max(decisions.c.decision_id)).where(
    decisions.c.stream_id == sa.bindparam("name")
)
_OF_STREAM = (
    sa.select(
        decisions.c.decision_id,
        decisions.c.source_id,
        decisions.c.features,
        decisions.c.score,
        decisions.c.tier,
    )
    .where(
        decisions.c.stream_id == sa.bindparam("name"),
        decisions.c.decision_id > sa.bindparam("after"),
        decisions.c.decision_id <= sa.bindparam("up_to"),
    )
    .order_by(decisions.c.decision_id)
    .limit(sa.bindparam("most", type_=sa.Integer))
)
_INSERT = sa.insert(decisions).returning(decisions.c.decision_id, sort_by_parameter_order=True)
