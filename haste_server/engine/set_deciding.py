"""Decides about image sets as one, when all their images are there or were waited for long enough."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from haste_core.decisions import Decision, kept_for_audit, size_of
from haste_core.image_sets import (
    ImageSetSpec,
    Member,
    MemberScore,
    MemberState,
    combined,
    counts,
    described,
    waits_until,
)
from haste_core.pipelines import InterestingnessSpec
from haste_core.policies import BudgetPolicy, IntervalPolicy, RankedPolicy, TopPolicy
from haste_core.ranking import Occupied, place, with_one_more
from haste_core.undecided import Answer, Postponed, SetMember, SetName, Undecidable, Undecided

Ask = Callable[[Undecided], Answer]


def until_silence(ask: Ask) -> Ask:
    """Ask nobody else once a service was silent: a hundred time-outs would say the same."""
    silence: Postponed | None = None

    def asking(item: Undecided) -> Answer:
        nonlocal silence
        answer = silence or ask(item)
        if isinstance(answer, Postponed) and answer.silent:
            silence = answer
        return answer

    return asking


@dataclass
class SetsJudged:
    """What came of looking at image sets.

    Attributes
    ----------
    answered : list of (Undecided, Answer)
        Of images that wait for a decision.
    again : list of (Undecided, Answer)
        Of those that were decided about before.
    held : list
        Sets that wait for more images: name, images, and until when.
    job_ids : set of int
        The jobs of all images of these sets.
    left : set of int
        Those of sets that are left for the next turn.
    """

    answered: list[tuple[Undecided, Answer]] = field(default_factory=list)
    again: list[tuple[Undecided, Answer]] = field(default_factory=list)
    held: list[tuple[SetName, Sequence[SetMember], float]] = field(default_factory=list)
    job_ids: set[int] = field(default_factory=set)
    left: set[int] = field(default_factory=set)
    _occupied: dict[str, tuple[Occupied, ...]] = field(default_factory=dict)  # with what was placed here

    def leave(self, members: Sequence[SetMember]) -> None:
        """Leave a set for the next turn."""
        self.left |= {one.item.job_id for one in members}
        self.job_ids |= self.left

    def add(self, name: SetName, members: Sequence[SetMember], ask: Ask, *, now: float) -> None:
        """Look at a set: hold it, or decide about all its images that have features."""
        self.job_ids |= {one.item.job_id for one in members}
        pipeline = members[0].item.pipeline
        spec, function, policy = pipeline.image_set, pipeline.interestingness, pipeline.policy
        assert spec is not None  # since these are sets, and a pipeline that has sets
        assert function is not None  # has the task `tier`, which needs both
        assert isinstance(policy, IntervalPolicy | TopPolicy | BudgetPolicy)  # as the pipeline has made sure
        latest = [one.member for one in members if one.is_latest]
        until = waits_until(spec, latest, more_come=members[0].more_come)
        if until is not None and now < until:
            self.held.append((name, members, until))
            return
        judge = judged(members, spec, function, policy, ask, partial(self._tier, members, policy))
        for one in members:
            if one.member.state is MemberState.WAITING:
                self.answered.append((one.item, judge(one)))
            elif one.member.state is MemberState.DECIDED:
                self.again.append((one.item, judge(one)))

    def _tier(
        self, members: Sequence[SetMember], policy: IntervalPolicy | RankedPolicy, score: float | None
    ) -> str:
        if score is None:
            return policy.undefined
        if isinstance(policy, IntervalPolicy):
            return policy.tier_for(score)
        for one in members:  # what is known is left where it is, until the stream is revised
            if one.item.present is not None and policy.leaves(one.item.present):
                return one.item.present if one.item.present in policy.ranked else policy.rest
        item = members[0].item
        occupied = self._occupied.get(item.stream_id, item.occupied)
        size_bytes = sum(size_of(one.item.scored.features) for one in members)
        weight = policy.weight(size_bytes)
        tier = place(policy.shelves(occupied, more=1), policy.rest, occupied, score=score, weight=weight)
        self._occupied[item.stream_id] = with_one_more(occupied, tier, score=score, size_bytes=size_bytes)
        return tier


def judged(
    members: Sequence[SetMember],
    spec: ImageSetSpec,
    function: InterestingnessSpec,
    policy: IntervalPolicy | RankedPolicy,
    ask: Ask,
    tier_for: Callable[[float | None], str],
) -> Callable[[SetMember], Answer]:
    """Score a set, and return what is decided about each of its images.

    An image whose function fails is left out of the set, as if it had failed before; if it was decided about
    then, it goes with the set all the same. If all that count fail, so does the set.
    """
    latest = [one for one in members if one.is_latest]
    asked: list[tuple[SetMember, Answer]] = []
    for one in latest:
        if counts(spec, one.member):
            answer = ask(one.item)
            if isinstance(answer, Postponed):  # they wait for it together
                put_off = answer
                return lambda _one: put_off
            asked.append((one, answer))
    failed = {one.item.job_id: answer for one, answer in asked if isinstance(answer, Undecidable)}
    scored = [(one, answer) for one, answer in asked if isinstance(answer, Decision)]
    if failed and not scored:
        why = next(iter(failed.values()))
        return lambda _one: why
    seen_as = [_left_out(one) if one.item.job_id in failed else one.member for one in latest]
    score, how = combined(spec, [MemberScore(one.member, made.score, made.reason) for one, made in scored])
    told = f"{described(spec, seen_as)}; {function.function}: {how}"
    tier = tier_for(score)
    if score is not None:
        told += f", {policy.why(tier)}"
        item = members[0].item
        for_audit = policy.takes_for_audit(item.stream_id, str(item.set_key))
        tier, kept = kept_for_audit(policy, tier, for_audit=for_audit)
        told += kept
    decision = Decision(
        score,
        tier,
        told,
        _fingerprint([made for _, made in scored]),
        features={},
        seen=next((made.seen for _, made in scored if made.seen is not None), None),
        members=tuple(one.item.job_id for one, _ in scored),
    )

    def judge(one: SetMember) -> Answer:
        if one.member.state is MemberState.WAITING and one.item.job_id in failed:
            return failed[one.item.job_id]
        return replace(decision, features=one.item.scored.features)

    return judge


def _left_out(one: SetMember) -> Member:
    return replace(one.member, state=MemberState.LEFT_OUT)


def _fingerprint(made: Sequence[Decision]) -> str:
    return hashlib.sha256(" ".join(sorted(one.input_sha256 for one in made)).encode()).hexdigest()
