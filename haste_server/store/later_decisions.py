"""Later decisions about objects, as they follow from the earlier ones."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sqlalchemy.engine import Row

from haste_core.decisions import Decision, Origin, fingerprint, held_by_pin
from haste_core.interestingness import ScoredObject
from haste_core.pipelines import Pipeline
from haste_core.policies import Policy, RankedPolicy
from haste_core.states import Due, Phase
from haste_core.undecided import Earlier, Undecided
from haste_server.store.decision_rows import About, Made
from haste_server.store.deleting import STAYS
from haste_server.store.records import read_pipeline

SENT_ON = ("quota", "retention")
"""Origins of what a tier's limits want."""

PUT = ("recall", *SENT_ON)
"""Origins of what puts an object elsewhere than its policy does."""

_ASKED_FOR = ("pin", "recall")
"""Origins of what a person waits for."""


def earlier_of(row: Row[Any]) -> Decision:
    """Read the present decision about an object that is held."""
    members = None if row.members is None else tuple(row.members)
    return Decision(
        row.decision_score, row.tier, row.reason, row.input_sha256, row.features, row.seen, members
    )


def known_of(row: Any, pipeline: Pipeline) -> Earlier:
    """Tell what the present decision about an object says of the next one, by the present pipeline."""
    by = read_pipeline(row.pipeline)
    return Earlier(
        row.decision_id,
        stands=row.due is Due.REPETITION and row.origin != "deletion",
        is_scored_alike=by.interestingness == pipeline.interestingness and _is_scored(row, by),
        score=row.decision_score,
        seen=row.seen,
    )


def _is_scored(row: Row[Any], by: Pipeline) -> bool:
    """Tell whether a decision's score is of its own function: else that failed, or it is that of a set."""
    spec, policy = by.interestingness, by.policy
    if spec is None or policy is None or row.members is not None:
        return False
    scored = ScoredObject(features=row.features, **row.circumstances)
    return bool(fingerprint(scored, spec, policy) == row.input_sha256)


def stays_where_put(row: Row[Any], decision: Decision, item: Undecided) -> bool:
    """Tell whether an object stays where a person or a tier's limits put it.

    It does while the policy gives it the tier that it was put elsewhere from; ranks are looked at later.
    """
    policy = item.pipeline.policy
    if not was_put(row) or decision.score != row.decision_score:
        return False
    if isinstance(policy, RankedPolicy):
        return decision.score is not None and policy.leaves(row.counts_in)
    is_same_function = read_pipeline(row.pipeline).interestingness == item.pipeline.interestingness
    return is_same_function and bool(decision.tier == row.counts_in)


def was_put(row: Row[Any]) -> bool:
    """Tell whether a person put an object where it is, or a tier's limits sent it there."""
    return bool(row.held) or row.counts_in != row.tier


def what_is_kept(row: Row[Any], decision: Decision | None, *, keeps_place: bool) -> Decision:
    """Return what is decided now: where a function failed, or ranks leave an object, as before."""
    if row.pinned and decision is not None:
        return held_by_pin(decision, row.tier)
    if decision is not None and (not keeps_place or decision.tier == row.tier):
        return decision
    earlier = earlier_of(row)
    return replace(earlier, reason=STAYS) if row.origin == "deletion" else earlier


def kept_where_put(made: Made, row: Row[Any]) -> Made:
    """Present a decision that leaves an object where a person or a tier's limits put it."""
    return replace(made, about=replace(made.about, held=row.held, counts_in=row.counts_in))


def sent_on(made: Made, row: Row[Any], policy: Policy | None) -> Made:
    """Let an object that goes elsewhere keep the tier that a policy gave it, or its place in a ranking."""
    if not isinstance(policy, RankedPolicy):
        return replace(made, about=replace(made.about, counts_in=row.counts_in))
    if made.origin == "recall" or row.decision_score is None or not policy.leaves(row.counts_in):
        return made
    reason = f"{made.decision.reason}; in the ranking it still counts in {row.counts_in}"
    decision, about = replace(made.decision, reason=reason), replace(made.about, counts_in=row.counts_in)
    return replace(made, decision=decision, about=about)


def decided_already(row: Row[Any]) -> set[tuple[float | None, str, str]]:
    """List what may be decided without a change; a decision that was carried out needs no repetition.

    To delete an object never stands: who decides about it once more withdraws that.
    """
    if row.origin == "deletion":
        return set()
    return {(row.decision_score, row.tier, mode) for mode in (row.mode, "observe")}


def repeated(row: Row[Any]) -> Made:
    """Decide as before in the mode that the stream has now: who wanted it so wants it still."""
    return made_of(row, earlier_of(row), row.origin, row.made_by, pipeline=read_pipeline(row.pipeline))


def made_of(
    row: Row[Any], decision: Decision, origin: Origin, made_by: str | None, *, pipeline: Pipeline
) -> Made:
    """Present a later decision about an object that is held as it is recorded."""
    about = About(
        row.job_id,
        row.task_id,
        row.stream_id,
        row.source_id,
        row.circumstances,
        supersedes=row.decision_id,
        pinned=row.pinned,
        set_key=row.set_key,
    )
    due = due_of(row, decision.tier)
    if due is Due.MOVE and origin in _ASKED_FOR:
        due = Due.MOVE_FIRST
    return Made(about, decision, pipeline, row.stream_mode, origin, made_by, due)


def due_of(row: Row[Any], tier: str) -> Due:
    """Tell whether an object is not where the decision about it wants it."""
    is_to_be = row.carried_tier == tier and row.carried_mode == "enforce"
    carried_out = is_to_be and row.task_phase is not Phase.SET_ASIDE
    return Due.MOVE if row.stream_mode == "enforce" and not carried_out else Due.NOTHING
