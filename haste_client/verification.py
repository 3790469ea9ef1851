"""Decisions, made once more from their records to see that each is what its record says."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache
from importlib.metadata import version
from typing import Any

from pydantic import ValidationError

from haste_client.answers import DecisionAnswer
from haste_core.decisions import Decision, decide, fingerprint, held_by_pin
from haste_core.feature_history import FeatureHistory
from haste_core.image_sets import reason_alone
from haste_core.interestingness import (
    BUILT_IN,
    InterestingnessError,
    InterestingnessFunction,
    ScoredObject,
    built_in,
    value_of,
)
from haste_core.pipelines import InterestingnessSpec
from haste_core.policies import IntervalPolicy, Policy, policy_adapter

_NOT_REPEATABLE = frozenset({"rest"})  # what a service said then, it may not say now
_SCORE_TOLERANCE = 1e-9  # another machine's exp() may differ in its last digits
_FROM_FEATURES = frozenset({"policy", "new-policy", "set"})
_SAME_SCORE = frozenset({"pin", "unpin", "revision", "recall", "retention", "quota", "deletion"})

Build = Callable[[str, Mapping[str, Any]], InterestingnessFunction]


class NotRepeatableError(Exception):
    """Why a decision cannot be made once more here."""


@dataclass(frozen=True)
class Finding:
    """What is the matter with a decision.

    Attributes
    ----------
    what : str
        In a sentence.
    """

    decision_id: int
    job_id: int
    source_id: str
    what: str


@dataclass
class Verdict:
    """What became of a verification.

    Attributes
    ----------
    decisions : int
        How many were looked at.
    origins : counter of str
        How many of each origin.
    differences : list of Finding
        Decisions that are not what their records say.
    not_verified : counter of str
        How many scores or tiers could not be computed here, by the reason; all else of these decisions was
        checked.
    """

    decisions: int = 0
    origins: Counter[str] = field(default_factory=Counter)
    differences: list[Finding] = field(default_factory=list)
    not_verified: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class _Earlier:
    job_id: int
    score: float | None
    tier: str
    input_sha256: str
    is_kept: bool  # its hash is not of its own features: a new function failed, or it is of an image set


class Verifier:
    """Checks the decisions of a stream one after the other.

    Parameters
    ----------
    stream_id : str
    history : callable
        Goes through the stream's decisions from the first one; asked where functions look at others.
    """

    def __init__(self, stream_id: str, history: Callable[[], Iterable[DecisionAnswer]]) -> None:
        self.verdict = Verdict()
        self._stream_id = stream_id
        self._history = history
        self._earlier: dict[int, _Earlier] = {}
        self._pinned: set[int] = set()  # jobs
        self._histories: dict[str, FeatureHistory] = {}

    def check(self, record: DecisionAnswer) -> None:
        """Check the stream's next decision."""
        self.verdict.decisions += 1
        self.verdict.origins[record.origin] += 1
        earlier = self._superseded(record)
        wrong = list(_wrong_order(record, earlier))
        is_kept = False
        if record.origin not in _FROM_FEATURES and earlier is not None:
            is_kept = earlier.is_kept
            wrong += _wrong_change(record, earlier)
        try:
            spec, policy = _read(record)
            if record.origin in _FROM_FEATURES:
                is_kept = self._check_made(record, earlier, spec, policy, wrong)
            if not is_kept and fingerprint(scored_object(record), spec, policy) != record.input_sha256:
                wrong.append("features, function or policy are not those that its input_sha256 is of")
        except NotRepeatableError as error:
            self.verdict.not_verified[str(error)] += 1
        self._remember(record, is_kept=is_kept)
        if wrong:
            finding = Finding(record.decision_id, record.job_id, record.source_id, "; ".join(wrong))
            self.verdict.differences.append(finding)

    def _superseded(self, record: DecisionAnswer) -> _Earlier | None:
        found = self._earlier.get(record.supersedes or 0)
        return found if found is not None and found.job_id == record.job_id else None

    def _check_made(
        self,
        record: DecisionAnswer,
        earlier: _Earlier | None,
        spec: InterestingnessSpec,
        policy: Policy,
        wrong: list[str],
    ) -> bool:
        """Make a decision once more; tell whether its hash is not of its own features."""
        if record.members is not None:
            self.verdict.not_verified["they were made from all images of a set"] += 1
            was_left = earlier is not None and (earlier.score, earlier.tier) == (record.score, record.tier)
            if record.job_id not in self._pinned and not was_left:
                wrong += _other_interval(record, policy)
            return True
        try:
            made = self._decide(record, spec, policy)
        except NotRepeatableError as error:
            self.verdict.not_verified[str(error)] += 1
            return False
        except InterestingnessError as error:
            if record.origin == "new-policy" and earlier is not None:
                wrong += _wrong_keeping(record, earlier)
                return True
            wrong.append(f"its score cannot be computed: {error}")
            return False
        if spec.function == "quantile" and made.score is not None and record.seen is None:
            wrong.append("it does not say up to which decision it has seen others")
        if record.job_id not in self._pinned and record.tier not in policy.tiers:
            wrong.append(f"{record.tier} is no tier of its policy")
        if record.job_id in self._pinned and earlier is not None:
            made = held_by_pin(made, earlier.tier)
        wrong += _differences(record, made.score, made.tier)
        wrong += _other_reason(record, made)
        return False

    def _decide(self, record: DecisionAnswer, spec: InterestingnessSpec, policy: Policy) -> Decision:
        for_audit = policy.takes_for_audit(self._stream_id, record.source_id)
        return decide(
            scored_object(record),
            spec=spec,
            policy=policy,
            build=self._building(record),
            tier_for=None if isinstance(policy, IntervalPolicy) else self._believing(record, policy),
            for_audit=for_audit,
        )

    def _believing(self, record: DecisionAnswer, policy: Policy) -> Callable[[float], str]:
        """Return what chooses the recorded tier: by the ranks of that moment, or by code of the user's."""
        why = f"a policy of type {policy.type} chose the tier"
        if record.job_id in self._pinned:
            raise NotRepeatableError(why)
        self.verdict.not_verified[why] += 1
        is_audited = policy.audit is not None and record.tier == policy.audit.tier
        return lambda _score: policy.lowest if is_audited else record.tier

    def _building(self, record: DecisionAnswer) -> Build:
        """Return what makes functions as they were when this decision was made."""

        def count_others(scored: ScoredObject, feature: str) -> tuple[int, int, int]:
            x = value_of(scored.features, feature)
            if x is None:
                raise InterestingnessError(f"the object has no number {feature!r}")
            return self._history_of(feature).count_others(x, record.source_id, up_to=record.seen or 0)

        def build(function: str, parameters: Mapping[str, Any]) -> InterestingnessFunction:
            if function in _NOT_REPEATABLE:
                raise NotRepeatableError(f"{function} asked a service, which may answer otherwise now")
            if function not in BUILT_IN:
                raise NotRepeatableError(f"{function} is no function that comes with HASTE")
            more = {"count_others": count_others} if function == "quantile" else {}
            return built_in(function, {**parameters, **more})

        return build

    def _history_of(self, feature: str) -> FeatureHistory:
        if feature not in self._histories:
            steps = (
                (past.decision_id, past.source_id, value_of(past.features, feature))
                for past in self._history()
            )
            self._histories[feature] = FeatureHistory(steps)
        return self._histories[feature]

    def _remember(self, record: DecisionAnswer, *, is_kept: bool) -> None:
        self._earlier[record.decision_id] = _Earlier(
            record.job_id, record.score, record.tier, record.input_sha256, is_kept
        )
        if record.origin == "pin":
            self._pinned.add(record.job_id)
        elif record.origin == "unpin":
            self._pinned.discard(record.job_id)


