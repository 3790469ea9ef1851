"""Storing jobs: each once, all or nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from haste_core import lifecycle
from haste_core.errors import ConflictError, Problem, TransientError
from haste_core.jobs import JobRecord
from haste_core.jobspec import JobSpec
from haste_core.pipelines import Pipeline
from haste_core.set_members import tier_task
from haste_core.stores import DEFAULT_PROJECT, Refused, Submitted
from haste_server.store import idempotency
from haste_server.store.alerting import wake_watch
from haste_server.store.database import Database
from haste_server.store.group_commit import GroupCommit
from haste_server.store.idempotency import Call
from haste_server.store.leaving import source_key
from haste_server.store.many_rows import insert_numbered
from haste_server.store.projects import FOREIGN
from haste_server.store.records import SqlPart, by_stream, store_pipeline, task_row
from haste_server.store.schema import NO_INDEX, jobs, streams, tasks
from haste_server.store.streams import elsewhere

_Identity = tuple[str, str, str | None]


@dataclass(frozen=True)
class Submission(SqlPart):
    """The way of specs into the store.

    Attributes
    ----------
    default_pipeline : Pipeline
        For streams that are named by a job before anybody created them; they observe only.
    """

    default_pipeline: Pipeline
    _sweep: idempotency.Sweep = field(
        default_factory=idempotency.Sweep, init=False, repr=False, compare=False
    )
    _gathered: GroupCommit[Call, list[Submitted | Refused]] = field(
        default_factory=GroupCommit, init=False, repr=False, compare=False
    )

    def submit(
        self,
        specs: Sequence[JobSpec],
        *,
        now: float,
        idempotency_key: str | None = None,
        projects: Sequence[str] | None = None,
    ) -> list[Submitted | Refused]:
        """Store jobs with their tasks in one transaction; see `haste_core.stores.JobStore.submit`."""
        call = Call(specs, now, idempotency_key, projects)
        for _ in range(3):
            # Somebody may store one of them in this moment: next time it is found.
            with contextlib.suppress(IntegrityError):
                return self._submit(call)
        raise TransientError("the same sources are being submitted by several clients; try again")

    def _submit(self, call: Call) -> list[Submitted | Refused]:
        if len(call.specs) == 1:
            return self._gathered.run(call, self._store_calls)
        (answer,) = self._store_calls([call])  # many take long: nobody should wait for them
        return answer

    def _store_calls(self, calls: Sequence[Call]) -> list[list[Submitted | Refused]]:
        return self.database.write(lambda connection: self._answer(connection, calls))

    def _answer(self, connection: Connection, calls: Sequence[Call]) -> list[list[Submitted | Refused]]:
        idempotency.drop_old_keys(connection, self._sweep, calls)
        known = idempotency.known_answers(connection, calls)
        asked = [
            (call, [spec for number, spec in enumerate(call.specs) if number not in answered])
            for call, answered in zip(calls, known, strict=True)
        ]
        specs = [spec for _, missing in asked for spec in missing]
        now = max(call.now for call in calls)
        stored = iter(self._store(connection, specs, now, _homes(calls)) if specs else ())
        _refuse_foreign(connection, calls)
        answers = [
            [answered[number] if number in answered else next(stored) for number in range(len(call.specs))]
            for call, answered in zip(calls, known, strict=True)
        ]
        fresh = [(call, answer) for (call, missing), answer in zip(asked, answers, strict=True) if missing]
        idempotency.remember(connection, fresh)
        return answers

    def _store(
        self, connection: Connection, specs: Sequence[JobSpec], now: float, homes: Mapping[str, str]
    ) -> list[Submitted | Refused]:
        pipelines = self._pipelines(connection, {spec.stream_id for spec in specs}, now, homes)
        known = _known_jobs(connection, specs)
        answer: dict[int, Submitted | Refused] = {}
        fresh: dict[int, JobRecord] = {}
        first: dict[_Identity, int] = {}
        for number, spec in enumerate(specs):
            identity = _identity(spec)
            if identity in known:
                answer[number] = Submitted(known[identity], created=False)
            elif spec.source_version is not None and identity in first:
                continue  # a second time in the same call: answered below
            else:
                job = lifecycle.register(spec, now=now, rules=self.rules)
                if problems := _undecidable(job, pipelines[spec.stream_id]):
                    answer[number] = Refused(problems)
                else:
                    fresh[number] = job
                    first[identity] = number
        inserted = _insert(self.database, connection, list(fresh.values()), pipelines)
        for number, job in zip(fresh, inserted, strict=True):
            answer[number] = Submitted(job.job_id, created=True, job=job)
        grown = {job.spec.stream_id for job in fresh.values()}
        wake_watch(connection, [name for name in grown if pipelines[name].alerts])
        for number, spec in enumerate(specs):
            if number not in answer:
                original = answer[first[_identity(spec)]]
                assert isinstance(original, Submitted)
                answer[number] = Submitted(original.job_id, created=False)
        return [answer[number] for number in range(len(specs))]

    def _pipelines(
        self, connection: Connection, names: set[str], now: float, homes: Mapping[str, str]
    ) -> dict[str, Pipeline]:
        found = self.plans_of(connection, names)
        missing = sorted(names - set(found))
        if missing:
            sha256 = store_pipeline(connection, self.default_pipeline)
            connection.execute(
                sa.insert(streams),
                [
                    {
                        "stream_id": name,
                        "pipeline_sha256": sha256,
                        "first_pipeline_sha256": sha256,
                        "mode": "observe",
                        "project": homes.get(name, DEFAULT_PROJECT),
                        "created_at": now,
                    }
                    for name in missing
                ],
            )
        return found | dict.fromkeys(missing, self.default_pipeline)


def _homes(calls: Sequence[Call]) -> dict[str, str]:
    """Tell which project streams belong to that are not there yet; `DEFAULT_PROJECT` if they are left out."""
    bound = [call for call in calls if call.projects is not None]
    return {spec.stream_id: call.projects[0] for call in bound if call.projects for spec in call.specs}


def _refuse_foreign(connection: Connection, calls: Sequence[Call]) -> None:
    """Refuse what belongs to streams of other projects than its sender's."""
    for call in calls:
        if call.projects is None:
            continue
        asked = {"ids": list({spec.stream_id for spec in call.specs}), "projects": list(call.projects)}
        foreign = connection.scalars(FOREIGN, asked).first()
        if foreign is not None:
            raise ConflictError(elsewhere(foreign))


