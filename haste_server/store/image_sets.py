"""Image sets: all their images, and until when those that are there wait for the others."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from haste_core.image_sets import MemberState
from haste_core.policies import RankedPolicy
from haste_core.set_members import member_of, tier_task
from haste_core.states import Phase
from haste_core.undecided import SetMember, SetName
from haste_server.store.deciding import as_undecided, last_decision, occupied_of_streams
from haste_server.store.records import COMPLETED_AT, SqlPart, by_stream, load_jobs, pipelines_now
from haste_server.store.schema import jobs, objects, streams, tasks


class ImageSets(SqlPart):
    """The evaluator's view of image sets."""

    def set_members(self, names: Collection[SetName]) -> dict[SetName, list[SetMember]]:
        """Load all images of sets; see `haste_core.ports.TaskStore.set_members`."""
        return self.database.read(lambda connection: _members(connection, names, lock=False))

    def hold_sets(self, held: Sequence[tuple[SetName, Sequence[SetMember], float]]) -> None:
        """Let sets wait; see `haste_core.ports.TaskStore.hold_sets`."""
        if not held:
            return

        def work(connection: Connection) -> None:
            connection.execute(_KEEP_STREAMS, {"names": list({stream_id for (stream_id, _), _, _ in held})})
            present = _members(connection, [name for name, _, _ in held], lock=True)
            rows = [
                {"id": one.item.task_id, "until": until}
                for name, seen, until in held
                if _as_seen(present.get(name, ())) == _as_seen(seen)
                for one in seen
                if one.member.state is MemberState.WAITING
            ]
            if rows:
                connection.execute(_HOLD, rows)

        self.database.write(work)


def _members(
    connection: Connection, names: Collection[SetName], *, lock: bool
) -> dict[SetName, list[SetMember]]:
    rows = [row for some in by_stream(names) for row in connection.execute(_OF_SETS, some)]
    set_of = {row.job_id: (row.stream_id, row.set_key) for row in rows}
    found = load_jobs(connection, set_of, lock=lock)
    stream_ids = {name for name, _ in names}
    pipelines = pipelines_now(connection, stream_ids)
    seen = {name: last_decision(connection, name) for name in stream_ids}
    complete = set(connection.scalars(_COMPLETE, {"names": list(stream_ids)}))
    latest = {(set_of[job_id], job.spec.source_id): job_id for job_id, job in sorted(found.items())}
    ranked = {name for name, pipeline in pipelines.items() if isinstance(pipeline.policy, RankedPolicy)}
    occupied = {} if lock else occupied_of_streams(connection, ranked, pipelines)
    present = _tiers_by_rank(connection, found) if ranked else {}
    members: defaultdict[SetName, list[SetMember]] = defaultdict(list)
    for job_id, job in sorted(found.items()):
        name = set_of[job_id]
        tier = tier_task(job)
        if tier is not None:
            item = replace(
                as_undecided(tier.task_id, job, pipelines, seen),
                present=present.get(job_id),
                occupied=occupied.get(name[0], ()),
            )
            is_latest = latest[name, job.spec.source_id] == job_id
            more_come = name[0] not in complete
            members[name].append(SetMember(item, member_of(job, tier), is_latest, more_come))
    return dict(members)


def _tiers_by_rank(connection: Connection, job_ids: Collection[int]) -> dict[int, str]:
    """Tell where ranks have put images; those that others put somewhere are left out."""
    return {row.job_id: row.tier for row in connection.execute(_PRESENT, {"ids": list(job_ids)})}


def _as_seen(members: Iterable[SetMember]) -> dict[int, tuple[MemberState, bool]]:
    return {one.item.job_id: (one.member.state, one.more_come) for one in members}


_OF_SETS = sa.select(jobs.c.job_id, jobs.c.stream_id, jobs.c.set_key).where(
    jobs.c.stream_id == sa.bindparam("stream_id"),
    jobs.c.set_key.in_(sa.bindparam("names", expanding=True)),
)
_COMPLETE = sa.select(streams.c.stream_id).where(
    streams.c.stream_id.in_(sa.bindparam("names", expanding=True)), COMPLETED_AT.is_not(None)
)
# Nobody completes them until this transaction ends: who does that then finds what it has held.
_KEEP_STREAMS = (
    sa.select(streams.c.stream_id)
    .where(streams.c.stream_id.in_(sa.bindparam("names", expanding=True)))
    .order_by(streams.c.stream_id)
    .with_for_update(read=True)
)
_PRESENT = sa.select(objects.c.job_id, objects.c.counts_in.label("tier")).where(
    objects.c.job_id.in_(sa.bindparam("ids", expanding=True)),
    objects.c.pinned.is_(False),
    objects.c.held.is_(False),
)
_HOLD = (
    sa.update(tasks)
    .where(tasks.c.task_id == sa.bindparam("id"), tasks.c.phase == Phase.UNDECIDED)
    .values(due_at=sa.bindparam("until"))
)
