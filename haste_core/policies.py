"""Policies: from a score to a tier."""

from __future__ import annotations

import hashlib
import itertools
import math
from abc import abstractmethod
from collections import Counter
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Annotated, Any, ClassVar, Literal, Self, TypeAlias

from pydantic import (
    BaseModel,
    ByteSize,
    ConfigDict,
    Discriminator,
    Field,
    FiniteFloat,
    JsonValue,
    Tag,
    TypeAdapter,
    model_validator,
)

from haste_core.fields import TierName
from haste_core.findings import unwritten
from haste_core.ranking import Occupied, Shelf


class Audit(BaseModel):
    """A share of what would go to the lowest tier goes to another one, so that somebody can look at it.

    Attributes
    ----------
    fraction : float
        How much of it, in (0, 1].
    seed : int
        Another seed chooses others.
    tier : str
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    fraction: Annotated[FiniteFloat, Field(gt=0, le=1)]
    seed: int = 0
    tier: TierName

    def takes(self, stream_id: str, source_id: str) -> bool:
        """Tell whether an object is one of the share; the same one is, whenever it is asked."""
        digest = hashlib.sha256(f"{self.seed}\0{stream_id}\0{source_id}".encode()).digest()
        return int.from_bytes(digest[:8]) < self.fraction * 2**64


class _Policy(BaseModel):
    """What all policies say.

    Attributes
    ----------
    undefined : str
        The tier of objects whose score is undefined: empty fields, constant images.
    move : bool
        Remove an original that is a plain file once its copy in the tier is verified and recorded.
    audit : Audit, optional
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    undefined: TierName
    move: bool = False
    audit: Audit | None = None

    def takes_for_audit(self, stream_id: str, source_id: str) -> bool:
        """Tell whether an object is kept for audit if it would go to the lowest tier."""
        return self.audit is not None and self.audit.takes(stream_id, source_id)

    def why(self, tier: str) -> str:
        """Continue "its score is …" where it put an object to a tier."""
        return f"which the policy puts in {tier}"

    def _with_own(self, tiers: Iterable[str]) -> frozenset[str]:
        own = {self.undefined} if self.audit is None else {self.undefined, self.audit.tier}
        return frozenset(tiers) | own

    def _check_audit(self, lowest: str, *, ranked: Iterable[str] = ()) -> None:
        if self.audit is None:
            return
        if self.audit.tier == lowest:
            raise ValueError(f"audit keeps objects in {lowest!r}, where they would be without it")
        if self.audit.tier in ranked:
            raise ValueError(f"audit needs a tier of its own; {self.audit.tier!r} is for the best objects")


