"""What another interestingness function or policy would do with the objects of a stream.

Where only borders change, or the constants of a function of the same feature, the database counts. All else
is computed from each object's recorded features; see `haste_server.store.trying`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from haste_core.errors import InvalidError, Problem
from haste_core.interestingness import QUICK, no_number
from haste_core.objects import Foreseen, Shift
from haste_core.pipelines import InterestingnessSpec, Pipeline
from haste_core.policies import IntervalPolicy, OwnPolicy, Policy, RankedPolicy
from haste_server.store.policies_in_sql import stays_where_put, tier_by_record
from haste_server.store.ranked_streams import load_ranked_objects, rescored, seen_by, tiers_by_policy
from haste_server.store.records import SqlPart, pipelines_now
from haste_server.store.schema import NO_SCORE, jobs, objects
from haste_server.store.trying import Choice, Way, new_scores, tried

LOWEST = ""
"""Stands for the lowest tier of a policy, before anything of it is kept for audit."""


class Preview(SqlPart):
    """What would be, if."""

    def preview(self, stream_id: str, pipeline: Pipeline) -> Foreseen:
        """Tell what another function and policy would do; see `haste_core.objects.ObjectStore.preview`."""
        spec, policy = pipeline.interestingness, pipeline.policy
        assert spec is not None
        assert policy is not None

        def work(connection: Connection) -> Foreseen:
            present = pipelines_now(connection, [stream_id])[stream_id]
            _check_can_be_tried(spec, present.interestingness, policy)
            is_known = spec == present.interestingness
            failed: Counter[str] = Counter()  # objects, by why the function cannot score them
            if isinstance(policy, RankedPolicy):
                scores = None if is_known else new_scores(connection, stream_id, pipeline, failed)
                return _foreseen(_ranked(connection, stream_id, policy, scores), failed)
            assert isinstance(policy, IntervalPolicy)
            tier = tier_by_record(present, _without_audit(pipeline))
            if tier is None:
                return _foreseen(_summed(tried(connection, stream_id, pipeline, failed)), failed)
            if is_known:
                tier = sa.case((stays_where_put(tier), objects.c.tier), else_=tier)
            else:
                failed = _without_value(connection, stream_id, spec)
            if policy.audit is None:
                return _foreseen(_counted(connection, stream_id, tier), failed)
            audited = _audited(connection, stream_id, tier, policy, is_known=is_known)
            return _foreseen(audited, failed)

        return self.database.read(work)


def _foreseen(shifts: list[Shift], failed: Counter[str]) -> Foreseen:
    if not failed:
        return Foreseen(shifts)
    ((why, _),) = failed.most_common(1)
    return Foreseen(shifts, failed.total(), why)


def _without_value(connection: Connection, stream_id: str, spec: InterestingnessSpec) -> Counter[str]:
    """Count what has no value of the feature that a function of `tier_by_record` looks at."""
    number = connection.scalar(
        sa.select(sa.func.count()).where(
            objects.c.stream_id == stream_id, objects.c.value.is_(None), objects.c.score != NO_SCORE
        )
    )
    return +Counter({no_number(str(spec.parameters["feature"])): number or 0})


def _check_can_be_tried(
    spec: InterestingnessSpec, present: InterestingnessSpec | None, policy: Policy
) -> None:
    what = None
    if isinstance(policy, OwnPolicy):
        what = f"the policy {policy.policy}"
    elif spec != present and spec.function not in QUICK:
        what = spec.function
    if what is not None:
        what = f"{what} runs in the engine only; it cannot be tried without being applied"
        raise InvalidError([Problem("policy" if isinstance(policy, OwnPolicy) else "interestingness", what)])


def _ranked(
    connection: Connection, stream_id: str, policy: RankedPolicy, scores: Mapping[int, float | None] | None
) -> list[Shift]:
    present = load_ranked_objects(connection, stream_id)
    ranked_objects = [seen_by(policy, one) for one in present]
    if scores is not None:
        ranked_objects = [rescored(one, scores, policy) for one in ranked_objects]
    tiers = tiers_by_policy(connection, stream_id, ranked_objects, policy)
    return _summed((one.tier, tiers[one.job_id], one.size_bytes) for one in present)


def _without_audit(pipeline: Pipeline) -> Pipeline:
    """Return a pipeline whose policy has no audit, and `LOWEST` in place of the tier that one is made of."""
    policy = pipeline.policy
    if not isinstance(policy, IntervalPolicy) or policy.audit is None:
        return pipeline
    intervals = tuple(
        one.model_copy(update={"tier": LOWEST}) if one.tier == policy.lowest else one
        for one in policy.intervals
    )
    unaudited = policy.model_copy(update={"intervals": intervals, "audit": None})
    return pipeline.model_copy(update={"policy": unaudited})


def _counted(connection: Connection, stream_id: str, tier: sa.ColumnElement[str]) -> list[Shift]:
    after = sa.case((objects.c.pinned, objects.c.tier), else_=tier).label("after")
    counted = (
        sa.select(objects.c.tier, after, sa.func.count(), sa.func.sum(objects.c.size_bytes))
        .where(objects.c.stream_id == stream_id)
        .group_by(objects.c.tier, after)
        .order_by(objects.c.tier, after)
    )
    return [Shift(before, to, count, int(size)) for before, to, count, size in connection.execute(counted)]


def _audited(
    connection: Connection,
    stream_id: str,
    tier: sa.ColumnElement[str],
    policy: IntervalPolicy,
    *,
    is_known: bool,
) -> list[Shift]:
    """Count, and look only at the names of what would go to the lowest tier."""
    counted = [one for one in _counted(connection, stream_id, tier) if one.after != LOWEST]
    name = sa.func.coalesce(objects.c.set_key, jobs.c.source_id)  # a set is kept as one
    lowest = (
        sa.select(objects.c.tier, objects.c.counts_in, name, objects.c.size_bytes)
        .join(jobs, jobs.c.job_id == objects.c.job_id)
        .where(objects.c.stream_id == stream_id, ~objects.c.pinned, tier == LOWEST)
    )
    choice = Choice(policy, stream_id)

    def way(before: str, counts_in: str, name: str, size_bytes: int) -> Way:
        after = choice.lowest_or_kept(name)
        stays = is_known and after == counts_in  # as `stays_where_put`
        return before, before if stays else after, size_bytes

    ways = (way(*row) for row in connection.execute(lowest))
    return _joined([*counted, *_summed(ways)])


def _summed(ways: Iterable[Way]) -> list[Shift]:
    sums: defaultdict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
    for before, after, size_bytes in ways:
        sums_of_way = sums[before, after]
        sums_of_way[0] += 1
        sums_of_way[1] += size_bytes
    return [Shift(*way, *sums[way]) for way in sorted(sums)]


def _joined(shifts: Iterable[Shift]) -> list[Shift]:
    found: dict[tuple[str, str], Shift] = {}
    for one in shifts:
        way = (one.before, one.after)
        same = found.get(way, Shift(*way, 0, 0))
        found[way] = Shift(*way, same.count + one.count, same.size_bytes + one.size_bytes)
    return [found[way] for way in sorted(found)]
