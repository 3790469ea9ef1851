"""Leasing ready tasks and recording what became of them."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from haste_core import lifecycle
from haste_core.jobs import JobRecord, TaskRecord
from haste_core.messages import DecisionNote, HeldAttempt, Outcome, TaskMessage, TaskResult
from haste_core.pipelines import Pipeline
from haste_core.ports import StateChange
from haste_core.routing import Route
from haste_core.states import Phase, TaskState
from haste_server.changes import log_changes
from haste_server.store.brake import without_stopped
from haste_server.store.deleting import bury, to_delete, without_late_deletions
from haste_server.store.history import attempt_row
from haste_server.store.leaving import NOTHING, Going, what_goes, with_whereabouts
from haste_server.store.many_rows import GivenRows, insert
from haste_server.store.records import (
    SqlPart,
    job_ids_of_tasks,
    load_jobs,
    save_changes,
)
from haste_server.store.schema import attempts, decisions, jobs, tasks
from haste_server.store.thumbnails import save_thumbnails


class HandOut(SqlPart):
    """The engine's way of tasks through the store."""

    def claim(self, route: Route, limit: int, *, now: float, lease_s: float) -> list[TaskMessage]:
        """Lease the ready tasks of a queue that stand first, at most `limit`, each with a new attempt."""
        return self._claim(_first_ready(route, limit), now=now, lease_s=lease_s)

    def claim_chosen(
        self, route: Route, task_ids: Sequence[int], *, now: float, lease_s: float
    ) -> list[TaskMessage]:
        """Lease those of some tasks that are still ready in a queue, in the order given."""
        if not task_ids:
            return []
        place = {task_id: number for number, task_id in enumerate(task_ids)}
        messages = self._claim(_chosen(route, task_ids), now=now, lease_s=lease_s)
        return sorted(messages, key=lambda message: place[message.task_id])

    def _claim(self, ready: sa.Select[Any], *, now: float, lease_s: float) -> list[TaskMessage]:
        def work(connection: Connection) -> tuple[list[TaskMessage], list[StateChange]]:
            rows = without_stopped(connection, connection.execute(ready).all())
            plain = {row.task_id for row in rows if not row.contended}
            if plain:
                connection.execute(_LEASE, {"ids": sorted(plain), "until": now + lease_s})
            changes = self._claim_contended(connection, rows, now=now, lease_s=lease_s)
            claimed = plain | {change.task_id for change in changes if change.state is TaskState.RUNNING}
            in_order = [(row.task_id, row.job_id) for row in rows if row.task_id in claimed]
            messages = self._messages(connection, in_order, ttl_s=lease_s)
            changes += [_handed_out(message) for message in messages if message.task_id in plain]
            return messages, changes

        messages, changes = self.database.write(work)
        log_changes(changes)
        return messages

    def _claim_contended(
        self, connection: Connection, rows: Sequence[Row[Any]], *, now: float, lease_s: float
    ) -> list[StateChange]:
        """Lease optional tasks and those that overtake them, each with a look at its whole job."""
        asked = {row.task_id: row.job_id for row in rows if row.contended}
        if not asked:
            return []
        # Never wait for a job's row here: whoever holds it may wait for the tasks that we hold.
        free = connection.scalars(
            sa.select(jobs.c.job_id)
            .where(jobs.c.job_id.in_(set(asked.values())))
            .order_by(jobs.c.job_id)
            .with_for_update(skip_locked=True)
        ).all()
        before = load_jobs(connection, free, lock=False)
        after = dict(before)
        for task_id, job_id in asked.items():
            if (job := after.get(job_id)) is None:
                continue
            position = next(task.position for task in job.tasks if task.task_id == task_id)
            handed_out = lifecycle.hand_out(
                job, position, lease_until=now + lease_s, now=now, rules=self.rules
            )
            if handed_out is not None:
                after[job_id] = handed_out
        changes = [(before[job_id], after[job_id]) for job_id in before]
        save_changes(self.database, connection, changes)
        return state_changes(changes)

    def _messages(
        self, connection: Connection, claimed: Sequence[tuple[int, int]], *, ttl_s: float
    ) -> list[TaskMessage]:
        """Write the messages of claimed (task, job) pairs, in their order."""
        found = load_jobs(connection, {job_id for _, job_id in claimed}, lock=False)
        by_id = {task.task_id: task for job in found.values() for task in job.tasks}
        pipelines = self.plans_of(connection, (job.spec.stream_id for job in found.values()))
        notes = _decision_notes(connection, [by_id[task_id] for task_id, _ in claimed])
        handed_out = [(found[job_id], by_id[task_id]) for task_id, job_id in claimed]
        doomed = {number for number, note in notes.items() if note.deletes}
        deleting = to_delete(connection, [task for _, task in handed_out if task.decision_id in doomed])
        going = what_goes(connection, handed_out, pipelines, deleting)
        return [
            _message(job, task, pipelines[job.spec.stream_id], notes, going, ttl_s=ttl_s)
            for job, task in handed_out
        ]

    def record(self, results: Sequence[TaskResult], *, now: float) -> list[StateChange]:
        """Apply results in their order and release what depends on them; stale ones change nothing."""

        def work(connection: Connection) -> list[StateChange]:
            found = job_ids_of_tasks(connection, {result.task_id for result in results})
            before = load_jobs(connection, {job_id for job_id, _ in found.values()}, lock=True)
            after = dict(before)
            history = []
            pictures: dict[int, bytes] = {}
            for result in without_late_deletions(connection, results, found):
                job_id, position = found.get(result.task_id, (0, 0))
                if (job := after.get(job_id)) is None:
                    continue  # deleted meanwhile
                if result.state is TaskState.SOURCE_MISSING:
                    result = with_whereabouts(connection, job, job.tasks[position], result)
                applied = lifecycle.apply_result(
                    job,
                    position,
                    result,
                    now=now,
                    jitter=random.random(),  # noqa: S311 - spreads retries
                    rules=self.rules,
                )
                if applied is None:
                    continue
                after[job_id] = applied
                if result.thumbnail is not None:
                    pictures[job_id] = result.thumbnail
                if applied.tasks[position].phase is not Phase.HANDED_OUT:  # else only its lease is shorter
                    history.append(attempt_row(result, applied.tasks[position].message, now))
            changes = [(before[job_id], after[job_id]) for job_id in before]
            save_changes(self.database, connection, changes)
            bury(connection, changes)
            save_thumbnails(connection, pictures, is_sqlite=self.database.is_sqlite)
            if history:
                insert(self.database, connection, attempts, history)
            return state_changes(changes)

        return self.database.write(work) if results else []

    def renew(self, worker_id: str, held: Sequence[HeldAttempt], *, until: float) -> None:
        """Extend the leases of the attempts that a worker says it holds."""
        rows = [
            {"id": attempt.task_id, "number": attempt.attempt, "started": attempt.started_at}
            for attempt in sorted(held, key=lambda attempt: attempt.task_id)
        ]
        if rows:
            given = GivenRows(
                {"id": sa.BigInteger(), "number": sa.BigInteger(), "started": sa.Double()},
                is_sqlite=self.database.is_sqlite,
            )
            renewal = _renewal(given.table)

            def work(connection: Connection) -> None:
                for parameter in given.parameters(rows):
                    connection.execute(renewal, {"rows": parameter, "until": until, "by": worker_id})

            self.database.write(work)

    def expired(self, *, now: float, limit: int) -> list[TaskResult]:
        """Find the attempts whose lease has ended, as results with the outcome LOST, to be recorded."""
        ended = (
            sa.select(tasks.c.task_id, tasks.c.attempt, tasks.c.worker_id)
            .where(tasks.c.phase == Phase.HANDED_OUT, tasks.c.due_at < now)
            .limit(limit)
        )
        rows = self.database.read(lambda connection: connection.execute(ended).all())
        return [
            TaskResult(
                task_id=row.task_id,
                attempt=row.attempt,
                worker_id=row.worker_id or "",
                outcome=Outcome.LOST,
                message="its lease ended without a word from a worker",
            )
            for row in rows
        ]

    def release_due(self, *, now: float) -> int:
        """Make delayed tasks ready whose pause is over; tell how many."""
        released = (
            sa.update(tasks)
            .where(tasks.c.phase == Phase.DELAYED, tasks.c.due_at <= now)
            .values(phase=Phase.READY, due_at=None)
        )
        return self.database.write(lambda connection: connection.execute(released).rowcount)

    def next_due(self) -> float | None:
        """Tell when the next pause or lease ends."""

        def work(connection: Connection) -> float | None:
            soonest = [
                connection.scalar(sa.select(sa.func.min(tasks.c.due_at)).where(tasks.c.phase == phase))
                for phase in (Phase.DELAYED, Phase.HANDED_OUT)
            ]
            return min((due for due in soonest if due is not None), default=None)

        return self.database.read(work)

    def demand(self, routes: Collection[Route]) -> dict[Route, int]:
        """Find those of some queues in which tasks are ready, each with how many it has in flight."""
        if not routes:
            return {}
        ready = _queues_with_ready(tuple(sorted(routes)))

        def work(connection: Connection) -> dict[Route, int]:
            wanted = [Route(row.task_key, row.site) for row in connection.execute(ready)]
            if not wanted:
                return {}
            counts = {Route(row.task_key, row.site): row.number for row in connection.execute(_IN_FLIGHT)}
            return {route: counts.get(route, 0) for route in wanted}

        return self.database.read(work)