class Interval(BaseModel):
    """Scores in [lo, hi) go to `tier`; the highest interval also holds its upper end."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    lo: FiniteFloat
    hi: FiniteFloat
    tier: TierName


class IntervalPolicy(_Policy):
    """Cuts [0, 1] into intervals, one tier each.

    Attributes
    ----------
    intervals : tuple of Interval
        Sorted from 0 to 1, without a gap or an overlap.
    """

    type: Literal["intervals"] = "intervals"
    intervals: tuple[Interval, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _covers_zero_to_one_once(self) -> Self:
        ordered = sorted(self.intervals, key=lambda interval: interval.lo)
        if ordered[0].lo != 0 or ordered[-1].hi != 1:
            raise ValueError("the intervals must reach from 0 to 1")
        for interval in ordered:
            if interval.lo >= interval.hi:
                raise ValueError(f"[{interval.lo}, {interval.hi}) is empty")
        for lower, upper in itertools.pairwise(ordered):
            if lower.hi != upper.lo:
                what = "a gap" if lower.hi < upper.lo else "an overlap"
                raise ValueError(f"there is {what} between {lower.hi} and {upper.lo}")
        self._check_audit(ordered[0].tier)
        return self.model_copy(update={"intervals": tuple(ordered)})

    def tier_for(self, score: float | None) -> str:
        """Name the tier of a score in [0, 1]; None is an undefined score."""
        if score is None:
            return self.undefined
        if not 0 <= score <= 1:
            raise ValueError(f"a score lies in [0, 1], not {score}")
        inner = (interval.tier for interval in self.intervals if interval.lo <= score < interval.hi)
        return next(inner, self.intervals[-1].tier)

    @property
    def lowest(self) -> str:
        """The tier of the lowest scores."""
        return self.intervals[0].tier

    @property
    def highest(self) -> str:
        """The tier of the highest scores."""
        return self.intervals[-1].tier

    @property
    def tiers(self) -> frozenset[str]:
        """All tiers that the policy names."""
        return self._with_own(interval.tier for interval in self.intervals)


class _RankedPolicy(_Policy):
    counts_bytes: ClassVar[bool]
    rest: TierName

    @property
    def lowest(self) -> str:
        """The tier of the lowest scores."""
        return self.rest

    @property
    def ranked(self) -> frozenset[str]:
        """The tiers between which ranks alone decide, that of the audit left out."""
        return frozenset({self.rest, *(tier for tier, _ in self._sizes(0))})

    def leaves(self, tier: str) -> bool:
        """Tell whether what a person put to a tier stays there, whatever its rank."""
        return tier in self.ranked or (self.audit is not None and tier == self.audit.tier)

    def leaves_aside(self, tier: str, *, counts_in: str, by_rank: str) -> bool:
        """Tell whether an object stays where a tier's limits sent it on to, by what its rank gives it now.

        It does if that is the tier that it was sent on from, or a lower one while it is in none of these.
        """
        order = [*(shelf for shelf, _ in self._sizes(0)), self.rest]
        was = order.index(counts_in if counts_in in order else self.rest)  # an audit keeps some of the rest
        now = order.index(by_rank)
        return tier != counts_in and (now == was or (now > was and not self.leaves(tier)))

    @property
    @abstractmethod
    def best(self) -> str:
        """Who is kept, in words."""

    @abstractmethod
    def _sizes(self, count: int) -> Sequence[tuple[str, int]]:
        """Tell how large the shelves of the best are where so many objects have a score."""

    def weight(self, size_bytes: int) -> int:
        """Tell how much of a shelf an object of a size takes."""
        return size_bytes if self.counts_bytes else 1

    def shelves(self, occupied: Sequence[Occupied], *, more: int = 0) -> tuple[Shelf, ...]:
        """Tell how much room there is for the best, and how much of it is left.

        Parameters
        ----------
        occupied : sequence of Occupied
            All tiers where the stream has objects with a score.
        more : int
            How many objects come to these.
        """
        taken = {one.tier: one.size_bytes if self.counts_bytes else one.count for one in occupied}
        count = sum(one.count for one in occupied) + more
        return tuple(
            Shelf(tier, size, size - taken.get(tier, 0), is_bytes=self.counts_bytes)
            for tier, size in self._sizes(count)
        )

    def why(self, tier: str) -> str:
        """Continue "its score is …" where it put an object to a tier."""
        return f"which is {'not ' * (tier == self.rest)}among {self.best} so far, so it goes to {tier}"


class TopPolicy(_RankedPolicy):
    """Keeps the best objects of a stream in one tier, and revises that as the stream goes on.

    Attributes
    ----------
    tier, rest : str
        Of the best, and of all others.
    k : int, optional
        How many are the best.
    percent : float, optional
        Or how much of the stream's objects that have a score; rounded up.
    """

    counts_bytes: ClassVar[bool] = False
    type: Literal["top-k"] = "top-k"
    tier: TierName
    k: Annotated[int, Field(ge=1)] | None = None
    percent: Annotated[FiniteFloat, Field(gt=0, le=100)] | None = None

    @model_validator(mode="after")
    def _says_how_many(self) -> Self:
        if (self.k is None) == (self.percent is None):
            raise ValueError("give k (how many are the best) or percent (how much), one of them")
        _check_ranked([self.tier], self.rest, self.undefined)
        self._check_audit(self.rest, ranked=[self.tier])
        return self

    @property
    def highest(self) -> str:
        """The tier of the highest scores."""
        return self.tier

    @property
    def tiers(self) -> frozenset[str]:
        """All tiers that the policy names."""
        return self._with_own([self.tier, self.rest])

    @property
    def best(self) -> str:
        """Who is kept, in words."""
        return f"the best {self.k}" if self.percent is None else f"the best {self.percent:g} %"

    def _sizes(self, count: int) -> Sequence[tuple[str, int]]:
        if self.percent is not None:
            return [(self.tier, math.ceil(Fraction(str(self.percent)) * count / 100))]
        assert self.k is not None
        return [(self.tier, self.k)]


class Budget(BaseModel):
    """How many bytes of a stream a tier takes; a number, or text such as ``500 GB``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tier: TierName
    bytes: Annotated[ByteSize, Field(ge=1)]


