"""The evaluator's child process: reads objects from stdin, writes decisions to stdout, as frames of JSON."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from typing import Any

from haste_core.asking import SilenceError
from haste_core.decisions import decide, size_of
from haste_core.errors import TransientError
from haste_core.feature_history import FeatureHistory
from haste_core.image_sets import told_alone
from haste_core.interestingness import (
    BUILT_IN,
    InterestingnessError,
    InterestingnessFunction,
    ScoredObject,
    StreamObject,
    built_in,
    number_of,
    value_of,
)
from haste_core.policies import IntervalPolicy, OwnPolicy, Policy, RankedPolicy
from haste_core.ranking import place
from haste_core.undecided import Answer, Decided, Postponed, Undecidable, Undecided
from haste_runtime.frames import FrameReader, write_frames
from haste_server.engine.evaluator_child import OthersWanted, page, question, verdict
from haste_server.engine.http_get import http_get
from haste_server.extensions import ExtensionError, MadePolicy, own_function, own_policy

STREAMS_KEPT = 4
VALUES_KEPT = 1_000_000  # in histories, of decisions of all streams together: about 200 MB


def build(function: str, parameters: Mapping[str, Any]) -> InterestingnessFunction:
    """Return the interestingness function of a name, or of ``module:callable`` in a pipeline file.

    It is made once for all objects.

    Raises
    ------
    InterestingnessError
        If there is none, or it does not take these parameters.
    """
    return _built(function, json.dumps(parameters, sort_keys=True))


@lru_cache(maxsize=100)
def _built(function: str, parameters: str) -> InterestingnessFunction:
    given = json.loads(parameters)
    if function in BUILT_IN:
        return built_in(function, given | {"get": http_get} if function == "rest" else given)
    try:
        return own_function(function, given)
    except ExtensionError as error:
        raise InterestingnessError(str(error)) from error


@lru_cache(maxsize=100)
def _built_policy(policy: str, parameters: str) -> MadePolicy:
    return own_policy(policy, json.loads(parameters))


def tier_chooser(item: Undecided, policy: Policy) -> Callable[[float], str] | None:
    """Return what names the tier of a score, where the policy alone does not tell."""
    match policy:
        case IntervalPolicy():
            return None
        case OwnPolicy():
            return partial(_tier_by_own, item, policy)
        case _:
            return partial(_tier_by_rank, item, policy)


def _tier_by_own(item: Undecided, policy: OwnPolicy, score: float) -> str:
    try:
        made = _built_policy(policy.policy, json.dumps(policy.parameters, sort_keys=True))
    except ExtensionError as error:
        raise InterestingnessError(str(error)) from error
    try:
        tier = made.tier_for(score, item.scored)
    except TransientError:
        raise
    except Exception as error:
        what = f"policy {policy.policy!r} raised {type(error).__name__}: {error}"
        raise InterestingnessError(what) from error
    if tier not in policy.named:
        known = ", ".join(policy.named)
        raise InterestingnessError(
            f"policy {policy.policy!r} answered {tier!r}, which is none of its tiers ({known})"
        )
    return str(tier)


def _tier_by_rank(item: Undecided, policy: RankedPolicy, score: float) -> str:
    """Leave what is known where it is, as the next revision finds out whether it belongs there."""
    if item.present is not None:
        return item.present if item.present in policy.ranked else policy.rest
    weight = policy.weight(size_of(item.scored.features))
    return place(
        policy.shelves(item.occupied, more=1), policy.rest, item.occupied, score=score, weight=weight
    )


class StreamsSoFar:
    """The objects of streams that were decided about, loaded where a function asks for them, and then kept.

    Parameters
    ----------
    load : callable
        Asks the engine, and returns its pages up to the empty one.
    """

    def __init__(self, load: Callable[[OthersWanted], Iterable[list[Decided]]]) -> None:
        self._load = load
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._ranked: OrderedDict[tuple[str, str], _RankedSoFar] = OrderedDict()

    def others(self, item: Undecided) -> list[StreamObject]:
        """List the other objects of an object's stream, each as its latest decision left it."""
        known = self._known.get(item.stream_id)
        if known is None or known.up_to > item.seen:
            known = self._known[item.stream_id] = _Known()
        self._known.move_to_end(item.stream_id)
        while len(self._known) > STREAMS_KEPT:
            self._known.popitem(last=False)
        if known.up_to < item.seen:
            for decided in self._load(OthersWanted(item.stream_id, known.up_to, item.seen)):
                known.add(decided)
            known.up_to = item.seen
        return [found for source_id, found in known.objects.items() if source_id != item.source_id]

    def count_others(self, item: Undecided, scored: ScoredObject, feature: str) -> tuple[int, int, int]:
        """Count the other objects of an object's stream; see `haste_core.interestingness.CountOthers`."""
        x = number_of(scored.features, feature)
        name = (item.stream_id, feature)
        ranked = self._ranked.setdefault(name, _RankedSoFar())
        self._ranked.move_to_end(name)
        if ranked.up_to < item.seen:
            for decided in self._load(OthersWanted(item.stream_id, ranked.up_to, item.seen)):
                ranked.add(decided, feature)
            ranked.up_to = item.seen
        while len(self._ranked) > 1 and sum(one.number for one in self._ranked.values()) > VALUES_KEPT:
            self._ranked.popitem(last=False)
        return ranked.history.count_others(x, item.source_id, up_to=item.seen)


