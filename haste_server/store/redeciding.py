"""Objects that are decided about once more, and those that move since they were.

See docs/decisions/0095-a-table-of-objects.md.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from haste_core import lifecycle
from haste_core.decisions import Decision, Origin
from haste_core.errors import NotFoundError
from haste_core.interestingness import ScoredObject
from haste_core.messages import Outcome
from haste_core.ports import StateChange
from haste_core.states import MOVES, TO_DECIDE, Due, Phase, TaskState
from haste_core.undecided import Undecided
from haste_server.store.alerting import watch_again
from haste_server.store.deciding import last_decision, present_streams
from haste_server.store.decision_rows import HOLD_OBJECTS, append, value_of_object
from haste_server.store.handout import state_changes
from haste_server.store.later_decisions import (
    PUT,
    SENT_ON,
    decided_already,
    due_of,
    earlier_of,
    kept_where_put,
    known_of,
    made_of,
    repeated,
    sent_on,
    stays_where_put,
    was_put,
    what_is_kept,
)
from haste_server.store.records import (
    PIPELINE_TEXT,
    SqlPart,
    load_jobs,
    pipelines_now,
    read_pipeline,
    save_changes,
)
from haste_server.store.schema import attempts, decisions, jobs, objects, pipelines, streams, tasks

Change = Callable[[Decision], Decision | None]

_BY_ITSELF = ("revision", *SENT_ON)
"""Origins of what the server decides without being asked; another policy is asked first."""


class Redeciding(SqlPart):
    """Later decisions about objects, and what follows from them."""

    def to_redecide(self, *, limit: int, without: Collection[str] = ()) -> list[Undecided]:
        """List objects of streams whose policy has changed since, as they were decided about before."""
        wanted = _DUE.where(objects.c.stream_id.not_in(without)) if without else _DUE

        def work(connection: Connection) -> list[Undecided]:
            job_ids: list[int] = []
            for what in TO_DECIDE:
                job_ids += connection.scalars(wanted, {"what": what, "most": limit - len(job_ids)})
            rows = connection.execute(_PRESENT, {"ids": job_ids}).all() if job_ids else []
            names = {row.stream_id for row in rows}
            now = pipelines_now(connection, names)
            seen = {name: last_decision(connection, name) for name in names}
            return [
                Undecided(
                    row.task_id,
                    row.job_id,
                    row.stream_id,
                    row.source_id,
                    now[row.stream_id],
                    ScoredObject(features=row.features, **row.circumstances),
                    seen=seen[row.stream_id],
                    present=row.tier,
                    set_key=row.set_key,
                    earlier=known_of(row, now[row.stream_id]),
                )
                for row in rows
            ]

        return self.database.read(work)

    def redecided(
        self,
        answered: Sequence[tuple[Undecided, Decision | None]],
        *,
        now: float,
        origin: Literal["new-policy", "set"] = "new-policy",
    ) -> None:
        """Record what was decided once more; see `haste_core.ports.TaskStore.redecided`."""
        by_job = {item.job_id: (item, decision) for item, decision in answered}

        def work(connection: Connection) -> None:
            made, done, going = [], [], []
            for row in held(connection, by_job):
                item, decision = by_job[row.job_id]
                if row.is_deleting:  # too late: it is settled, and does not come again
                    going.append({"id": row.job_id, "what": Due.NOTHING})
                    continue
                is_asked = row.due in TO_DECIDE or origin == "set"
                is_other = item.earlier is not None and item.earlier.decision_id != row.decision_id
                if not is_asked or is_other or row.stream_pipeline_sha256 != item.pipeline.sha256:
                    continue  # somebody else was quicker, or it is due again
                keeps_place = decision is None or stays_where_put(row, decision, item)
                kept = what_is_kept(row, decision, keeps_place=keeps_place)
                if (kept.score, kept.tier, row.stream_mode) in decided_already(row):
                    value = value_of_object(kept, item.pipeline)
                    counts_in = row.counts_in if keeps_place else kept.tier
                    what = due_of(row, kept.tier)
                    done.append({"id": row.job_id, "what": what, "read": value, "counts": counts_in})
                elif item.stands or (keeps_place and was_put(row) and row.origin != "deletion"):
                    made.append(kept_where_put(repeated(row), row))
                else:
                    one = made_of(row, kept, origin, None, pipeline=item.pipeline)
                    made.append(one if not keeps_place else kept_where_put(one, row))
            append(self.database, connection, made, now=now)
            if done:
                connection.execute(_SETTLE, done)
            if going:
                connection.execute(_SET_DUE, going)

        if answered:
            self.database.write(work)

    def redecide(
        self,
        changes: Mapping[int, Change],
        *,
        origin: Origin,
        made_by: str | None,
        now: float,
        pinned: bool | None = None,
    ) -> int:
        """Decide otherwise about objects, and tell about how many.

        Parameters
        ----------
        changes : mapping of int to callable
            By job: from the present decision to the new one; None: it stays.
        origin : str
        made_by : str, optional
            Who asked for it.
        now : float
        pinned : bool, optional
            None: pinned objects are left as they are; else they are pinned from now on, or not any more.
        """

        def work(connection: Connection) -> int:
            made = []
            rows = held(connection, changes)
            streams_of = {row.stream_id for row in rows} if origin in PUT else ()
            present = pipelines_now(connection, streams_of) if streams_of else {}
            for row in rows:
                if row.is_deleting or (row.pinned and pinned is None):
                    continue
                if row.due in TO_DECIDE and origin in _BY_ITSELF:
                    continue
                decision = changes[row.job_id](earlier_of(row))
                if decision is None:
                    continue
                one = made_of(row, decision, origin, made_by, pipeline=read_pipeline(row.pipeline))
                if pinned is not None:
                    one = replace(one, about=replace(one.about, pinned=pinned))
                if row.stream_id in present:
                    one = sent_on(one, row, present[row.stream_id].policy)
                if pinned is False:  # what the policy says of it is found out next
                    one = replace(one, due=Due.DECISION)
                made.append(one)
            append(self.database, connection, made, now=now)
            return len(made)

        return self.database.write(work) if changes else 0

    def redecide_one(
        self,
        job_id: int,
        change: Change,
        *,
        origin: Origin,
        made_by: str | None,
        now: float,
        pinned: bool | None = None,
    ) -> None:
        """Decide otherwise about one object; see `redecide`.

        Raises
        ------
        NotFoundError
            If there is no such job, or nothing was decided about it yet.
        ConflictError
            If it is being deleted, or was.
        """
        changed = self.redecide({job_id: change}, origin=origin, made_by=made_by, now=now, pinned=pinned)
        if not changed:
            jobs_found = self.database.read(lambda connection: load_jobs(connection, [job_id], lock=False))
            for job in jobs_found.values():
                lifecycle.refuse_deleted(job)
            raise NotFoundError(f"nothing was decided yet about the object of job {job_id}, or it is pinned")

    def start_moves(self, *, limit: int, now: float) -> list[StateChange]:
        """Have the `tier` tasks of objects run again; see `haste_core.ports.TaskStore.start_moves`."""

        def work(connection: Connection) -> list[StateChange]:
            before = load_jobs(connection, _to_move(connection, limit), lock=True)
            present = {row.job_id: row for row in held(connection, before)}
            changes, moving = [], []
            for job_id, job in before.items():
                row = present.get(job_id)
                if row is None or row.due not in MOVES:
                    continue
                if any(task.phase is Phase.HANDED_OUT for task in job.tasks):
                    continue  # its result comes first, or that of one that reads the object where it is
                position = next(task.position for task in job.tasks if task.task_id == row.task_id)
                # New images wait for the room that a full tier makes.
                first = row.due is Due.MOVE_FIRST or row.origin == "quota"
                moved = lifecycle.move_again(
                    job, position, row.decision_id, first=first, now=now, rules=self.rules
                )
                changes.append((job, moved))
                moving.append({"id": job_id, "what": Due.NOTHING})
            save_changes(self.database, connection, changes)
            watch_again(connection, {job.spec.stream_id for job, _ in changes})
            if moving:
                connection.execute(_SET_DUE, moving)
            return state_changes(changes)

        return self.database.write(work)


def _to_move(connection: Connection, limit: int) -> list[int]:
    found: list[int] = []
    for what in MOVES:
        found += connection.scalars(_TO_MOVE, {"what": what, "most": limit - len(found)})
    return found


def held(connection: Connection, job_ids: Collection[int]) -> list[Row[Any]]:
    """Load objects with their present decisions and streams, and hold them.

    Their jobs come first, as everywhere: MariaDB holds these, too, when their objects are written. Then come
    the streams, as where a stream's mode or policy changes: else that could come between what is read here
    and what is written by it.
    """
    ids = {"ids": list(job_ids)}
    names = {row.stream_id for row in connection.execute(_HOLD_JOBS, ids)}
    present_streams(connection, names)
    connection.execute(_HOLD, ids)
    return list(connection.execute(_PRESENT, ids))


_IDS: sa.BindParameter[int] = sa.bindparam("ids", expanding=True)
_carried = decisions.alias("carried")
# `TaskRecord.is_deleting`: of such a decision, nothing else is left to be removed.
_IS_DELETING = sa.and_(
    _carried.c.origin == "deletion", tasks.c.leaving.is_not(None), tasks.c.phase != Phase.ENDED
)
_DUE = (
    sa.select(objects.c.job_id)
    .where(objects.c.due == sa.bindparam("what", type_=objects.c.due.type))
    .order_by(objects.c.job_id)
    .limit(sa.bindparam("most", type_=sa.Integer))
)
_HANDED_OUT = sa.exists().where(tasks.c.job_id == objects.c.job_id, tasks.c.phase == Phase.HANDED_OUT)
_earlier_attempts = attempts.alias("earlier")
_LAST_DONE = (
    sa.select(sa.func.coalesce(sa.func.max(_earlier_attempts.c.attempt), 0))
    .where(_earlier_attempts.c.task_id == tasks.c.task_id, _earlier_attempts.c.state == TaskState.DONE)
    .correlate(tasks)
    .scalar_subquery()
)
# What an attempt has copied that nobody heard of again is found by the next one only if it has the same tier.
_MAY_HAVE_COPIED = sa.exists().where(
    tasks.c.task_id == objects.c.task_id,
    tasks.c.phase.not_in((Phase.ENDED, Phase.SET_ASIDE)),  # of which the latter does not run before it moves
    attempts.c.task_id == tasks.c.task_id,
    attempts.c.outcome.in_((Outcome.LOST, Outcome.CRASHED)),
    attempts.c.attempt > _LAST_DONE,
)
_TO_MOVE = (
    sa.select(objects.c.job_id)
    .where(objects.c.due == sa.bindparam("what", type_=objects.c.due.type), ~_HANDED_OUT, ~_MAY_HAVE_COPIED)
    .order_by(objects.c.job_id)
    .limit(sa.bindparam("most", type_=sa.Integer))
)
_HOLD_JOBS = (
    sa.select(jobs.c.job_id, jobs.c.stream_id)
    .where(jobs.c.job_id.in_(_IDS))
    .order_by(jobs.c.job_id)
    .with_for_update(read=True)
)
_HOLD = HOLD_OBJECTS.with_only_columns(objects.c.job_id)
_PRESENT: sa.Select[Any] = (
    sa.select(
        objects.c.job_id,
        objects.c.task_id,
        objects.c.stream_id,
        objects.c.set_key,
        objects.c.decision_id,
        objects.c.pinned,
        objects.c.held,
        objects.c.counts_in,
        objects.c.due,
        decisions.c.source_id,
        decisions.c.score.label("decision_score"),
        decisions.c.tier,
        decisions.c.reason,
        decisions.c.mode,
        decisions.c.origin,
        decisions.c.made_by,
        decisions.c.features,
        decisions.c.circumstances,
        decisions.c.input_sha256,
        decisions.c.seen,
        decisions.c.members,
        streams.c.mode.label("stream_mode"),
        streams.c.pipeline_sha256.label("stream_pipeline_sha256"),
        _carried.c.tier.label("carried_tier"),
        _carried.c.mode.label("carried_mode"),
        _IS_DELETING.label("is_deleting"),
        tasks.c.phase.label("task_phase"),
        PIPELINE_TEXT,
    )
    .join(decisions, decisions.c.decision_id == objects.c.decision_id)
    .join(streams, streams.c.stream_id == objects.c.stream_id)
    .join(pipelines, pipelines.c.pipeline_sha256 == decisions.c.pipeline_sha256)
    .join(tasks, tasks.c.task_id == objects.c.task_id)
    .outerjoin(_carried, _carried.c.decision_id == tasks.c.decision_id)
    .where(objects.c.job_id.in_(_IDS))
    .order_by(objects.c.job_id)
)
_SETTLE = (
    sa.update(objects)
    .where(objects.c.job_id == sa.bindparam("id"))
    .values(
        due=sa.bindparam("what", type_=objects.c.due.type),
        value=sa.bindparam("read"),
        counts_in=sa.bindparam("counts"),
    )
)
_SET_DUE = (
    sa.update(objects)
    .where(objects.c.job_id == sa.bindparam("id"))
    .values(due=sa.bindparam("what", type_=objects.c.due.type))
)