def _identity(spec: JobSpec) -> _Identity:
    return spec.stream_id, spec.source_id, spec.source_version


def _undecidable(job: JobRecord, pipeline: Pipeline) -> tuple[Problem, ...]:
    """Find the tasks that would wait for a score which can never be made."""
    spec = pipeline.interestingness
    problems = []
    for task, asked in zip(job.tasks, job.plan.tasks, strict=True):
        if not lifecycle.needs_decision(job, task.position):
            continue
        if spec is None or pipeline.policy is None:
            what = (
                f"{task.task_key!r} needs a score, but the pipeline {pipeline.name!r} of stream "
                f"{job.spec.stream_id!r} has no interestingness function and policy"
            )
            problems.append(Problem("tasks", what))
            continue
        earlier = {before.task_key for before in job.tasks[: task.position]} | set(job.spec.response)
        needed = {spec.features_from, asked.priority_from or spec.features_from}
        problems += [
            Problem("tasks", f"{task.task_key!r} needs the answer of {key!r}, which is no task before it")
            for key in sorted(needed - earlier)
        ]
    return tuple(problems)


def _known_jobs(connection: Connection, specs: Sequence[JobSpec]) -> dict[_Identity, int]:
    versioned = [_identity(spec) for spec in specs if spec.source_version is not None]
    sources = by_stream((stream_id, source_id) for stream_id, source_id, _ in versioned)
    rows = (row for some in sources for row in connection.execute(_KNOWN_SOURCES, some))
    return {(row.stream_id, row.source_id, row.source_version): row.job_id for row in rows}


def _insert(
    database: Database,
    connection: Connection,
    records: Sequence[JobRecord],
    pipelines: Mapping[str, Pipeline],
) -> list[JobRecord]:
    """Store new jobs, and return them with their numbers and those of their tasks."""
    if not records:
        return []
    rows = [_job_row(record, pipelines[record.spec.stream_id]) for record in records]
    job_ids = insert_numbered(database, connection, jobs, rows)
    numbered = [record.but(job_id=job_id) for record, job_id in zip(records, job_ids, strict=True)]
    task_rows = [task_row(job, task) for job in numbered for task in job.tasks]
    for row in task_rows:
        del row["task_id"]  # the database gives it
    task_ids = iter(insert_numbered(database, connection, tasks, task_rows))
    return [job.but(tasks=tuple(task.but(task_id=next(task_ids)) for task in job.tasks)) for job in numbered]


def _job_row(record: JobRecord, pipeline: Pipeline) -> dict[str, Any]:
    spec = record.spec
    image_set = pipeline.image_set if tier_task(record) is not None else None
    return {
        "stream_id": spec.stream_id,
        "source_id": spec.source_id,
        "source_version": spec.source_version,
        "source_key": source_key(spec.source_url),
        "set_key": None if image_set is None else image_set.key_of(spec.metadata),
        "stream_index": NO_INDEX if spec.index is None else spec.index,
        "spec": spec.text,
        "state": record.state,
        "priority": record.priority,
        "created_at": record.created_at,
        "ended_at": record.ended_at,
    }


_KNOWN_SOURCES = sa.select(jobs.c.job_id, jobs.c.stream_id, jobs.c.source_id, jobs.c.source_version).where(
    jobs.c.stream_id == sa.bindparam("stream_id"),
    jobs.c.source_id.in_(sa.bindparam("names", expanding=True)),
    jobs.c.source_version.is_not(None),
)