@dataclass
class _RankedSoFar:
    up_to: int = 0
    number: int = 0
    history: FeatureHistory = field(default_factory=FeatureHistory)

    def add(self, decided: Sequence[Decided], feature: str) -> None:
        self.number += len(decided)
        self.history.extend(
            (one.decision_id, one.object.source_id, value_of(one.object.features, feature)) for one in decided
        )


@dataclass
class _Known:
    up_to: int = 0
    objects: dict[str, StreamObject] = field(default_factory=dict)

    def add(self, decided: Iterable[Decided]) -> None:
        for one in decided:
            self.objects.pop(one.object.source_id, None)
            self.objects[one.object.source_id] = one.object


@dataclass
class _Looking:
    """What a function may ask about other objects, and whether it did."""

    item: Undecided
    streams: StreamsSoFar
    asked: bool = False

    def build(self, function: str, parameters: Mapping[str, Any]) -> InterestingnessFunction:
        earlier = self.item.earlier
        if earlier is not None and earlier.is_scored_alike and earlier.score is not None:
            score = earlier.score
            return lambda _scored: score  # what others have become since does not change it
        if function == "quantile":  # going through all others would take longer with each object
            return built_in(function, {**parameters, "count_others": self.count_others})
        return build(function, parameters)

    def others(self) -> list[StreamObject]:
        self.asked = True
        return self.streams.others(self.item)

    def count_others(self, scored: ScoredObject, feature: str) -> tuple[int, int, int]:
        self.asked = True
        return self.streams.count_others(self.item, scored, feature)


def evaluate(item: Undecided, streams: StreamsSoFar) -> Answer:
    """Score an object and choose its tier; say why if that cannot be done."""
    spec, policy = item.pipeline.interestingness, item.pipeline.policy
    if spec is None or policy is None:
        return Undecidable(f"the pipeline {item.pipeline.name!r} has no interestingness function and policy")
    looking = _Looking(item, streams)
    try:
        item = replace(item, scored=replace(item.scored, others=looking.others))
        decision = decide(
            item.scored,
            spec=spec,
            policy=policy,
            build=looking.build,
            tier_for=tier_chooser(item, policy),
            for_audit=policy.takes_for_audit(item.stream_id, item.source_id),
        )
        told = told_alone(item.pipeline.image_set, item.scored.metadata)
        decision = replace(decision, reason=decision.reason + told)
        if item.earlier is not None and item.earlier.is_scored_alike:
            return replace(decision, seen=item.earlier.seen)
        looked_around = looking.asked or isinstance(policy, RankedPolicy)
        return replace(decision, seen=item.seen) if looked_around else decision
    except InterestingnessError as error:
        return Undecidable(str(error))
    except TransientError as error:
        return Postponed(str(error), silent=isinstance(error, SilenceError))
    except Exception as error:
        return Undecidable(f"{spec.function} raised {type(error).__name__}: {error}")


def main() -> None:
    """Answer until stdin ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the engine, which then closes our stdin
    # What a user's function prints must not get between the frames.
    with os.fdopen(os.dup(sys.stdout.fileno()), "wb") as answers:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        questions = _frames(FrameReader(sys.stdin.buffer))

        def load(wanted: OthersWanted) -> Iterator[list[Decided]]:
            write_frames(answers, [verdict.dump_json(wanted)])
            return iter(lambda: page.validate_json(next(questions)), [])

        streams = StreamsSoFar(load)
        for frame in questions:
            answer = evaluate(question.validate_json(frame), streams)
            write_frames(answers, [verdict.dump_json(answer)])


def _frames(reader: FrameReader) -> Iterator[bytes]:
    while frames := reader.read():
        yield from frames


if __name__ == "__main__":
    main()
