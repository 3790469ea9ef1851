"""Storing jobs: each once, all or nothing."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
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
from haste_core.ports import Refused, Submitted
from haste_server.store.records import SqlPart, task_row
from haste_server.store.schema import NO_INDEX, idempotency_keys, jobs, streams, tasks

KEYS_KEPT_S = 24 * 3600
"""An idempotency key is for repeating a call whose answer was lost; no client does so a day later."""

_SWEEP_EVERY = 16  # calls with a key
_SWEEP_KEYS = 100  # looked at each time: more than were added since, so that the table follows a day's calls

_Identity = tuple[str, str, str | None]


@dataclass
class _Sweep:
    """Where in the order of the idempotency keys this process looks next for old ones."""

    calls: int = 0
    after: str = ""


@dataclass(frozen=True)
class Submission(SqlPart):
    """The way of specs into the store.

    Attributes
    ----------
    default_pipeline : Pipeline
        For streams that are named by a job before anybody created them; they observe only.
    """

    default_pipeline: Pipeline
    _sweep: _Sweep = field(default_factory=_Sweep, init=False, repr=False, compare=False)

    def submit(
        self, specs: Sequence[JobSpec], *, now: float, idempotency_key: str | None = None
    ) -> list[Submitted | Refused]:
        """Store jobs with their tasks in one transaction; see `haste_core.ports.JobStore.submit`."""
        fingerprint = _fingerprint(specs)

        def work(connection: Connection) -> list[Submitted | Refused]:
            if idempotency_key is None:
                return self._store(connection, specs, now)
            _drop_old_keys(connection, self._sweep, now)
            known = _known_answers(connection, idempotency_key, fingerprint, now)
            missing = [number for number in range(len(specs)) if number not in known]
            if missing:
                stored = self._store(connection, [specs[number] for number in missing], now)
                known |= dict(zip(missing, stored, strict=True))
            answer = [known[number] for number in range(len(specs))]
            if missing:
                _remember(connection, idempotency_key, fingerprint, answer, now)
            return answer

        for _ in range(3):
            try:
                return self.database.write(work)
            except IntegrityError:
                continue  # somebody stored one of them in this moment: now it will be found
        raise TransientError("the same sources are being submitted by several clients; try again")

    def _store(
        self, connection: Connection, specs: Sequence[JobSpec], now: float
    ) -> list[Submitted | Refused]:
        pipelines = self._pipelines(connection, {spec.stream_id for spec in specs}, now)
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
        for number, job_id in zip(fresh, _insert(connection, list(fresh.values())), strict=True):
            answer[number] = Submitted(job_id, created=True)
        for number, spec in enumerate(specs):
            if number not in answer:
                original = answer[first[_identity(spec)]]
                assert isinstance(original, Submitted)
                answer[number] = Submitted(original.job_id, created=False)
        return [answer[number] for number in range(len(specs))]

    def _pipelines(self, connection: Connection, names: set[str], now: float) -> dict[str, Pipeline]:
        rows = connection.execute(
            sa.select(streams.c.stream_id, streams.c.pipeline).where(streams.c.stream_id.in_(names))
        )
        found = {row.stream_id: Pipeline.parse(row.pipeline) for row in rows}
        missing = sorted(names - set(found))
        if missing:
            shown = self.default_pipeline.to_json()
            connection.execute(
                sa.insert(streams),
                [
                    {"stream_id": name, "pipeline": shown, "mode": "observe", "created_at": now}
                    for name in missing
                ],
            )
        return found | dict.fromkeys(missing, self.default_pipeline)


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
    if not versioned:
        return {}
    columns = (jobs.c.stream_id, jobs.c.source_id, jobs.c.source_version)
    rows = connection.execute(sa.select(jobs.c.job_id, *columns).where(sa.tuple_(*columns).in_(versioned)))
    return {(row.stream_id, row.source_id, row.source_version): row.job_id for row in rows}


def _insert(connection: Connection, records: list[JobRecord]) -> list[int]:
    if not records:
        return []
    job_ids = connection.scalars(
        sa.insert(jobs).returning(jobs.c.job_id, sort_by_parameter_order=True),
        [_job_row(record) for record in records],
    ).all()
    rows = [
        {**task_row(record, task), "job_id": job_id, "task_id": None}
        for job_id, record in zip(job_ids, records, strict=True)
        for task in record.tasks
    ]
    connection.execute(sa.insert(tasks), rows)
    return list(job_ids)


def _job_row(record: JobRecord) -> dict[str, Any]:
    spec = record.spec
    return {
        "stream_id": spec.stream_id,
        "source_id": spec.source_id,
        "source_version": spec.source_version,
        "stream_index": _stream_index(spec),
        "spec": spec.to_json(),
        "state": int(record.state),
        "priority": record.priority,
        "created_at": record.created_at,
        "ended_at": record.ended_at,
    }


def _stream_index(spec: JobSpec) -> int:
    return NO_INDEX if spec.index is None else spec.index


def _fingerprint(specs: Sequence[JobSpec]) -> str:
    canonical = json.dumps([spec.to_json() for spec in specs], sort_keys=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _known_answers(
    connection: Connection, key: str, fingerprint: str, now: float
) -> dict[int, Submitted | Refused]:
    """Find the answers that a key stands for, by number.

    Those whose jobs were deleted are left out; if any are, or the key is old, it is forgotten.
    """
    of_key = idempotency_keys.c.idempotency_key == key
    # Held, so that of two calls that find a job deleted only one makes a new job.
    row = connection.execute(sa.select(idempotency_keys).where(of_key).with_for_update()).one_or_none()
    if row is None:
        return {}
    known: dict[int, Submitted | Refused] = {}
    if row.created_at >= now - KEYS_KEPT_S:
        if row.request_sha256 != fingerprint:
            raise ConflictError(f"the Idempotency-Key {key!r} was used for another request; take a new one")
        known = _standing(connection, row.answer)
    if len(known) < len(row.answer):
        connection.execute(sa.delete(idempotency_keys).where(of_key))
    return known


def _standing(connection: Connection, answer: list[dict[str, Any]]) -> dict[int, Submitted | Refused]:
    asked = {item["job_id"] for item in answer if "job_id" in item}
    there = set(connection.scalars(sa.select(jobs.c.job_id).where(jobs.c.job_id.in_(asked))))
    return {
        number: Submitted(item["job_id"], created=False)
        if "job_id" in item
        else Refused(tuple(Problem(**problem) for problem in item["problems"]))
        for number, item in enumerate(answer)
        if item.get("job_id") in there or "problems" in item
    }


def _remember(
    connection: Connection, key: str, fingerprint: str, answer: list[Submitted | Refused], now: float
) -> None:
    items = [
        {"job_id": item.job_id}
        if isinstance(item, Submitted)
        else {"problems": [{"where": problem.where, "what": problem.what} for problem in item.problems]}
        for item in answer
    ]
    row = {"idempotency_key": key, "request_sha256": fingerprint, "answer": items, "created_at": now}
    connection.execute(sa.insert(idempotency_keys), [row])


def _drop_old_keys(connection: Connection, sweep: _Sweep, now: float) -> None:
    """Look at a few keys now and then, in the order of the primary key, and drop those that are old."""
    sweep.calls += 1
    if sweep.calls % _SWEEP_EVERY:
        return
    columns = (idempotency_keys.c.idempotency_key, idempotency_keys.c.created_at)
    rows = connection.execute(
        sa.select(*columns).where(columns[0] > sweep.after).order_by(columns[0]).limit(_SWEEP_KEYS)
    ).all()
    sweep.after = rows[-1].idempotency_key if len(rows) == _SWEEP_KEYS else ""
    old = [row.idempotency_key for row in rows if row.created_at < now - KEYS_KEPT_S]
    if old:
        connection.execute(sa.delete(idempotency_keys).where(columns[0].in_(old)))