def verify(stream_id: str, history: Callable[[], Iterable[DecisionAnswer]]) -> Verdict:
    """Check all decisions of a stream; see `Verifier`."""
    verifier = Verifier(stream_id, history)
    for record in history():
        verifier.check(record)
    return verifier.verdict


def _read(record: DecisionAnswer) -> tuple[InterestingnessSpec, Policy]:
    try:
        return _parsed(json.dumps(record.interestingness), json.dumps(record.policy))
    except ValidationError as error:
        what = f"version {_own_version()} does not understand this function or policy"
        raise NotRepeatableError(f"{what}, which version {record.software_version} recorded") from error


@cache
def _own_version() -> str:
    return version("haste-server")


@lru_cache(maxsize=100)
def _parsed(spec: str, policy: str) -> tuple[InterestingnessSpec, Policy]:
    return InterestingnessSpec.model_validate_json(spec), policy_adapter.validate_json(policy)


def scored_object(record: DecisionAnswer) -> ScoredObject:
    """Return what a function saw of the object, but for other objects."""
    known = record.circumstances
    return ScoredObject(
        features=record.features,
        metadata=known.get("metadata") or {},
        timestamp=known.get("timestamp"),
        location=tuple(known.get("location") or ()),
        substream_id=known.get("substream_id"),
    )


