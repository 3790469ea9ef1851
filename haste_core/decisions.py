"""Decisions: the record of a score and a tier, and of all that they were made from."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

from haste_core.expressions import ExpressionError, parse_expression
from haste_core.identity import identity_of
from haste_core.interestingness import InterestingnessError, InterestingnessFunction, ScoredObject
from haste_core.pipelines import InterestingnessSpec
from haste_core.policies import IntervalPolicy, Policy

Origin: TypeAlias = Literal[
    "policy", "new-policy", "revision", "set", "pin", "unpin", "recall", "retention", "quota", "deletion"
]
"""Why a decision was made: since an object's features came (``policy``), or later, about a known object."""


@dataclass(frozen=True)
class Decision:
    """What was decided about one object.

    Attributes
    ----------
    score : float or None
        The interestingness in [0, 1]; None where it is undefined.
    tier : str
    reason : str
        In a sentence for a microscopist.
    input_sha256 : str
        Of the features and parameters that the decision was made from, to recognise a changed input.
    features : mapping
        What the score was computed from.
    seen : int, optional
        Number of the stream's latest decision before this one, if the score was made from other objects, too.
    members : tuple of int, optional
        The jobs whose images' scores made that of their image set.
    """

    score: float | None
    tier: str
    reason: str
    input_sha256: str
    features: Mapping[str, Any]
    seen: int | None = None
    members: tuple[int, ...] | None = None


def decide(
    scored: ScoredObject,
    *,
    spec: InterestingnessSpec,
    policy: Policy,
    build: Callable[[str, Mapping[str, Any]], InterestingnessFunction],
    tier_for: Callable[[float], str] | None = None,
    for_audit: bool = False,
) -> Decision:
    """Score an object and choose its tier.

    Parameters
    ----------
    scored : ScoredObject
    spec : InterestingnessSpec
    policy : Policy
    build : callable
        Makes the interestingness function of a name and parameters.
    tier_for : callable, optional
        Names the tier of a score where the policy alone does not tell; see `haste_core.policies`.
    for_audit : bool
        Whether it is one of those that the policy's audit keeps.

    Raises
    ------
    InterestingnessError
        If the function fails or its result is not in [0, 1]. Such an object gets no tier at all.
    """
    input_sha256 = fingerprint(scored, spec, policy)
    undefined = why_undefined(scored.features, spec)
    if undefined is not None:
        return Decision(None, policy.undefined, f"no score: {undefined}", input_sha256, scored.features)
    score = as_score(build(spec.function, spec.parameters)(scored), spec)
    if tier_for is None:
        assert isinstance(policy, IntervalPolicy)
        tier_for = policy.tier_for
    tier = tier_for(score)
    reason = f"{call_text(spec.function, spec.parameters)} gave {score:.4f}, {policy.why(tier)}"
    tier, kept = kept_for_audit(policy, tier, for_audit=for_audit)
    return Decision(score, tier, reason + kept, input_sha256, scored.features)


def call_text(function: str, parameters: Mapping[str, Any]) -> str:
    """Write a function with its parameters as a call; words without quotes, all else as in JSON."""
    written = (
        f"{name}={value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}"
        for name, value in parameters.items()
    )
    return f"{function}({', '.join(written)})"


def as_score(given: object, spec: InterestingnessSpec) -> float:
    """Return what a function gave, if it is a score in [0, 1].

    Raises
    ------
    InterestingnessError
        If it is none.
    """
    if isinstance(given, bool) or not isinstance(given, int | float) or not math.isfinite(given):
        raise InterestingnessError(f"{spec.function} gave {given!r}, which is no score in [0, 1]")
    if not 0 <= given <= 1:
        raise InterestingnessError(f"{spec.function} gave {given}, which is not in [0, 1]")
    return float(given)


def kept_for_audit(policy: Policy, tier: str, *, for_audit: bool) -> tuple[str, str]:
    """Return the tier of an object after the policy's audit, and what to add to the reason."""
    if policy.audit is None or not for_audit or tier != policy.lowest:
        return tier, ""
    share = f"{policy.audit.fraction * 100:g} %"
    kept = policy.audit.tier
    return kept, f"; but it is one of the {share} of {tier} that are kept in {kept} for audit"


def size_of(features: Mapping[str, Any]) -> int:
    """Return the size of an object in bytes, as a handler told it with its features; 0 if it did not."""
    size = features.get("size_bytes")
    return size if isinstance(size, int) and not isinstance(size, bool) and 0 <= size < 2**63 else 0


def why_undefined(features: Mapping[str, Any], spec: InterestingnessSpec) -> str | None:
    """Say why an object has no score, whatever the function says; None if it may have one.

    Raises
    ------
    InterestingnessError
        If that cannot be computed from these features.
    """
    if features.get("undefined"):
        return str(features["undefined"])
    for reason, condition in conditions(spec).items():
        try:
            if parse_expression(condition).evaluate(features):
                return reason
        except ExpressionError as error:
            raise InterestingnessError(f"undefined_if: {error}") from error
    return None


def conditions(spec: InterestingnessSpec) -> Mapping[str, str]:
    """Return the conditions under which there is no score, by the reason to give where they are true."""
    given = spec.undefined_if
    if isinstance(given, str):
        return {f"{given} is true for this object": given}
    return given or {}


def held_by_pin(decision: Decision, tier: str) -> Decision:
    """Return what is decided about a pinned object: the score may be another one, the tier is not."""
    return replace(decision, tier=tier, reason=f"pinned to {tier}; else: {decision.reason}")


def fingerprint(scored: ScoredObject, spec: InterestingnessSpec, policy: Policy) -> str:
    """Hash all that a decision is made from but for other objects, in hex."""
    made_from = {
        "features": scored.features,
        "metadata": scored.metadata,
        "timestamp": scored.timestamp,
        "location": scored.location,
        "substream_id": scored.substream_id,
        "interestingness": identity_of(spec),
        "policy": identity_of(policy),
    }
    canonical = json.dumps(made_from, sort_keys=True, separators=(",", ":"), default=dict)
    return hashlib.sha256(canonical.encode()).hexdigest()
