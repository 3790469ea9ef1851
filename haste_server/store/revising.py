"""Streams whose policies rank their objects: what is where, and who changes places.

Only objects about the borders between tiers are read: the worst of each, and the best of those below it. Of
streams with image sets, all are.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from haste_core.decisions import Decision, kept_for_audit
from haste_core.policies import RankedPolicy
from haste_core.ports import RankedSo
from haste_core.ranking import Ranked, Shelf, revise
from haste_core.states import TO_DECIDE
from haste_server.store.deciding import BY_RANK, last_decision, occupied_of
from haste_server.store.deleting import number_deleted
from haste_server.store.ranked_streams import (
    RankedObject,
    leaves_aside,
    load_ranked_objects,
    tiers_by_policy,
    tiers_by_rank,
)
from haste_server.store.records import pipelines_now, read_pipeline
from haste_server.store.redeciding import Change, Redeciding
from haste_server.store.schema import NO_SCORE, decisions, objects, pipelines, streams

BORDER = 200  # objects on each side of a border that are looked at together
TOGETHER = 500  # objects that are written in one transaction, unless an image set has more


@dataclass
class _Revision:
    """What a revision finds.

    Attributes
    ----------
    batches : list of dict
        Decisions that are to be made together.
    places : list of dict
        Objects that stay where a tier's limits sent them on to, but count in another tier.
    """

    batches: list[dict[int, Change]] = field(default_factory=list)
    places: list[dict[str, Any]] = field(default_factory=list)


class Revising(Redeciding):
    """Keeps the best objects of streams in the tiers that are for them."""

    def ranked_streams(self) -> dict[str, RankedSo]:
        """Find the streams to revise; see `haste_core.ports.TaskStore.ranked_streams`."""

        def work(connection: Connection) -> dict[str, RankedSo]:
            ranked = [
                row.pipeline_sha256
                for row in connection.execute(_PIPELINES)
                if isinstance(read_pipeline(row.pipeline).policy, RankedPolicy)
            ]
            rows = connection.execute(_STREAMS, {"ranked": ranked}).all() if ranked else []
            due = set(connection.scalars(_WITH_DUE)) if rows else set()
            return {
                row.stream_id: (
                    row.pipeline_sha256,
                    last_decision(connection, row.stream_id),
                    connection.scalar(_NUMBER, {"name": row.stream_id}) or 0,
                    row.stream_id in due,
                )
                for row in rows
            }

        return self.database.read(work)

    def revise(self, stream_id: str, *, now: float) -> int:
        """Revise a stream about its borders; see `haste_core.ports.TaskStore.revise`."""
        revised = self.database.read(partial(_changes, stream_id))
        moved = sum(
            self.redecide(changes, origin="revision", made_by=None, now=now)
            for changes in revised.batches
            if changes
        )
        places = sorted(revised.places, key=lambda place: int(place["id"]))
        parts = [places[start : start + TOGETHER] for start in range(0, len(places), TOGETHER)]
        return moved + sum(self.database.write(partial(_count_elsewhere, part)) for part in parts)


def _count_elsewhere(places: Sequence[Mapping[str, Any]], connection: Connection) -> int:
    """Give objects their new places in the ranking, unless somebody was quicker; tell how many got them."""
    return sum(connection.execute(_COUNT_IN, place).rowcount for place in places)


def _changes(stream_id: str, connection: Connection) -> _Revision:
    """Find who changes places, together what is to change at once."""
    pipeline = pipelines_now(connection, [stream_id])[stream_id]
    if not isinstance(pipeline.policy, RankedPolicy):
        return _Revision()  # it got another one meanwhile
    if pipeline.image_set is not None:
        return _of_sets(connection, stream_id, pipeline.policy)
    return _about_borders(connection, stream_id, pipeline.policy)


def _of_sets(connection: Connection, stream_id: str, policy: RankedPolicy) -> _Revision:
    ranked_objects = [
        # What a person put to a tier that the ranking does not know comes back only if a policy decides anew.
        one if one.score == NO_SCORE or policy.leaves(one.counts_in) else one._replace(pinned=True)
        for one in load_ranked_objects(connection, stream_id)
    ]
    ranks = tiers_by_rank(ranked_objects, policy, deleted=number_deleted(connection, stream_id, by_set=True))
    tiers = tiers_by_policy(connection, stream_id, ranked_objects, policy)
    found, ranked = _Revision(), policy.ranked
    leaving: defaultdict[str | int, dict[int, Change]] = defaultdict(dict)
    for one in ranked_objects:
        by_rank = ranks.get(one.job_id)
        if by_rank is None:
            continue
        if one.tier != tiers[one.job_id]:
            for_audit = tiers[one.job_id] != by_rank
            change = partial(_revised, policy=policy, was=one.tier, tier=by_rank, for_audit=for_audit)
            leaving[one.set_key or one.job_id][one.job_id] = change
        elif by_rank != (one.counts_in if one.counts_in in ranked else policy.rest):
            found.places.append(_place(one, by_rank))
    found.batches.append({})
    for its in leaving.values():
        if len(found.batches[-1]) >= TOGETHER:
            found.batches.append({})
        found.batches[-1] |= its
    return found


def _about_borders(connection: Connection, stream_id: str, policy: RankedPolicy) -> _Revision:
    shelves = policy.shelves(occupied_of(connection, stream_id, policy))
    near = {row.job_id: row for row in _near_borders(connection, stream_id, shelves, policy)}
    listed = [
        Ranked(
            row.job_id,
            row.score,
            policy.weight(row.size_bytes),
            row.counts_in if row.counts_in in policy.ranked else policy.rest,  # of what is kept for audit
        )
        for row in near.values()
    ]
    moved = revise([_for(shelf, listed) for shelf in shelves], policy.rest, listed)
    found, changes = _Revision(), dict[int, Change]()
    for job_id, by_rank in moved.items():
        row = near[job_id]
        for_audit = policy.takes_for_audit(stream_id, row.source_id)
        tier, _ = kept_for_audit(policy, by_rank, for_audit=for_audit)
        if leaves_aside(row, by_rank, policy) or tier == row.tier:
            found.places.append(_place(row, by_rank))
        else:
            changes[job_id] = partial(
                _revised, policy=policy, was=row.tier, tier=by_rank, for_audit=for_audit
            )
    found.batches.append(changes)
    return found


def _place(one: RankedObject | sa.Row[Any], by_rank: str) -> dict[str, Any]:
    return {"id": one.job_id, "at": one.tier, "was": one.counts_in, "now": by_rank}


def _for(shelf: Shelf, listed: Sequence[Ranked]) -> Shelf:
    """Give the listed objects the room that they have at present, beside what is not listed."""
    return replace(shelf, left=shelf.left + sum(one.weight for one in listed if one.tier == shelf.tier))


def _revised(
    decision: Decision, *, policy: RankedPolicy, was: str, tier: str, for_audit: bool
) -> Decision | None:
    if decision.tier != was:  # decided otherwise in between
        return None
    reason = f"its score is {decision.score:.4f}, {policy.why(tier)}"
    tier, kept = kept_for_audit(policy, tier, for_audit=for_audit)
    return replace(decision, tier=tier, reason=reason + kept)


def _near_borders(
    connection: Connection, stream_id: str, shelves: Sequence[Shelf], policy: RankedPolicy
) -> Iterator[sa.Row[Any]]:
    rest = [policy.rest] if policy.audit is None else [policy.rest, policy.audit.tier]
    tiers = [*(shelf.tier for shelf in shelves), *rest]
    for number, shelf in enumerate(shelves):
        yield from _border(connection, _of_tier(stream_id, shelf.tier), best=False)
        below = [_of_tier(stream_id, tier) for tier in tiers[number + 1 :]]
        if shelf.is_bytes:  # larger ones fit in there never; they must not hide those that do
            below = [wanted.where(objects.c.size_bytes <= shelf.size) for wanted in below]
        yield from _best([_border(connection, wanted, best=True) for wanted in below])


def _best(listed: Sequence[Sequence[sa.Row[Any]]]) -> Iterator[sa.Row[Any]]:
    """List the best of several tiers down to where one of them may have more that are not listed."""

    def rank(row: sa.Row[Any]) -> tuple[float, int]:
        return -row.score, row.job_id

    last = min((rank(rows[-1]) for rows in listed if len(rows) == BORDER), default=(math.inf, 0))
    yield from (row for rows in listed for row in rows if rank(row) <= last)


def _border(connection: Connection, wanted: sa.Select[Any], *, best: bool) -> list[sa.Row[Any]]:
    """List the best or the worst, in the order of their ranks: of equals, the first is the better one."""
    score, job_id = objects.c.score, objects.c.job_id
    # The direction of an index is one for all of its columns, so equals come in the wrong order here ...
    order = (score.desc(), job_id.desc()) if best else (score, job_id)
    rows = connection.execute(wanted.order_by(*order).limit(BORDER)).all()
    if len(rows) < BORDER:
        return list(rows)
    last = rows[-1].score
    clear = [row for row in rows if row.score != last]
    # ... which counts among the last ones only, of whom not all are listed.
    equals = wanted.where(score == last).order_by(job_id if best else job_id.desc())
    return clear + list(connection.execute(equals.limit(BORDER - len(clear))))


def _of_tier(stream_id: str, tier: str) -> sa.Select[Any]:
    return (
        sa.select(
            objects.c.job_id,
            objects.c.score,
            objects.c.tier,
            objects.c.counts_in,
            objects.c.size_bytes,
            decisions.c.source_id,
        )
        .join(decisions, decisions.c.decision_id == objects.c.decision_id)
        .with_hint(objects, *BY_RANK)
        .where(
            objects.c.stream_id == stream_id,
            objects.c.counts_in == tier,
            objects.c.score >= 0,
            objects.c.pinned.is_(False),
            objects.c.held.is_(False),
            objects.c.due.not_in(TO_DECIDE),
        )
    )


_TEXT: sa.ColumnElement[str] = sa.type_coerce(pipelines.c.pipeline, sa.Text)
# Each policy that was ever applied has its row; few of them need to be read.
_PIPELINES = sa.select(pipelines.c.pipeline_sha256, _TEXT.label("pipeline")).where(
    sa.or_(*(_TEXT.contains(f'"{name}"') for name in ("top-k", "budget")))
)
_COUNT_IN = (
    sa.update(objects)
    .where(
        objects.c.job_id == sa.bindparam("id"),
        objects.c.tier == sa.bindparam("at"),
        objects.c.counts_in == sa.bindparam("was"),
        objects.c.due.not_in(TO_DECIDE),
    )
    .values(counts_in=sa.bindparam("now"))
)
_NUMBER = sa.select(sa.func.count()).where(objects.c.stream_id == sa.bindparam("name"))
_WITH_DUE = sa.select(objects.c.stream_id).where(objects.c.due.in_(TO_DECIDE)).distinct()
_STREAMS = sa.select(streams.c.stream_id, streams.c.pipeline_sha256).where(
    streams.c.pipeline_sha256.in_(sa.bindparam("ranked", expanding=True))
)
