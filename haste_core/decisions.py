"""Decisions: the record of a score and a tier, and of all that they were made from."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from haste_core.expressions import ExpressionError, parse_expression
from haste_core.interestingness import InterestingnessError, InterestingnessFunction, ScoredObject
from haste_core.pipelines import InterestingnessSpec
from haste_core.policies import IntervalPolicy

Origin: TypeAlias = Literal[
    "policy", "new-policy", "revision", "set", "pin", "unpin", "recall", "retention", "quota"
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
    """

    score: float | None
    tier: str
    reason: str
    input_sha256: str
    features: Mapping[str, Any]
    seen: int | None = None


def decide(
    scored: ScoredObject,
    *,
    spec: InterestingnessSpec,
    policy: IntervalPolicy,
    build: Callable[[str, Mapping[str, Any]], InterestingnessFunction],
) -> Decision:
    """Score an object and choose its tier.

    Parameters
    ----------
    scored : ScoredObject
    spec : InterestingnessSpec
    policy : IntervalPolicy
    build : callable
        Makes the interestingness function of a name and parameters.

    Raises
    ------
    InterestingnessError
        If the function fails or its result is not in [0, 1]. Such an object gets no tier at all.
    """
    fingerprint = _fingerprint(scored, spec, policy)
    undefined = _why_undefined(scored.features, spec)
    if undefined is not None:
        return Decision(None, policy.undefined, f"no score: {undefined}", fingerprint, scored.features)
    score = build(spec.function, spec.parameters)(scored)
    if isinstance(score, bool) or not isinstance(score, int | float) or not math.isfinite(score):
        raise InterestingnessError(f"{spec.function} gave {score!r}, which is no score in [0, 1]")
    if not 0 <= score <= 1:
        raise InterestingnessError(f"{spec.function} gave {score}, which is not in [0, 1]")
    tier = policy.tier_for(score)
    parameters = ", ".join(f"{name}={value}" for name, value in spec.parameters.items())
    reason = f"{spec.function}({parameters}) gave {score:.4f}, which the policy puts in {tier}"
    return Decision(float(score), tier, reason, fingerprint, scored.features)


def _why_undefined(features: Mapping[str, Any], spec: InterestingnessSpec) -> str | None:
    if features.get("undefined"):
        return str(features["undefined"])
    for reason, condition in _conditions(spec.undefined_if).items():
        try:
            if parse_expression(condition).evaluate(features):
                return reason
        except ExpressionError as error:
            raise InterestingnessError(f"undefined_if: {error}") from error
    return None


def _conditions(given: str | Mapping[str, str] | None) -> Mapping[str, str]:
    """Return conditions by the reason to give where they are true."""
    if isinstance(given, str):
        return {f"{given} is true for this object": given}
    return given or {}


def _fingerprint(scored: ScoredObject, spec: InterestingnessSpec, policy: IntervalPolicy) -> str:
    made_from = {
        "features": scored.features,
        "metadata": scored.metadata,
        "timestamp": scored.timestamp,
        "location": scored.location,
        "substream_id": scored.substream_id,
        "interestingness": spec.model_dump(mode="json"),
        "policy": policy.model_dump(mode="json"),
    }
    canonical = json.dumps(made_from, sort_keys=True, separators=(",", ":"), default=dict)
    return hashlib.sha256(canonical.encode()).hexdigest()
