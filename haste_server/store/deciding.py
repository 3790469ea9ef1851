"""Tasks that wait for a decision, and the append-only record of decisions."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from haste_core import lifecycle
from haste_core.decisions import Decision
from haste_core.interestingness import ScoredObject
from haste_core.jobs import JobRecord
from haste_core.pipelines import Pipeline
from haste_core.ports import StateChange, Undecidable, Undecided
from haste_core.states import Phase
from haste_server.store.handout import state_changes
from haste_server.store.records import SqlPart, job_ids_of_tasks, load_jobs, pipelines_of, save_changes
from haste_server.store.schema import decisions, streams, tasks


class Deciding(SqlPart):
    """The evaluator's view of the store."""

    def undecided(self, *, limit: int) -> list[Undecided]:
        """Find tasks that wait for a decision."""

        def work(connection: Connection) -> list[Undecided]:
            rows = connection.execute(
                sa.select(tasks.c.task_id, tasks.c.job_id)
                .where(tasks.c.phase == Phase.UNDECIDED)
                .limit(limit)
            ).all()
            found = load_jobs(connection, {row.job_id for row in rows}, lock=False)
            pipelines = pipelines_of(connection, {job.spec.stream_id for job in found.values()})
            return [
                _undecided(row.task_id, found[row.job_id], pipelines) for row in rows if row.job_id in found
            ]

        return self.database.read(work)

    def record_decisions(
        self, decided: Mapping[int, Decision | Undecidable], *, now: float
    ) -> list[StateChange]:
        """Append decisions and make their tasks ready, by task id; end those that cannot be decided."""

        def work(connection: Connection) -> list[StateChange]:
            found = job_ids_of_tasks(connection, list(decided))
            before = load_jobs(connection, {job_id for job_id, _ in found.values()}, lock=True)
            after = dict(before)
            for task_id, verdict in decided.items():
                job_id, position = found.get(task_id, (0, 0))
                job = after.get(job_id)
                if job is not None and job.tasks[position].phase is Phase.UNDECIDED:
                    after[job_id] = self._with_verdict(connection, job, position, verdict, now)
            changes = [(before[job_id], after[job_id]) for job_id in before]
            save_changes(self.database, connection, changes)
            return state_changes(changes)

        return self.database.write(work) if decided else []

    def _with_verdict(
        self,
        connection: Connection,
        job: JobRecord,
        position: int,
        verdict: Decision | Undecidable,
        now: float,
    ) -> JobRecord:
        if isinstance(verdict, Undecidable):
            return lifecycle.refuse(job, position, verdict.reason, now=now, rules=self.rules)
        decision_id = _append(connection, job, job.tasks[position].task_id, verdict, now)
        return lifecycle.decided(job, position, decision_id, verdict.score, now=now, rules=self.rules)


def _undecided(task_id: int, job: JobRecord, pipelines: dict[str, Pipeline]) -> Undecided:
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
    return Undecided(task_id, job.spec.stream_id, pipeline, scored)


def _append(connection: Connection, job: JobRecord, task_id: int, decision: Decision, now: float) -> int:
    stream = connection.execute(sa.select(streams).where(streams.c.stream_id == job.spec.stream_id)).one()
    earlier = connection.scalar(
        sa.select(sa.func.max(decisions.c.decision_id)).where(decisions.c.task_id == task_id)
    )
    row: dict[str, Any] = {
        "stream_id": job.spec.stream_id,
        "job_id": job.job_id,
        "task_id": task_id,
        "source_id": job.spec.source_id,
        "made_at": now,
        "score": decision.score,
        "tier": decision.tier,
        "reason": decision.reason,
        "mode": stream.mode,
        "features": dict(decision.features),
        "pipeline": stream.pipeline,
        "input_sha256": decision.input_sha256,
        "software_version": version("haste-server"),
        "supersedes": earlier,
    }
    inserted = connection.execute(sa.insert(decisions).values(row))
    assert inserted.inserted_primary_key is not None
    return int(inserted.inserted_primary_key[0])