def state_changes(changes: Iterable[tuple[JobRecord, JobRecord]]) -> list[StateChange]:
    """List the tasks that have a new state."""
    return [
        StateChange(
            task_id=new.task_id,
            job_id=after.job_id,
            stream_id=after.spec.stream_id,
            task_key=new.task_key,
            site=new.site,
            attempt=new.attempt,
            state=new.state,
            message=new.message,
            worker_id=new.worker_id,
        )
        for before, after in changes
        for old, new in zip(before.tasks, after.tasks, strict=True)
        if old.state is not new.state
    ]


def _renewal(held: sa.Subquery) -> sa.Update:
    return (
        sa.update(tasks)
        .where(
            tasks.c.task_id == held.c.id,
            tasks.c.attempt == held.c.number,
            tasks.c.phase == Phase.HANDED_OUT,
        )
        .values(due_at=sa.bindparam("until"), worker_id=sa.bindparam("by"), started_at=held.c.started)
    )


@lru_cache(maxsize=100)
def _queues_with_ready(routes: tuple[Route, ...]) -> sa.CompoundSelect[Any]:
    # One look at the head of each: a count would walk all that waits. As subqueries, since SQLite knows no
    # LIMIT in a part of a union.
    heads = [
        sa.select(tasks.c.task_key, tasks.c.site).where(*_ready(route)).limit(1).subquery()
        for route in routes
    ]
    return sa.union_all(*(sa.select(head) for head in heads))


