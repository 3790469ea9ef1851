"""What another interestingness function says of objects, by what is recorded of them."""

from __future__ import annotations

import bisect
import contextlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from sqlalchemy.engine import Connection

from haste_core.decisions import as_score, conditions, kept_for_audit, why_undefined
from haste_core.expressions import parse_expression
from haste_core.image_sets import ImageSetSpec, Member, MemberScore, MemberState, combined_score, counts
from haste_core.interestingness import (
    InterestingnessError,
    Reads,
    ScoredObject,
    built_in,
    number_of,
    read_by,
    value_of,
)
from haste_core.pipelines import InterestingnessSpec, Pipeline
from haste_core.policies import IntervalPolicy
from haste_server.store.recorded import Recorded, recorded

Way: TypeAlias = tuple[str, str, int]
"""The tier of an object, the one that it would have, and its size in bytes."""


def tried(connection: Connection, stream_id: str, pipeline: Pipeline, failed: Counter[str]) -> Iterator[Way]:
    """Tell where each object of a stream would go by the function and the intervals of another pipeline.

    Those that the function cannot score are counted in `failed`, by the reason.
    """
    spec, policy, image_set = pipeline.interestingness, pipeline.policy, pipeline.image_set
    assert spec is not None
    assert isinstance(policy, IntervalPolicy)
    function = _Function(spec, failed)
    rows = _rows(connection, stream_id, pipeline, function)
    choice = Choice(policy, stream_id)
    if image_set is not None:
        return _of_sets(rows, image_set, function, choice)
    return ((tier, _after(tier, row, function, choice), row[2]) for tier, row in _present(rows))


def new_scores(
    connection: Connection, stream_id: str, pipeline: Pipeline, failed: Counter[str]
) -> dict[int, float | None]:
    """Score the objects of a stream, image sets as one; who cannot be scored is left out of the answer.

    Those that the function cannot score are counted in `failed`, by the reason.
    """
    spec, image_set = pipeline.interestingness, pipeline.image_set
    assert spec is not None
    function = _Function(spec, failed)
    rows = _rows(connection, stream_id, pipeline, function)
    found: dict[int, float | None] = {}
    if image_set is not None:
        rows, sets = _apart(rows, image_set, function)
        for one in sets.values():
            if not one.stays:
                found |= dict.fromkeys(one.job_ids, one.score(image_set))
    for _, row in _present(rows):
        with contextlib.suppress(InterestingnessError):
            found[row[-1]] = function(row)
    return found


def _rows(
    connection: Connection, stream_id: str, pipeline: Pipeline, function: _Function
) -> Iterable[Recorded]:
    spec, policy, image_set = pipeline.interestingness, pipeline.policy, pipeline.image_set
    assert spec is not None
    assert policy is not None
    is_named = policy.audit is not None or image_set is not None or function.ranks
    # What was deleted has still its part in the scores of others.
    counts_deleted = image_set is not None or function.ranks
    rows = recorded(connection, stream_id, _wanted(spec, image_set), named=is_named, deleted=counts_deleted)
    if not function.ranks:
        return rows
    kept = list(rows)
    function.rank_among(kept)
    return kept


def _wanted(spec: InterestingnessSpec, image_set: ImageSetSpec | None) -> Reads:
    reads = read_by(spec.function, spec.parameters)
    names = {
        full.split(".")[0]
        for condition in conditions(spec).values()
        for full in parse_expression(condition).names
    }
    fields = {"channel"} if image_set is not None else set[str]()
    return replace(reads, features=reads.features | names | {"undefined"}, metadata=reads.metadata | fields)


class _Function:
    """An interestingness function as it is tried: on rows of what is recorded."""

    def __init__(self, spec: InterestingnessSpec, failed: Counter[str]) -> None:
        self._spec = spec
        self._failed = failed
        self.ranks = spec.function == "quantile"
        more = {"count_others": self._count_others} if self.ranks else {}
        self._score = built_in(spec.function, {**spec.parameters, **more})
        self._values: dict[str | None, float] = {}
        self._sorted: list[float] = []
        self._asking: str | None = None

    def __call__(self, row: Recorded) -> float | None:
        """Score an object; None if its score is undefined.

        Raises
        ------
        InterestingnessError
            If it cannot be scored, which is counted unless it was deleted.
        """
        tier, _, _, _, source_id, features, beside, _ = row
        try:
            if why_undefined(features, self._spec) is not None:
                return None
            self._asking = source_id
            scored = ScoredObject(features, **{"metadata": {}, **beside})
            return as_score(self._score(scored), self._spec)
        except InterestingnessError as error:
            if tier is not None:
                self._failed[str(error)] += 1
            raise

    def rank_among(self, rows: Iterable[Recorded]) -> None:
        """Tell the function which objects there are; of those with the same name the last one counts."""
        feature = str(self._spec.parameters["feature"])
        values = {row[4]: value_of(row[5], feature) for row in rows}
        self._values = {name: value for name, value in values.items() if value is not None}
        self._sorted = sorted(self._values.values())

    def _count_others(self, scored: ScoredObject, feature: str) -> tuple[int, int, int]:
        x = number_of(scored.features, feature)
        below = bisect.bisect_left(self._sorted, x)
        equal = bisect.bisect_right(self._sorted, x, below) - below
        own = self._values.get(self._asking)
        if own is None:
            return below, equal, len(self._sorted)
        return below - (own < x), equal - (own == x), len(self._sorted) - 1


