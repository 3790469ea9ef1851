"""Originals that the server keeps itself, and may do without."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from haste_core.jobs import JobRecord
from haste_core.originals import copying_task, with_original_gone
from haste_core.pipelines import Pipeline
from haste_server.store.leaving import source_key
from haste_server.store.records import SqlPart, load_jobs, pipelines_now, save_changes
from haste_server.store.schema import jobs


class Originals(SqlPart):
    """What is recorded of originals; see `haste_core.originals.OriginalStore`."""

    def leave_originals(self, urls: Collection[str]) -> set[str]:
        """Have the jobs of originals use the copies in tiers from now on; return which originals may go."""

        def work(connection: Connection) -> set[str]:
            ids = connection.scalars(_OF_ORIGINALS, {"keys": [source_key(url) for url in urls]}).all()
            found: defaultdict[str, list[JobRecord]] = defaultdict(list)
            for job in load_jobs(connection, ids, lock=True).values():
                found[job.spec.source_url].append(job)
            plans = pipelines_now(connection, {job.spec.stream_id for its in found.values() for job in its})
            left = {url for url in urls if found[url] and all(_may_go(job, plans) for job in found[url])}
            save_changes(self.database, connection, [_left(job) for url in left for job in found[url]])
            return left

        return self.database.write(work) if urls else set()


def _left(job: JobRecord) -> tuple[JobRecord, JobRecord]:
    task = copying_task(job)
    return job, job if task is None else with_original_gone(job, task)


def _may_go(job: JobRecord, plans: dict[str, Pipeline]) -> bool:
    plan = plans.get(job.spec.stream_id)
    moves = plan is not None and plan.policy is not None and plan.policy.move
    return moves and copying_task(job) is not None


_OF_ORIGINALS = sa.select(jobs.c.job_id).where(jobs.c.source_key.in_(sa.bindparam("keys", expanding=True)))