class BudgetPolicy(_RankedPolicy):
    """Fills tiers with the best objects of a stream, one after another, and revises that as it goes on.

    Attributes
    ----------
    budgets : tuple of Budget
        The tier of the best first. What ranks below an object that a tier has no more room for goes to a
        later one, even if it is smaller; only what is larger than a whole budget is passed over.
    rest : str
        The tier of what remains.
    """

    counts_bytes: ClassVar[bool] = True
    type: Literal["budget"] = "budget"
    budgets: tuple[Budget, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _names_each_tier_once(self) -> Self:
        ranked = [budget.tier for budget in self.budgets]
        _check_ranked(ranked, self.rest, self.undefined)
        self._check_audit(self.rest, ranked=ranked)
        return self

    @property
    def highest(self) -> str:
        """The tier of the highest scores."""
        return self.budgets[0].tier

    @property
    def tiers(self) -> frozenset[str]:
        """All tiers that the policy names."""
        return self._with_own([*(budget.tier for budget in self.budgets), self.rest])

    @property
    def best(self) -> str:
        """Who is kept, in words."""
        return "the best that there is room for"

    def _sizes(self, count: int) -> Sequence[tuple[str, int]]:  # noqa: ARG002
        return [(budget.tier, budget.bytes) for budget in self.budgets]


class OwnPolicy(_Policy):
    """A policy in Python, of an installed package or a module of the site.

    Attributes
    ----------
    policy : str
        Its name, or ``module:callable`` in a pipeline file on the server. What this makes of `parameters` has
        a method ``tier_for(score, scored)``.
    named : tuple of str
        The tiers that it may answer, the best first; written ``tiers``.
    parameters : dict
    """

    type: Literal["own"] = "own"
    policy: str
    named: tuple[TierName, ...] = Field(alias="tiers", min_length=1)
    parameters: dict[str, JsonValue] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _names_each_tier_once(self) -> Self:
        _check_different(self.named)
        self._check_audit(self.lowest)
        return self

    def why(self, tier: str) -> str:
        """Continue "its score is …" where it put an object to a tier."""
        return f"which the policy {self.policy} puts in {tier}"

    @property
    def lowest(self) -> str:
        """The tier of the lowest scores."""
        return self.named[-1]

    @property
    def highest(self) -> str:
        """The tier of the highest scores."""
        return self.named[0]

    @property
    def tiers(self) -> frozenset[str]:
        """All tiers that the policy names."""
        return self._with_own(self.named)


RankedPolicy: TypeAlias = TopPolicy | BudgetPolicy


def _check_different(tiers: Sequence[str]) -> None:
    twice = [tier for tier, number in Counter(tiers).items() if number > 1]
    if twice:
        raise ValueError(f"the tier {twice[0]!r} is named twice")


def _check_ranked(ranked: Sequence[str], rest: str, undefined: str) -> None:
    _check_different([*ranked, rest])
    if undefined in ranked:
        raise ValueError(f"{undefined!r} is for the best objects; what has no score needs another tier")


def _type_of(value: Any) -> str:
    kind = value.get("type", "intervals") if isinstance(value, dict) else getattr(value, "type", "intervals")
    return unwritten(str(kind))


Policy = Annotated[
    Annotated[IntervalPolicy, Tag(unwritten("intervals"))]
    | Annotated[TopPolicy, Tag(unwritten("top-k"))]
    | Annotated[BudgetPolicy, Tag(unwritten("budget"))]
    | Annotated[OwnPolicy, Tag(unwritten("own"))],
    Discriminator(
        _type_of,
        custom_error_type="policy_type",
        custom_error_message="the type of a policy is intervals, top-k, budget or own",
    ),
]

policy_adapter: TypeAdapter[Policy] = TypeAdapter(Policy)
"""Reads any policy; see `pydantic.TypeAdapter`."""
