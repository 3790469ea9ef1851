"""Policies: from a score to a tier."""

from __future__ import annotations

import itertools
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, model_validator

TierName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$")]


class Interval(BaseModel):
    """Scores in [lo, hi) go to `tier`; the highest interval also holds its upper end."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    lo: FiniteFloat
    hi: FiniteFloat
    tier: TierName


class IntervalPolicy(BaseModel):
    """Cuts [0, 1] into intervals, one tier each.

    Attributes
    ----------
    intervals : tuple of Interval
        Sorted from 0 to 1, without a gap or an overlap.
    undefined : str
        The tier of objects whose score is undefined: empty fields, constant images.
    move : bool
        Remove an original that is a plain file once its copy in the tier is verified and recorded.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    intervals: tuple[Interval, ...] = Field(min_length=1)
    undefined: TierName
    move: bool = False

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
                what = "gap" if lower.hi < upper.lo else "overlap"
                raise ValueError(f"there is a {what} between {lower.hi} and {upper.lo}")
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
    def tiers(self) -> frozenset[str]:
        """All tiers that the policy names."""
        return frozenset({interval.tier for interval in self.intervals} | {self.undefined})
