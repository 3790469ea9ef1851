"""Tasks that wait for a decision, and the append-only record of decisions."""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from haste_core import lifecycle
from haste_core.decisions import Decision, held_by_pin
from haste_core.interestingness import ScoredObject, StreamObject
from haste_core.jobs import JobRecord
from haste_core.pipelines import Pipeline
from haste_core.policies import BudgetPolicy, RankedPolicy
from haste_core.ports import StateChange
from haste_core.ranking import DELETED, Occupied
from haste_core.states import Phase
from haste_core.undecided import Answer, Decided, Postponed, Undecidable, Undecided
from haste_server.store.alerting import tell_scores
from haste_server.store.decision_rows import HOLD_OBJECTS, About, Made, append
from haste_server.store.deleting import number_deleted
from haste_server.store.handout import state_changes
from haste_server.store.records import SqlPart, load_jobs, pipelines_now, save_changes
from haste_server.store.schema import decisions, jobs, objects, streams, tasks


class Deciding(SqlPart):
    """The evaluator's view of the store."""

    def undecided(self, *, limit: int, now: float, without: Collection[str] = ()) -> list[Undecided]:
        """Find tasks that wait for a decision; see `haste_core.ports.TaskStore.undecided`."""

        def work(connection: Connection) -> list[Undecided]:
            rows = _found(connection, limit, now, without)
            found = load_jobs(connection, {row.job_id for row in rows}, lock=False)
            names = {job.spec.stream_id for job in found.values()}
            pipelines = pipelines_now(connection, names)
            seen = {name: last_decision(connection, name) for name in names}
            items = [
                as_undecided(row.task_id, found[row.job_id], pipelines, seen)
                for row in rows
                if row.job_id in found
            ]
            alone = [item for item in items if not item.is_of_a_set]
            ranked = [item for item in alone if isinstance(item.pipeline.policy, RankedPolicy)]
            occupied = occupied_of_streams(connection, {item.stream_id for item in ranked}, pipelines)
            present = _tiers_of(connection, {item.job_id for item in ranked}) if ranked else {}
            return [
                replace(
                    item,
                    present=present.get(item.job_id),
                    occupied=() if item.is_of_a_set else occupied.get(item.stream_id, ()),
                )
                for item in items
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

    def last_decision(self, stream_id: str) -> int:
        """Return the number of a stream's latest decision; see `haste_core.ports.TaskStore.last_decision`."""
        return self.database.read(lambda connection: last_decision(connection, stream_id))

    def record_decisions(
        self, answered: Sequence[tuple[Undecided, Answer]], *, now: float
    ) -> list[StateChange]:
        """Append decisions and make their tasks ready; see `haste_core.ports.TaskStore.record_decisions`."""
        by_job = {item.job_id: (item, answer) for item, answer in answered}

        def work(connection: Connection) -> list[StateChange]:
            before = load_jobs(connection, by_job, lock=True)
            present = present_streams(connection, {item.stream_id for item, _ in answered})
            waiting = {
                job_id: position
                for job_id, job in before.items()
                if (position := _waiting(job, by_job[job_id][0].task_id)) is not None
                # Else the stream got another policy meanwhile: it is asked about again.
                and present[job.spec.stream_id].pipeline_sha256 == by_job[job_id][0].pipeline.sha256
            }
            numbers = self._append(connection, {job_id: by_job[job_id] for job_id in waiting}, present, now)
            after = {
                job_id: self._with_answer(before[job_id], position, by_job[job_id][1], numbers, now)
                for job_id, position in waiting.items()
            }
            changes = [(before[job_id], job) for job_id, job in after.items()]
            save_changes(self.database, connection, changes)
            return state_changes(changes)

        return self.database.write(work) if answered else []

    def _append(
        self,
        connection: Connection,
        waiting: Mapping[int, tuple[Undecided, Answer]],
        present: Mapping[str, sa.Row[Any]],
        now: float,
    ) -> dict[int, int]:
        """Store the decisions about waiting tasks; return their numbers by job."""
        made_about = {
            item.job_id: (item, answer) for item, answer in waiting.values() if isinstance(answer, Decision)
        }
        if not made_about:
            return {}
        known = {row.job_id: row for row in connection.execute(HOLD_OBJECTS, {"ids": list(made_about)})}
        made = []
        for item, decision in made_about.values():
            row = known.get(item.job_id)
            pinned = row is not None and row.pinned
            about = About(
                item.job_id,
                item.task_id,
                item.stream_id,
                item.source_id,
                item.scored.circumstances,
                supersedes=None if row is None else row.decision_id,
                pinned=pinned,
                holds_tier=item.holds_tier,
                set_key=item.set_key,
            )
            kept = held_by_pin(decision, row.tier) if row is not None and pinned else decision
            made.append(Made(about, kept, item.pipeline, present[item.stream_id].mode))
        numbers = append(self.database, connection, made, now=now)
        tell_scores(connection, zip(numbers, made, strict=True))
        return dict(zip(made_about, numbers, strict=True))

    def _with_answer(
        self, job: JobRecord, position: int, answer: Answer, numbers: Mapping[int, int], now: float
    ) -> JobRecord:
        if isinstance(answer, Undecidable):
            return lifecycle.refuse(job, position, answer.reason, now=now, rules=self.rules)
        if isinstance(answer, Postponed):
            jitter = random.random()  # noqa: S311 - spreads what is asked again
            return lifecycle.postpone(job, position, answer.trouble, now=now, jitter=jitter, rules=self.rules)
        return lifecycle.decided(job, position, numbers[job.job_id], answer.score, now=now, rules=self.rules)


def last_decision(connection: Connection, stream_id: str) -> int:
    """Return the number of a stream's latest decision; 0 if there is none."""
    return connection.scalar(_LAST_OF_STREAM, {"name": stream_id}) or 0


def occupied_of_streams(
    connection: Connection, names: Collection[str], pipelines: Mapping[str, Pipeline]
) -> dict[str, tuple[Occupied, ...]]:
    """Tell of all these streams that have rankings what counts in which of their tiers."""
    found = {}
    for name in names:
        policy, by_set = pipelines[name].policy, pipelines[name].image_set is not None
        if isinstance(policy, RankedPolicy):
            found[name] = occupied_of(connection, name, policy, by_set=by_set)
    return found


def occupied_of(
    connection: Connection, stream_id: str, policy: RankedPolicy, *, by_set: bool = False
) -> tuple[Occupied, ...]:
    """Tell what of a stream counts in which tiers, and how much was deleted; what has no score is left out.

    Parameters
    ----------
    connection : Connection
    stream_id : str
    policy : RankedPolicy
    by_set : bool
        Whether an image set counts as one object, where the policy asks for numbers; one that counts in two
        tiers counts in both.
    """
    sets = _sets_of(connection, stream_id, policy) if by_set else {}
    present = tuple(
        Occupied(row.tier, sets.get(row.tier, row.number), int(row.size_bytes), row.worst, row.best)
        for row in connection.execute(_OCCUPIED, {"name": stream_id})
    )
    deleted = number_deleted(connection, stream_id, by_set=by_set)
    return (*present, Occupied(DELETED, deleted, 0, 0.0, 0.0)) if deleted else present


def _sets_of(connection: Connection, stream_id: str, policy: RankedPolicy) -> dict[str, int]:
    """Count the image sets in the tiers whose numbers a policy asks for: all their images are read for it."""
    if isinstance(policy, BudgetPolicy):
        return {}
    wanted = _SETS
    if policy.percent is None:
        wanted = _SETS.where(objects.c.counts_in == policy.tier).with_hint(objects, *BY_RANK)
    return {row.counts_in: row.number for row in connection.execute(wanted, {"name": stream_id})}


def _tiers_of(connection: Connection, job_ids: Collection[int]) -> dict[int, str]:
    """Tell where objects count that were decided about before, as when their task was asked for anew."""
    rows = connection.execute(_TIERS, {"ids": list(job_ids)})
    return {row.job_id: row.counts_in for row in rows}


def _found(connection: Connection, limit: int, now: float, without: Collection[str]) -> list[sa.Row[Any]]:
    found: list[sa.Row[Any]] = []
    for wanted in (_DUE, _UNDECIDED):
        if without:  # walks past their tasks: only where a stream's function is slow
            wanted = wanted.join(jobs, jobs.c.job_id == tasks.c.job_id).where(
                jobs.c.stream_id.not_in(without)
            )
        found.extend(connection.execute(wanted, {"most": limit - len(found), "now": now}))
    return found


def _waiting(job: JobRecord, task_id: int) -> int | None:
    return next(
        (task.position for task in job.tasks if task.task_id == task_id and task.phase is Phase.UNDECIDED),
        None,
    )


def present_streams(connection: Connection, names: Collection[str]) -> dict[str, sa.Row[Any]]:
    """Load streams, which keep mode and policy until this transaction ends."""
    rows: list[sa.Row[Any]] = list(connection.execute(_STREAMS, {"names": list(names)}))
    return {row.stream_id: row for row in rows}


def as_undecided(
    task_id: int, job: JobRecord, pipelines: Mapping[str, Pipeline], seen: Mapping[str, int]
) -> Undecided:
    """Present a task's object as if nothing was decided about it."""
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
    return Undecided(
        task_id,
        job.job_id,
        stream_id,
        job.spec.source_id,
        pipeline,
        scored,
        seen=seen[stream_id],
        holds_tier=lifecycle.holds_tier(job, task_id),
        set_key=None if pipeline.image_set is None else pipeline.image_set.key_of(job.spec.metadata),
    )


_UNDECIDED = (
    sa.select(tasks.c.task_id, tasks.c.job_id)
    .where(tasks.c.phase == Phase.UNDECIDED, tasks.c.due_at.is_(None))
    .limit(sa.bindparam("most", type_=sa.Integer))
)
_DUE = (
    sa.select(tasks.c.task_id, tasks.c.job_id)
    .where(tasks.c.phase == Phase.UNDECIDED, tasks.c.due_at <= sa.bindparam("now"))
    .order_by(tasks.c.due_at)
    .limit(sa.bindparam("most", type_=sa.Integer))
)
_STREAMS = (
    sa.select(streams.c.stream_id, streams.c.mode, streams.c.pipeline_sha256)
    .where(streams.c.stream_id.in_(sa.bindparam("names", expanding=True)))
    .order_by(streams.c.stream_id)
    .with_for_update(read=True)
)


_RANKED = sa.and_(objects.c.stream_id == sa.bindparam("name"), objects.c.score >= 0)
_OCCUPIED = (
    sa.select(
        objects.c.counts_in.label("tier"),
        sa.func.count().label("number"),
        sa.func.sum(objects.c.size_bytes).label("size_bytes"),
        sa.func.min(objects.c.score).label("worst"),
        sa.func.max(objects.c.score).label("best"),
    )
    .where(_RANKED)
    .group_by(objects.c.counts_in)
)
# Else MariaDB walks through the better ones of all tiers, in the order of the scores.
BY_RANK = ("FORCE INDEX (ix_objects_rank)", "mysql")
_ONE_FOR_EACH_SET = sa.func.coalesce(objects.c.set_key, sa.cast(objects.c.job_id, sa.String(20)))
_SETS = (
    sa.select(objects.c.counts_in, sa.func.count(_ONE_FOR_EACH_SET.distinct()).label("number"))
    .where(_RANKED)
    .group_by(objects.c.counts_in)
)
_TIERS = sa.select(objects.c.job_id, objects.c.counts_in).where(
    objects.c.job_id.in_(sa.bindparam("ids", expanding=True))
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