def _wrong_order(record: DecisionAnswer, earlier: _Earlier | None) -> Iterator[str]:
    if record.supersedes is not None and earlier is None:
        yield f"it supersedes decision {record.supersedes}, which is no earlier one about this image"
    if record.supersedes is None and record.origin != "policy":
        yield f"its origin is {record.origin}, but it does not say which decision it supersedes"
    if record.seen is not None and record.seen >= record.decision_id:
        yield f"it has seen decision {record.seen}, which came later"


def _wrong_change(record: DecisionAnswer, earlier: _Earlier) -> Iterator[str]:
    """Check what one asked for, or what followed from other objects: it changes the tier, no more."""
    if record.input_sha256 != earlier.input_sha256:
        yield "its input_sha256 is not that of the decision that it supersedes"
    if record.origin in _SAME_SCORE and record.score != earlier.score:
        yield f"its score is {record.score}, that of the decision that it supersedes {earlier.score}"
    if record.origin in ("unpin", "deletion") and record.tier != earlier.tier:
        yield f"its tier is {record.tier}, that of the decision that it supersedes {earlier.tier}"
    begins = {"pin": f"pinned to {record.tier}: ", "unpin": "not pinned any more: "}.get(record.origin, "")
    if not record.reason.startswith(begins):
        yield f"its reason is {record.reason!r}, where it should begin with {begins!r}"


def _other_interval(record: DecisionAnswer, policy: Policy) -> Iterator[str]:
    if isinstance(policy, IntervalPolicy) and (record.score is None or 0 <= record.score <= 1):
        tier = policy.tier_for(record.score)
        is_for_audit = policy.audit is not None and (tier, record.tier) == (policy.lowest, policy.audit.tier)
        if record.tier != tier and not is_for_audit:
            yield f"its tier is {record.tier}, that of its score {tier}"


def _wrong_keeping(record: DecisionAnswer, earlier: _Earlier) -> Iterator[str]:
    """Check what was left as it was since the new function failed."""
    yield from _differences(record, earlier.score, earlier.tier)
    if record.input_sha256 != earlier.input_sha256:
        yield "it keeps an earlier decision, but not its input_sha256"


def _differences(record: DecisionAnswer, score: float | None, tier: str) -> Iterator[str]:
    if not _alike(record.score, score):
        yield f"its score is {record.score}, made once more {score}"
    if record.tier != tier:
        yield f"its tier is {record.tier}, made once more {tier}"


def _other_reason(record: DecisionAnswer, made: Decision) -> Iterator[str]:
    # Another version may say the same in other words.
    if record.software_version == _own_version() and reason_alone(record.reason) != made.reason:
        yield f"its reason is {record.reason!r}, made once more {made.reason!r}"


def _alike(recorded: float | None, made: float | None) -> bool:
    if recorded is None or made is None:
        return recorded is made
    return math.isclose(recorded, made, rel_tol=_SCORE_TOLERANCE, abs_tol=_SCORE_TOLERANCE)
