"""What a pipeline can ask to be told: the rules, as they stand in its file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from haste_core.fields import Number, PlainText, Strict, TierName
from haste_core.findings import unwritten

SUBSTREAM = "substream_id"

Score = Annotated[Number, Field(gt=0, le=1)]
Percent = Annotated[Number, Field(gt=0, le=100)]
Seconds = Annotated[Number, Field(gt=0, le=30 * 86400)]
FieldName = Annotated[PlainText, Field(max_length=100)]


class _ScoreRule(Strict):
    below: Score
    count_undefined: bool = False

    def is_low(self, score: float | None) -> bool | None:
        """Tell whether a score counts as low; None if it does not count at all."""
        if score is None:
            return True if self.count_undefined else None
        return score < self.below


class LowScores(_ScoreRule):
    """So many images in a row score below a limit.

    Attributes
    ----------
    consecutive : int
        In the order in which they are decided about.
    below : float
        In (0, 1].
    count_undefined : bool
        Whether images without a score, such as empty fields, count as low. If not, they count neither way.
    """

    rule: Literal["low-scores"]
    consecutive: Annotated[int, Field(ge=1, le=1_000_000)]


class WellBelow(_ScoreRule):
    """A share of a well's images scores below a limit.

    Attributes
    ----------
    percent : float
        So many or more, in (0, 100].
    below, count_undefined
        As of `LowScores`. What does not count is not among the well's images either.
    min_images : int
        As many of the well have to count before anything is said.
    field : str
        Of the images' metadata, or ``substream_id``: what is taken for a well. Images without it are left
        out. Wells of different plates (metadata ``plate``) are told apart.
    """

    rule: Literal["well-below"]
    percent: Percent
    min_images: Annotated[int, Field(ge=1, le=1_000_000)] = 4
    field: FieldName = "well"


class Silence(Strict):
    """No new image has come for so long, although the stream is neither finished nor complete.

    Only the time counts in which the server runs, from the first image on.
    """

    rule: Literal["silence"]
    for_s: Seconds


class Finished(Strict):
    """All jobs have ended, and the stream is complete, or for `settle_s` nothing new has come."""

    rule: Literal["finished"]
    settle_s: Seconds = 60.0


class TierNearlyFull(Strict):
    """The disk of a tier is full to so many percent, as this server sees it."""

    rule: Literal["tier-nearly-full"]
    tier: TierName
    percent: Percent = 90.0


ScoreRule = LowScores | WellBelow


def _rule_of(value: Any) -> str:
    rule = value.get("rule") if isinstance(value, Mapping) else getattr(value, "rule", None)
    return unwritten(str(rule))


AlertRule = Annotated[
    Annotated[LowScores, Tag(unwritten("low-scores"))]
    | Annotated[WellBelow, Tag(unwritten("well-below"))]
    | Annotated[Silence, Tag(unwritten("silence"))]
    | Annotated[Finished, Tag(unwritten("finished"))]
    | Annotated[TierNearlyFull, Tag(unwritten("tier-nearly-full"))],
    Discriminator(
        _rule_of,
        custom_error_type="alert_rule",
        custom_error_message=(
            "the rule of an alert is low-scores, well-below, silence, finished or tier-nearly-full"
        ),
    ),
]