def _ready(route: Route) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        tasks.c.phase == Phase.READY,
        tasks.c.task_key == route.task_key,
        tasks.c.site == route.site,
    )


@lru_cache(maxsize=1000)
def _first_ready(route: Route, limit: int) -> sa.Select[Any]:
    return (
        sa.select(tasks.c.task_id, tasks.c.job_id, tasks.c.task_key, tasks.c.contended)
        .where(*_ready(route))
        .order_by(tasks.c.order_key, tasks.c.stream_index, tasks.c.task_id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )


def _chosen(route: Route, task_ids: Sequence[int]) -> sa.Select[Any]:
    return (
        sa.select(tasks.c.task_id, tasks.c.job_id, tasks.c.task_key, tasks.c.contended)
        .where(tasks.c.task_id.in_(task_ids), *_ready(route))
        .with_for_update(skip_locked=True)
    )


def _message(
    job: JobRecord,
    task: TaskRecord,
    pipeline: Pipeline,
    notes: dict[int, DecisionNote],
    going: Mapping[int, Going],
    *,
    ttl_s: float,
) -> TaskMessage:
    note, goes = notes.get(task.decision_id or 0), going.get(task.task_id, NOTHING)
    if note is not None:
        note = note.model_copy(update={"removes": goes.removes, "deletes": goes.deletes})
    return TaskMessage(
        task_id=task.task_id,
        job_id=job.job_id,
        attempt=task.attempt,
        task_key=task.task_key,
        site=task.site,
        ttl_s=ttl_s,
        place=job.place_for(task.position),
        parameters=pipeline.parameters.get(task.task_key, {}),
        decision=note,
        leaving=goes.leaving,
        is_scored=pipeline.interestingness is not None
        and task.task_key == pipeline.interestingness.features_from,
        job=job.to_json(),
    )


def _decision_notes(connection: Connection, claimed: Sequence[TaskRecord]) -> dict[int, DecisionNote]:
    ids = {task.decision_id for task in claimed if task.decision_id is not None}
    if not ids:
        return {}
    rows = connection.execute(_DECISIONS, {"ids": list(ids)})
    return {
        row.decision_id: DecisionNote(
            decision_id=row.decision_id,
            score=row.score,
            tier=row.tier,
            reason=row.reason,
            enforce=row.mode == "enforce",
            sha256=_text(row.features.get("sha256")),
            deletes=row.origin == "deletion",
        )
        for row in rows
    }


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _handed_out(message: TaskMessage) -> StateChange:
    return StateChange(
        task_id=message.task_id,
        job_id=message.job_id,
        stream_id=str(message.job["stream_id"]),
        task_key=message.task_key,
        site=message.site,
        attempt=message.attempt,
        state=TaskState.RUNNING,
        message="",
    )


_IN_FLIGHT = (
    sa.select(tasks.c.task_key, tasks.c.site, sa.func.count().label("number"))
    .where(tasks.c.phase == Phase.HANDED_OUT)
    .group_by(tasks.c.task_key, tasks.c.site)
)
_DECISIONS = sa.select(
    decisions.c.decision_id,
    decisions.c.score,
    decisions.c.tier,
    decisions.c.reason,
    decisions.c.mode,
    decisions.c.origin,
    decisions.c.features,
).where(decisions.c.decision_id.in_(sa.bindparam("ids", expanding=True)))
_LEASE = (
    sa.update(tasks)
    # By number alone: these rows were found ready, and held, in this transaction. With the phase as well,
    # SQLite would walk all ready tasks.
    .where(tasks.c.task_id.in_(sa.bindparam("ids", expanding=True)))
    .values(
        phase=Phase.HANDED_OUT,
        state=TaskState.RUNNING,
        attempt=tasks.c.attempt + 1,
        due_at=sa.bindparam("until"),
        worker_id=None,
        started_at=None,
        message="",
    )
)
