"""All objects of a stream as a policy ranks them, image sets as one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from haste_core.decisions import kept_for_audit
from haste_core.policies import RankedPolicy
from haste_core.ranking import Occupied, Ranked, revise
from haste_server.store.deleting import number_deleted
from haste_server.store.schema import NO_SCORE, jobs, objects


class RankedObject(NamedTuple):
    """What a ranking asks of an object.

    Attributes
    ----------
    score : float
        `NO_SCORE` where it is undefined.
    tier : str
        Where it is by its latest decision.
    held : bool
        Whether a person put it there.
    set_key : str, optional
        Its image set.
    counts_in : str
        Where it takes room by its rank: the same tier, or the one whose limits sent it on.
    """

    job_id: int
    score: float
    tier: str
    size_bytes: int
    pinned: bool
    held: bool
    set_key: str | None
    counts_in: str


@dataclass
class _Set:
    """An image set: its first job, its score, the bytes of what may move, and the tiers of what may not."""

    first: int
    score: float
    size_bytes: int = 0
    moves: bool = False
    stays_in: set[str] = field(default_factory=set)


def load_ranked_objects(connection: Connection, stream_id: str) -> list[RankedObject]:
    """Load all objects of a stream about which was decided."""
    return list(map(RankedObject._make, connection.execute(_RANKED_OBJECTS, {"name": stream_id}).all()))


def tiers_by_policy(
    connection: Connection, stream_id: str, ranked_objects: Sequence[RankedObject], policy: RankedPolicy
) -> dict[int, str]:
    """Tell by job where each object of a stream belongs, once all is revised by a policy.

    Parameters
    ----------
    connection : Connection
    stream_id : str
    ranked_objects : sequence of RankedObject
        Of all objects about which was decided.
    policy : RankedPolicy
    """
    by_set = any(one.set_key is not None for one in ranked_objects)
    deleted = number_deleted(connection, stream_id, by_set=by_set)
    by_rank = tiers_by_rank(ranked_objects, policy, deleted=deleted)
    names = _names(connection, stream_id) if policy.audit is not None else {}

    def tier(one: RankedObject) -> str:
        ranked = by_rank.get(one.job_id)
        if ranked is None:
            return one.tier if _stays(one, policy) else policy.undefined
        if leaves_aside(one, ranked, policy):
            return one.tier
        if policy.audit is None or ranked != policy.rest:
            return ranked
        name = one.set_key or names.get(one.job_id, "")
        return kept_for_audit(policy, ranked, for_audit=policy.takes_for_audit(stream_id, name))[0]

    return {one.job_id: tier(one) for one in ranked_objects}


def leaves_aside(one: RankedObject | sa.Row[Any], by_rank: str, policy: RankedPolicy) -> bool:
    """Tell whether an object stays where a tier's limits sent it on to; see `RankedPolicy`."""
    was_sent_on = one.counts_in != one.tier
    return was_sent_on and policy.leaves_aside(one.tier, counts_in=one.counts_in, by_rank=by_rank)


def seen_by(policy: RankedPolicy, one: RankedObject) -> RankedObject:
    """Let an object count where it is if a person put it there, or the ranking does not know its place."""
    is_known = one.counts_in == one.tier or (policy.leaves(one.counts_in) and not one.held)
    return one if is_known else one._replace(counts_in=one.tier)


def rescored(one: RankedObject, scores: Mapping[int, float | None], policy: RankedPolicy) -> RankedObject:
    """Give an object its new score, as applying the function does.

    Who has none keeps the earlier decision, and stays where it is unless ranks decide there. What was put
    somewhere, or sent on, is not held there any more where the score is another one.
    """
    if one.job_id not in scores:
        is_ranked = one.score != NO_SCORE and policy.leaves(one.counts_in)
        return one if is_ranked else one._replace(pinned=True)
    given = scores[one.job_id]
    score = NO_SCORE if given is None else given
    return one if score == one.score else one._replace(score=score, held=False, counts_in=one.tier)


def tiers_by_rank(
    ranked_objects: Sequence[RankedObject], policy: RankedPolicy, *, deleted: int
) -> dict[int, str]:
    """Rank a stream; return by job the tiers of what has a score and may move, before any audit.

    Parameters
    ----------
    ranked_objects : sequence of RankedObject
    policy : RankedPolicy
    deleted : int
        How many were deleted, of which `percent` is a part, too.
    """
    scored = [one for one in ranked_objects if one.score != NO_SCORE]
    staying = [one for one in scored if _stays(one, policy)]
    moving = [one for one in scored if not _stays(one, policy)] if staying else scored
    sets = _sets(moving, staying)
    ranked = [
        Ranked(one.job_id, one.score, policy.weight(one.size_bytes), "")
        for one in moving
        if one.set_key is None
    ]
    ranked += [Ranked(one.first, one.score, _weight(one, policy), "") for one in sets.values() if one.moves]
    taken = _taken(staying)
    number = len(sets) + sum(one.set_key is None for one in scored) + deleted
    shelves = policy.shelves(taken, more=number - sum(one.count for one in taken))
    tiers = revise(shelves, policy.rest, ranked)
    return {
        one.job_id: tiers[one.job_id if one.set_key is None else sets[one.set_key].first] for one in moving
    }


def _stays(one: RankedObject, policy: RankedPolicy) -> bool:
    return one.pinned or (one.held and one.score != NO_SCORE and policy.leaves(one.tier))


def _sets(moving: Iterable[RankedObject], staying: Iterable[RankedObject]) -> dict[str, _Set]:
    sets: dict[str, _Set] = {}
    for one in moving:
        if one.set_key is not None:
            found = _known(sets, one.set_key, one)
            found.size_bytes += one.size_bytes
            found.moves = True
    for one in staying:
        if one.set_key is not None:
            _known(sets, one.set_key, one).stays_in.add(one.counts_in)
    return sets


def _known(sets: dict[str, _Set], key: str, one: RankedObject) -> _Set:
    found = sets.setdefault(key, _Set(one.job_id, one.score))
    found.first, found.score = min(found.first, one.job_id), max(found.score, one.score)
    return found


def _weight(one: _Set, policy: RankedPolicy) -> int:
    """Tell what the rest of a set takes of a shelf: no other place where a part of it keeps one."""
    is_there = not policy.counts_bytes and policy.highest in one.stays_in
    return 0 if is_there else policy.weight(one.size_bytes)


def _taken(staying: Iterable[RankedObject]) -> list[Occupied]:
    found: defaultdict[str, list[RankedObject]] = defaultdict(list)
    for one in staying:
        found[one.counts_in].append(one)
    return [
        Occupied(
            tier,
            len({one.set_key or one.job_id for one in its}),
            sum(one.size_bytes for one in its),
            min(one.score for one in its),
            max(one.score for one in its),
        )
        for tier, its in found.items()
    ]


def _names(connection: Connection, stream_id: str) -> Mapping[int, str]:
    """Load the names of objects, by which an audit draws those that are of no set."""
    rows = connection.execute(_NAMES, {"name": stream_id}).all()
    return {row.job_id: row.source_id for row in rows}


_RANKED_OBJECTS = sa.select(
    objects.c.job_id,
    objects.c.score,
    objects.c.tier,
    objects.c.size_bytes,
    objects.c.pinned,
    objects.c.held,
    objects.c.set_key,
    objects.c.counts_in,
).where(objects.c.stream_id == sa.bindparam("name"))
_NAMES = sa.select(jobs.c.job_id, jobs.c.source_id).where(jobs.c.stream_id == sa.bindparam("name"))
