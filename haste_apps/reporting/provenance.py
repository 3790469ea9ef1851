"""How the images got where they are: by which functions, policies and versions, and what changed later."""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml
from pydantic import ValidationError

from haste_client.answers import DecisionAnswer, ImageAnswer
from haste_core.decisions import call_text
from haste_core.identity import identity_of
from haste_core.policies import IntervalPolicy, policy_adapter

_COLUMNS = ("made_at", "mode", "origin", "made_by", "software_version", "input_sha256", "supersedes")


@dataclass(frozen=True)
class Way:
    """How a decision was made; see `DecisionAnswer`."""

    origin: str
    made_by: str | None
    function: str
    policy: str
    software_version: str
    mode: str

    @classmethod
    def of(cls, decision: DecisionAnswer) -> Way:
        """Read it from a decision."""
        return cls(
            origin=decision.origin,
            made_by=decision.made_by,
            function=function_text(decision.interestingness),
            policy=policy_text(decision.policy),
            software_version=decision.software_version,
            mode=decision.mode,
        )


@dataclass(frozen=True)
class Making:
    """The decisions that were made in one way.

    Attributes
    ----------
    count, valid : int
        How many decisions, and how many of them have not been superseded.
    first_at, last_at : float
        Seconds since 1970.
    """

    way: Way
    count: int
    valid: int
    first_at: float
    last_at: float


@dataclass(frozen=True)
class Change:
    """How many objects a kind of decision took from one tier to another, or left there with another score."""

    origin: str
    former: str
    tier: str
    count: int


def makings(decisions: Iterable[DecisionAnswer]) -> list[Making]:
    """Count decisions by the way they were made, the earliest way first."""
    listed = list(decisions)
    superseded = {decision.supersedes for decision in listed}
    ways: dict[Way, list[DecisionAnswer]] = defaultdict(list)
    for decision in listed:
        ways[Way.of(decision)].append(decision)
    made = [
        Making(
            way,
            count=len(members),
            valid=sum(member.decision_id not in superseded for member in members),
            first_at=min(member.made_at for member in members),
            last_at=max(member.made_at for member in members),
        )
        for way, members in ways.items()
    ]
    return sorted(made, key=lambda one: one.first_at)


def changes(decisions: Iterable[DecisionAnswer]) -> list[Change]:
    """Count what later decisions changed; those that left the tier as it was are not counted."""
    listed = {decision.decision_id: decision for decision in decisions}
    counted: Counter[tuple[str, str, str]] = Counter()
    for decision in listed.values():
        former = listed.get(decision.supersedes or 0)
        if former is not None and former.tier != decision.tier:
            counted[decision.origin, former.tier, decision.tier] += 1
    return [Change(*change, count) for change, count in sorted(counted.items())]


def provenance_columns(
    images: Sequence[ImageAnswer], decisions: Iterable[DecisionAnswer]
) -> list[dict[str, Any]]:
    """Write, for each image, the decision that is valid as columns ``decision.…``.

    Returns
    -------
    list of dict
        In the order of the images; empty values where the decision is not among those given.
    """
    by_id = {decision.decision_id: decision for decision in decisions}
    return [_columns(by_id.get(image.decision_id)) for image in images]


def function_text(spec: Mapping[str, Any] | None) -> str:
    """Write an interestingness function with its parameters as a call."""
    if not spec:
        return "-"
    return call_text(str(spec.get("function", "?")), spec.get("parameters") or {})


def policy_text(policy: Mapping[str, Any] | None) -> str:
    """Write a policy in a line: its intervals, and what else it says, as in a pipeline file."""
    if not policy:
        return "-"
    said = _said(policy)
    parts = [f"{one['tier']} from {one['lo']:g}" for one in reversed(said.pop("intervals", ()))]
    parts += [f"{name}: {_as_yaml(value)}" for name, value in said.items()]
    return ", ".join(parts)


def _said(policy: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what a policy says only because it is so by default."""
    try:
        said = identity_of(policy_adapter.validate_python(policy))
    except ValidationError:  # of a later version
        said = {name: value for name, value in policy.items() if value is not None}
    if said.get("type") == IntervalPolicy.model_fields["type"].default:
        del said["type"]
    return said


def _as_yaml(value: Any) -> str:
    return yaml.safe_dump(value, default_flow_style=True, width=math.inf, sort_keys=False).split("\n")[0]


def _columns(decision: DecisionAnswer | None) -> dict[str, Any]:
    written = {f"decision.{name}": getattr(decision, name, None) for name in _COLUMNS}
    spec = decision.interestingness if decision else None
    policy = decision.policy if decision else None
    return {
        **written,
        "decision.interestingness": json.dumps(spec) if spec else None,
        "decision.policy": json.dumps(policy) if policy else None,
    }