class Choice:
    """The tiers of scores, with what is kept for audit."""

    def __init__(self, policy: IntervalPolicy, stream_id: str) -> None:
        self._policy, self._stream_id = policy, stream_id
        self._borders = [interval.lo for interval in policy.intervals[1:]]
        self._tiers = [interval.tier for interval in policy.intervals]
        self._audited = None if policy.audit is None else policy.lowest
        self.undefined = policy.undefined

    def tier(self, score: float | None, name: str | None) -> str:
        """Name the tier of a score; where the policy has an audit, the object or set needs its name."""
        if score is None:
            return self.undefined
        tier = self._tiers[bisect.bisect_right(self._borders, score)]
        return self.lowest_or_kept(str(name)) if tier == self._audited else tier

    def lowest_or_kept(self, name: str) -> str:
        """Name the tier of an object, or of a set, that would go to the lowest one."""
        for_audit = self._policy.takes_for_audit(self._stream_id, name)
        return kept_for_audit(self._policy, self._policy.lowest, for_audit=for_audit)[0]


def _present(rows: Iterable[Recorded]) -> Iterator[tuple[str, Recorded]]:
    """Leave out what was deleted."""
    return ((row[0], row) for row in rows if row[0] is not None)


def _after(tier: str, row: Recorded, function: _Function, choice: Choice) -> str:
    _, is_pinned, _, set_key, source_id, *_ = row
    try:
        after = choice.tier(function(row), set_key or source_id)  # a set is kept as one
    except InterestingnessError:  # as when it is applied: the earlier decision stays
        return tier
    return tier if is_pinned else after


@dataclass
class _Set:
    """The images of a set, and of those that count the channel and the score, by source_id."""

    rows: list[tuple[str, bool, int]] = field(default_factory=list)
    job_ids: list[int] = field(default_factory=list)
    scores: dict[str, tuple[str | None, float | None]] = field(default_factory=dict)
    has_failed: bool = False

    @property
    def stays(self) -> bool:
        """Tell whether the function fails for all images that count."""
        return self.has_failed and not self.scores

    def score(self, image_set: ImageSetSpec) -> float | None:
        """Return the score of the set."""
        scores = [
            MemberScore(_member(source_id, channel), score)
            for source_id, (channel, score) in self.scores.items()
        ]
        return combined_score(image_set, scores)


def _member(source_id: str, channel: object) -> Member:
    return Member(source_id, {"channel": channel}, MemberState.DECIDED)


def _of_sets(
    rows: Iterable[Recorded], image_set: ImageSetSpec, function: _Function, choice: Choice
) -> Iterator[Way]:
    alone, sets = _apart(rows, image_set, function)
    for tier, row in _present(alone):
        yield tier, _after(tier, row, function, choice), row[2]
    for set_key, one in sets.items():
        after = choice.tier(one.score(image_set), set_key)
        for tier, is_pinned, size_bytes in one.rows:
            yield tier, tier if one.stays or is_pinned else after, size_bytes


def _apart(
    rows: Iterable[Recorded], image_set: ImageSetSpec, function: _Function
) -> tuple[list[Recorded], dict[str, _Set]]:
    """Tell objects that are alone from image sets, whose images are scored."""
    alone, sets = [], defaultdict[str, _Set](_Set)
    counted: dict[str | None, bool] = {}
    for row in rows:
        tier, is_pinned, size_bytes, set_key, source_id, _, beside, job_id = row
        if set_key is None:
            alone.append(row)
            continue
        one = sets[set_key]
        if tier is not None:
            one.rows.append((tier, is_pinned, size_bytes))
            one.job_ids.append(job_id)
        member = _member(str(source_id), beside["metadata"].get("channel"))
        if member.channel not in counted:
            counted[member.channel] = counts(image_set, member)
        one.scores.pop(member.source_id, None)  # of an earlier version, which counts no more
        if counted[member.channel]:
            try:
                one.scores[member.source_id] = (member.channel, function(row))
            except InterestingnessError:
                one.has_failed = True
    return alone, sets
