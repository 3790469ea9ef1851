"""How the images got where they are: by which functions, policies and versions, and what changed later."""

from __future__ import annotations

import json
import math
import sys
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml
from pydantic import ValidationError

from haste_apps.reporting.spool import Answers
from haste_client.answers import DecisionAnswer, ImageAnswer
from haste_core.decisions import call_text
from haste_core.identity import identity_of
from haste_core.policies import IntervalPolicy, policy_adapter

_OWN = ("made_at", "input_sha256", "supersedes")
_SHARED = ("mode", "origin", "made_by", "software_version", "interestingness", "policy")
_ORDER = (
    *("made_at", "mode", "origin", "made_by", "software_version", "input_sha256", "supersedes"),
    *("interestingness", "policy"),
)

DECISION_COLUMNS = tuple(f"decision.{name}" for name in _ORDER)
"""Of the rows of `Provenance`."""


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


@dataclass
class _Made:
    """What is counted of the decisions that were made in one way: 8 bytes each."""

    decision_ids: array[int] = field(default_factory=lambda: array("q"))
    first_at: float = math.inf
    last_at: float = -math.inf

    def add(self, decision: DecisionAnswer) -> None:
        self.decision_ids.append(decision.decision_id)
        self.first_at = min(self.first_at, decision.made_at)
        self.last_at = max(self.last_at, decision.made_at)


@dataclass(frozen=True)
class Change:
    """How many objects a kind of decision took from one tier to another, or left there with another score."""

    origin: str
    former: str
    tier: str
    count: int


def makings(decisions: Iterable[DecisionAnswer]) -> list[Making]:
    """Count decisions by the way they were made, the earliest way first."""
    superseded: set[int | None] = set()
    ways: dict[Way, _Made] = defaultdict(_Made)
    for decision in decisions:
        superseded.add(decision.supersedes)
        ways[Way.of(decision)].add(decision)
    made = [
        Making(
            way,
            count=len(one.decision_ids),
            valid=sum(decision_id not in superseded for decision_id in one.decision_ids),
            first_at=one.first_at,
            last_at=one.last_at,
        )
        for way, one in ways.items()
    ]
    return sorted(made, key=lambda one: one.first_at)


def changes(decisions: Answers[DecisionAnswer]) -> list[Change]:
    """Count what later decisions changed; those that left the tier as it was are not counted."""
    tiers = {decision.decision_id: sys.intern(decision.tier) for decision in decisions}
    counted: Counter[tuple[str, str, str]] = Counter()
    for decision in decisions:
        former = tiers.get(decision.supersedes or 0)
        if former is not None and former != decision.tier:
            counted[decision.origin, former, decision.tier] += 1
    return [Change(*change, count) for change, count in sorted(counted.items())]


class Provenance:
    """The decisions that are valid for images, as columns ``decision.…``.

    Parameters
    ----------
    images : iterable of ImageAnswer
    decisions : iterable of DecisionAnswer
        Held of these: what is its own of each that is valid, and once what many have alike.
    """

    def __init__(self, images: Iterable[ImageAnswer], decisions: Iterable[DecisionAnswer]) -> None:
        self._valid: dict[int, tuple[Any, ...]] = dict.fromkeys((image.decision_id for image in images), ())
        alike: dict[tuple[Any, ...], tuple[Any, ...]] = {}
        for decision in decisions:
            if decision.decision_id in self._valid:
                shared = _shared(decision)
                own = tuple(getattr(decision, name) for name in _OWN)
                self._valid[decision.decision_id] = (*own, alike.setdefault(shared, shared))

    def columns(self, image: ImageAnswer) -> dict[str, Any]:
        """Write an image's decision; empty values if it was not among those given."""
        valid = self._valid.get(image.decision_id)
        if not valid:
            return dict.fromkeys(DECISION_COLUMNS)
        *own, shared = valid
        said = dict(zip((*_OWN, *_SHARED), (*own, *shared), strict=True))
        return {column: said[name] for column, name in zip(DECISION_COLUMNS, _ORDER, strict=True)}


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


def _shared(decision: DecisionAnswer) -> tuple[Any, ...]:
    """Give what many decisions have alike, in the order of `_SHARED`."""
    spec, policy = decision.interestingness, decision.policy
    return (
        *(decision.mode, decision.origin, decision.made_by, decision.software_version),
        json.dumps(spec) if spec else None,
        json.dumps(policy) if policy else None,
    )
