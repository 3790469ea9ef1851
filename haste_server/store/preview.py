"""What another interestingness function or policy would do with the objects of a stream.

Where only borders change, or the constants of a function of the same feature, the database counts. All else
is computed from each object's recorded features.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from haste_core.decisions import Decision, decide, kept_for_audit
from haste_core.errors import InvalidError, Problem
from haste_core.image_sets import ImageSetSpec, Member, MemberScore, MemberState, combined, counts
from haste_core.interestingness import (
    QUICK,
    InterestingnessError,
    InterestingnessFunction,
    ScoredObject,
    built_in,
    number_of,
    value_of,
)
from haste_core.objects import Shift
from haste_core.pipelines import InterestingnessSpec, Pipeline
from haste_core.policies import IntervalPolicy, OwnPolicy, Policy, RankedPolicy
from haste_core.ranking import Occupied, Ranked, revise
from haste_core.standings import Standings
from haste_server.store.policies_in_sql import tier_by_record
from haste_server.store.records import SqlPart, pipelines_now
from haste_server.store.schema import NO_SCORE, decisions, jobs, objects

PAGE = 1000
ALL = 2**63 - 1


class Preview(SqlPart):
    """What would be, if."""

    def preview(self, stream_id: str, pipeline: Pipeline) -> list[Shift]:
        """Tell what another function and policy would do; see `haste_core.objects.ObjectStore.preview`."""
        spec, policy = pipeline.interestingness, pipeline.policy
        assert spec is not None
        assert policy is not None

        def work(connection: Connection) -> list[Shift]:
            present = pipelines_now(connection, [stream_id])[stream_id]
            _check_can_be_tried(spec, present.interestingness, policy)
            if isinstance(policy, RankedPolicy):
                return _ranked(connection, stream_id, policy)
            tier = tier_by_record(present, pipeline)
            if tier is not None:
                return _counted(connection, stream_id, tier)
            assert isinstance(policy, IntervalPolicy)
            if spec == present.interestingness:
                rows = _pages(connection, stream_id)
                return _shifts((row, _tier_with(row.score, row, stream_id, policy)) for row in rows)
            return _computed(connection, stream_id, pipeline)

        return self.database.read(work)


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
    elif spec != present and isinstance(policy, RankedPolicy):
        what = "this policy ranks objects by the scores that they have; try it, or the function, by itself"
    if what is not None:
        raise InvalidError([Problem("policy" if isinstance(policy, OwnPolicy) else "interestingness", what)])


def _ranked(connection: Connection, stream_id: str, policy: RankedPolicy) -> list[Shift]:
    rows = connection.execute(_ALL, {"name": stream_id}).all()
    pinned: defaultdict[str, list[int]] = defaultdict(list)
    ranked = []
    for row in rows:
        if row.score == NO_SCORE:
            continue
        if row.pinned:
            pinned[row.tier].append(row.size_bytes)
        else:
            ranked.append(Ranked(row.job_id, row.score, policy.weight(row.size_bytes), ""))
    held = [Occupied(tier, len(sizes), sum(sizes), 0.0, 0.0) for tier, sizes in pinned.items()]
    shelves = policy.shelves(held, more=len(ranked))
    tiers = revise(shelves, policy.rest, ranked)

    def tier(row: Any) -> str:
        if row.job_id not in tiers:
            return policy.undefined
        for_audit = policy.takes_for_audit(stream_id, row.source_id)
        return kept_for_audit(policy, tiers[row.job_id], for_audit=for_audit)[0]

    return _shifts((row, row.tier if row.pinned else tier(row)) for row in rows)


def _counted(connection: Connection, stream_id: str, tier: sa.ColumnElement[str]) -> list[Shift]:
    after = sa.case((objects.c.pinned, objects.c.tier), else_=tier).label("after")
    counted = (
        sa.select(objects.c.tier, after, sa.func.count(), sa.func.sum(objects.c.size_bytes))
        .where(objects.c.stream_id == stream_id)
        .group_by(objects.c.tier, after)
        .order_by(objects.c.tier, after)
    )
    return [Shift(before, to, count, int(size)) for before, to, count, size in connection.execute(counted)]


def _computed(connection: Connection, stream_id: str, pipeline: Pipeline) -> list[Shift]:
    spec, policy = pipeline.interestingness, pipeline.policy
    assert spec is not None
    assert isinstance(policy, IntervalPolicy)
    build = _Building(lambda: _pages(connection, stream_id))

    def decided(row: sa.Row[Any]) -> Decision | None:
        scored = ScoredObject(features=row.features, **row.circumstances)
        for_audit = _is_for_audit(row, stream_id, policy)
        try:
            made = partial(build, row.source_id)
            return decide(scored, spec=spec, policy=policy, build=made, for_audit=for_audit)
        except InterestingnessError:  # as when it is applied: the earlier decision stays
            return None

    rows = _pages(connection, stream_id)
    if pipeline.image_set is not None:
        return _shifts(_of_sets(rows, pipeline.image_set, policy, stream_id, decided))
    return _shifts((row, _tier_of(row, None if row.pinned else decided(row))) for row in rows)


class _Building:
    """Makes functions, with all objects of the stream to be ranked among where one does that."""

    def __init__(self, rows: Callable[[], Iterable[sa.Row[Any]]]) -> None:
        self._rows = rows
        self._standings: Standings | None = None

    def __call__(
        self, source_id: str, function: str, parameters: Mapping[str, Any]
    ) -> InterestingnessFunction:
        if function != "quantile":
            return built_in(function, parameters)
        return built_in(function, {**parameters, "standing": partial(self._standing, source_id)})

    def _standing(self, source_id: str, scored: ScoredObject, feature: str) -> tuple[int, int, int]:
        x = number_of(scored.features, feature)
        if self._standings is None:
            steps = ((row.job_id, row.source_id, value_of(row.features, feature)) for row in self._rows())
            self._standings = Standings(steps)
        return self._standings.standing(x, source_id, up_to=ALL)


def _tier_of(row: Any, decision: Decision | None) -> str:
    return str(row.tier) if decision is None else decision.tier


def _of_sets(
    rows: Iterable[sa.Row[Any]],
    image_set: ImageSetSpec,
    policy: IntervalPolicy,
    stream_id: str,
    decided: Callable[[sa.Row[Any]], Decision | None],
) -> Iterator[tuple[Any, str]]:
    sets: defaultdict[str, _SetTried] = defaultdict(_SetTried)
    for row in rows:
        if row.set_key is None:
            yield row, _tier_of(row, None if row.pinned else decided(row))
            continue
        tried = sets[row.set_key]
        tried.objects.append(_Sized(row.set_key, row.source_id, row.tier, row.pinned, row.size_bytes))
        member = Member(row.source_id, row.circumstances["metadata"], MemberState.DECIDED)
        if counts(image_set, member):
            decision = decided(row)
            tried.has_failed |= decision is None
            if decision is not None:
                tried.scores[row.source_id] = MemberScore(member, decision.score)
    for tried in sets.values():
        score = combined(image_set, list(tried.scores.values()))[0]
        stays = tried.has_failed and not tried.scores
        for one in tried.objects:
            yield one, one.tier if stays else _tier_with(score, one, stream_id, policy)


@dataclass(frozen=True)
class _Sized:
    """What the count needs of an image of a set."""

    set_key: str
    source_id: str
    tier: str
    pinned: bool
    size_bytes: int


@dataclass
class _SetTried:
    """The images of a set, and what the function says of those that count."""

    objects: list[_Sized] = field(default_factory=list)
    scores: dict[str, MemberScore] = field(default_factory=dict)
    has_failed: bool = False


def _shifts(ways: Iterable[tuple[Any, str]]) -> list[Shift]:
    counts: Counter[tuple[str, str]] = Counter()
    sizes: defaultdict[tuple[str, str], int] = defaultdict(int)
    for row, after in ways:
        counts[row.tier, after] += 1
        sizes[row.tier, after] += row.size_bytes
    return [Shift(*way, counts[way], sizes[way]) for way in sorted(counts)]


def _tier_with(score: float | None, row: Any, stream_id: str, policy: IntervalPolicy) -> str:
    if row.pinned:
        return str(row.tier)
    if score is None:
        return policy.undefined
    for_audit = _is_for_audit(row, stream_id, policy)
    return kept_for_audit(policy, policy.tier_for(score), for_audit=for_audit)[0]


def _is_for_audit(row: Any, stream_id: str, policy: Policy) -> bool:
    return policy.takes_for_audit(stream_id, row.set_key or row.source_id)  # a set is kept as one


def _pages(connection: Connection, stream_id: str) -> Iterator[sa.Row[Any]]:
    after = 0
    while rows := list[sa.Row[Any]](connection.execute(_PAGE, {"name": stream_id, "after": after})):
        yield from rows
        after = rows[-1].job_id


_ALL = (
    sa.select(
        objects.c.job_id,
        objects.c.score,
        objects.c.tier,
        objects.c.pinned,
        objects.c.size_bytes,
        jobs.c.source_id,
    )
    .join(jobs, jobs.c.job_id == objects.c.job_id)
    .where(objects.c.stream_id == sa.bindparam("name"))
)
_PAGE = (
    sa.select(
        objects.c.job_id,
        objects.c.set_key,
        objects.c.tier,
        objects.c.pinned,
        objects.c.size_bytes,
        decisions.c.source_id,
        decisions.c.score,
        decisions.c.features,
        decisions.c.circumstances,
    )
    .join(decisions, decisions.c.decision_id == objects.c.decision_id)
    .where(objects.c.stream_id == sa.bindparam("name"), objects.c.job_id > sa.bindparam("after"))
    .order_by(objects.c.job_id)
    .limit(PAGE)
)
