"""Policies as expressions over the table of objects, where the database can say the tier by itself."""

from __future__ import annotations

from collections.abc import Callable

import sqlalchemy as sa

from haste_core.borders import least_reaching
from haste_core.interestingness import ScoredObject, built_in
from haste_core.pipelines import InterestingnessSpec, Pipeline
from haste_core.policies import IntervalPolicy, RankedPolicy
from haste_server.store.schema import NO_SCORE, objects

Tier = sa.ColumnElement[str]


def tier_by_record(present: Pipeline, other: Pipeline) -> Tier | None:
    """Say by what is recorded of an object which tier another pipeline would give it.

    Parameters
    ----------
    present, other : Pipeline
        By which the objects were decided about, and by which they may be.

    Returns
    -------
    ColumnElement of str or None
        Of a policy that ranks objects, before they are revised. None: it takes more than score and value to
        tell.
    """
    spec, policy = other.interestingness, other.policy
    if spec is None or policy is None or present.interestingness is None:
        return None
    if policy.audit is not None:
        return None
    if isinstance(policy, RankedPolicy):
        return _left_to_revision(policy) if spec == present.interestingness else None
    if not isinstance(policy, IntervalPolicy):
        return None
    if spec == present.interestingness:
        return _chosen(policy, lambda border: objects.c.score < border)
    # What is recorded as score of an image is its set's, as value its own.
    if other.image_set is None and _reads_the_same(spec, present.interestingness):
        return _by_value(spec, policy)
    return None


def stays_where_put(tier: Tier) -> sa.ColumnElement[bool]:
    """Say whether an object was put elsewhere from this tier, by the same function: it stays where it is."""
    return sa.and_(objects.c.counts_in != objects.c.tier, objects.c.counts_in == tier)


def is_elsewhere(tier: Tier) -> sa.ColumnElement[bool]:
    """Say whether an object is to be decided about anew, as a tier by the same function is another one."""
    differs = sa.or_(objects.c.tier != tier, objects.c.counts_in != objects.c.tier)
    return sa.and_(differs, ~stays_where_put(tier))


def _reads_the_same(spec: InterestingnessSpec, present: InterestingnessSpec) -> bool:
    """Tell whether a function is monotone in the value that is recorded for another one."""
    reads = (spec.parameters.get("feature"), spec.undefined_if)
    return spec.function == "logistic" and reads == (
        present.parameters.get("feature"),
        present.undefined_if,
    )


def _by_value(spec: InterestingnessSpec, policy: IntervalPolicy) -> Tier:
    function = built_in(spec.function, spec.parameters)
    feature, rising = str(spec.parameters["feature"]), float(str(spec.parameters["k"])) > 0

    def score(value: float) -> float:
        return function(ScoredObject(features={feature: value}, metadata={}))

    def is_below(wanted: float) -> sa.ColumnElement[bool]:
        border = least_reaching(score, wanted, rising=rising)
        return objects.c.value < border if rising else objects.c.value > border

    without_value = sa.and_(objects.c.score != NO_SCORE, objects.c.value.is_(None))
    return sa.case((without_value, objects.c.tier), else_=_chosen(policy, is_below))


def _left_to_revision(policy: RankedPolicy) -> Tier:
    """Leave objects where they are, if they count in a ranking: who belongs elsewhere is found out next."""
    ranked = sorted(policy.ranked)
    return sa.case(
        (objects.c.score == NO_SCORE, sa.literal(policy.undefined)),
        (sa.or_(objects.c.tier.in_(ranked), objects.c.counts_in.in_(ranked)), objects.c.tier),
        else_=sa.literal(policy.rest),
    )


def _chosen(policy: IntervalPolicy, is_below: Callable[[float], sa.ColumnElement[bool]]) -> Tier:
    lower = [(is_below(interval.hi), sa.literal(interval.tier)) for interval in policy.intervals[:-1]]
    undefined = (objects.c.score == NO_SCORE, sa.literal(policy.undefined))
    return sa.case(undefined, *lower, else_=sa.literal(policy.intervals[-1].tier))
