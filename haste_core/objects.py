"""The objects of a stream as their latest decisions left them, and what another policy would do with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from haste_core.decisions import Origin
from haste_core.interestingness import ScoredObject
from haste_core.jobs import JobRecord
from haste_core.pipelines import Pipeline
from haste_core.stores import Page

ObjectOrder = Literal["score", "-score", "job"]
"""Highest scores last, highest scores first, or as submitted."""


@dataclass(frozen=True)
class ObjectFilter:
    """Which objects of a stream are wanted.

    Attributes
    ----------
    tier : str, optional
    lowest, highest : float, optional
        Of the score, both included; objects without a score are left out then.
    """

    tier: str | None = None
    lowest: float | None = None
    highest: float | None = None


@dataclass(frozen=True)
class DecisionRecord:
    """A decision as it was recorded.

    Attributes
    ----------
    made_at : float
        Seconds since 1970.
    mode : "observe" or "enforce"
        Whether it moved the object.
    made_by : str, optional
        Who asked for it; None: the server itself.
    circumstances : mapping
        What beside the features a function could see.
    input_sha256 : str
        Of all that the decision was made from.
    supersedes : int, optional
        Number of the decision before, about the same object.
    seen : int, optional
        Up to which decision of the stream others' were looked at.
    members : tuple of int, optional
        The jobs whose images made the score of the image set.
    """

    decision_id: int
    stream_id: str
    job_id: int
    source_id: str
    made_at: float
    score: float | None
    tier: str
    reason: str
    mode: Literal["observe", "enforce"]
    origin: Origin
    made_by: str | None
    features: Mapping[str, Any]
    circumstances: Mapping[str, Any]
    pipeline: Pipeline
    input_sha256: str
    software_version: str
    supersedes: int | None
    seen: int | None
    members: tuple[int, ...] | None

    @property
    def interestingness(self) -> dict[str, Any] | None:
        """The function with its parameters, as JSON."""
        spec = self.pipeline.interestingness
        return None if spec is None else spec.model_dump(mode="json")

    @property
    def policy(self) -> dict[str, Any] | None:
        """The policy, as JSON."""
        policy = self.pipeline.policy
        return None if policy is None else policy.model_dump(mode="json", by_alias=True)


@dataclass(frozen=True)
class DecidedObject:
    """An object, its job and its latest decision.

    Attributes
    ----------
    deleted_at : float, optional
        When it was deleted from a trash, in seconds since 1970.
    """

    job: JobRecord
    decision: DecisionRecord
    size_bytes: int
    pinned: bool
    deleted_at: float | None = None


@dataclass(frozen=True)
class Shift:
    """Objects that another policy would put from one tier to another, or leave where they are."""

    before: str
    after: str
    count: int
    size_bytes: int


@dataclass(frozen=True)
class Foreseen:
    """What another function or policy would do.

    Attributes
    ----------
    shifts : sequence of Shift
    unscored : int
        How many of the objects the function cannot score; the earlier decisions about them stay.
    why_unscored : str, optional
        Why not, for the most of them.
    """

    shifts: Sequence[Shift]
    unscored: int = 0
    why_unscored: str | None = None


class ObjectStore(Protocol):
    """What the API does with objects and decisions. Unknown ids raise NotFoundError."""

    def objects(
        self, stream_id: str, wanted: ObjectFilter, *, order: ObjectOrder, cursor: str | None, limit: int
    ) -> Page[DecidedObject]:
        """List the objects of a stream about which was decided."""

    def best(self, stream_id: str, *, number: int) -> list[DecidedObject]:
        """List the objects of a stream with the highest scores, the best first; what was deleted is left out.

        An image set is one object, for which its best image stands, of equals the one submitted first. An
        object of which several versions were decided about is in the last one.
        """

    def decision_of(self, job_id: int) -> DecidedObject:
        """Load the object of a job."""

    def decisions_about(self, job_id: int) -> list[DecisionRecord]:
        """List all decisions about the object of a job, the first one first."""

    def decisions(self, stream_id: str, *, cursor: str | None, limit: int) -> Page[DecisionRecord]:
        """List the decisions of a stream in their order."""

    def preview(self, stream_id: str, pipeline: Pipeline) -> Foreseen:
        """Tell what the interestingness function and the policy of another pipeline would do.

        Raises
        ------
        InvalidError
            If that cannot be told here.
        """

    def scored_last(self, stream_id: str) -> list[ScoredObject]:
        """Return some of the stream's objects that have a score, as they were when it was made last."""

    def unmoved(self, stream_id: str) -> tuple[int, int]:
        """Count the objects, and their bytes, that were not put to the tier that was decided last."""

    def pin(self, job_id: int, tier: str, *, reason: str, made_by: str | None, now: float) -> None:
        """Keep an object in a tier, whatever is decided about it; the same asked twice changes nothing."""

    def unpin(self, job_id: int, *, reason: str, made_by: str | None, now: float) -> None:
        """Let the policy decide about an object again."""

    def recall(self, job_id: int, tier: str, *, reason: str, made_by: str | None, now: float) -> None:
        """Bring an object back to a tier; a pinned one raises NotFoundError."""


def tiers_of(shifts: Sequence[Shift]) -> dict[str, tuple[int, int]]:
    """Sum up what each tier would hold: number and bytes."""
    sums: dict[str, tuple[int, int]] = {}
    for shift in shifts:
        count, size_bytes = sums.get(shift.after, (0, 0))
        sums[shift.after] = (count + shift.count, size_bytes + shift.size_bytes)
    return sums
