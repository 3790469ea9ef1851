"""What the API answers about objects and decisions."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from haste_core.decisions import Origin


class ObjectAnswer(BaseModel):
    """An image, and what was decided about it last.

    Attributes
    ----------
    score : float, optional
        None where it is undefined; the reason says why.
    place : dict, optional
        Where it is now: ``url``, ``site``, and once it was copied ``sha256`` and ``size_bytes``. None if it
        was deleted.
    deleted_at : float, optional
        When it was deleted from a trash, in seconds since 1970.
    """

    job_id: int
    source_id: str
    source_url: str
    index: int | None
    score: float | None
    tier: str
    reason: str
    origin: Origin
    decided_at: float
    decision_id: int
    pinned: bool
    features: dict[str, Any]
    metadata: dict[str, Any]
    timestamp: float | None
    location: list[float]
    place: dict[str, Any] | None
    size_bytes: int
    deleted_at: float | None


class ObjectsPage(BaseModel):
    """A part of a stream's images; `next` is the cursor of the following part."""

    images: list[ObjectAnswer]
    next: str | None


class TargetAnswer(BaseModel):
    """An image that scores high, and where it was taken: as submitted, and as the file tells."""

    job_id: int
    source_id: str
    index: int | None
    score: float
    tier: str
    location: list[float]
    metadata: dict[str, Any]
    facts: dict[str, Any]


class TargetsAnswer(BaseModel):
    """The best images of a stream, the best one first."""

    targets: list[TargetAnswer]


class TierSums(BaseModel):
    """A number of images, and their bytes."""

    count: int
    size_bytes: int


class ModeAnswer(BaseModel):
    """Whether a stream enforces, and what was not put to the tier that was decided last."""

    mode: Literal["observe", "enforce"]
    unmoved: TierSums


class ShiftAnswer(BaseModel):
    """What would go from one tier to another."""

    before: str
    after: str
    count: int
    size_bytes: int


class UnscoredAnswer(BaseModel):
    """Images that a function cannot score; the earlier decisions about them stay."""

    count: int
    reason: str | None = Field(description="Why not, for the most of them.")


class PreviewAnswer(BaseModel):
    """What another function or policy would do."""

    tiers: dict[str, TierSums]
    moves: list[ShiftAnswer]
    count: int
    moving: int
    unscored: UnscoredAnswer
    deleted: TierSums = Field(description="What was deleted from a trash; no policy brings it back.")
    warnings: list[str] = Field(description="Names the function looks at, but no image has.")


class TrashedAnswer(BaseModel):
    """An image that lies in a trash."""

    job_id: int
    stream_id: str
    source_id: str
    size_bytes: int
    trashed_at: float | None = Field(description="Null while a task has it.")
    expires_at: float | None = Field(description="When it may be deleted, unless it is put there once more.")
    pinned: bool
    enforced: bool = Field(description="False: its stream only observes, so that it is not deleted.")
    marked: bool = Field(description="Its deletion was asked for and is under way.")


class TriedTierAnswer(BaseModel):
    """What one worker says of a tier."""

    worker_id: str
    host: str
    site: str
    is_writable: bool
    trouble: str = Field(description="What is in the way; empty if nothing is.")


class KnownTierAnswer(BaseModel):
    """A tier that policies may name."""

    tier: str
    is_trash: bool
    workers: list[TriedTierAnswer] = Field(description="Live ones that have tried to write to it.")


class TiersAnswer(BaseModel):
    """All tiers."""

    tiers: list[KnownTierAnswer]


class TrashPage(BaseModel):
    """A part of what lies in a trash; `next` is the cursor of the following part."""

    tier: str
    grace_days: float
    images: list[TrashedAnswer]
    next: str | None


class EmptyingAnswer(TierSums):
    """What is deleted, or would be.

    Attributes
    ----------
    more : bool
        There is more than one call asks for: ask again.
    """

    tier: str
    more: bool


class PolicyAnswer(BaseModel):
    """By what a stream decides now."""

    stream_id: str
    pipeline: dict[str, Any]
    warnings: list[str] = Field(description="Names the function looks at, but no image has.")


class DecisionAnswer(BaseModel):
    """A decision with all that it was made from."""

    decision_id: int
    job_id: int
    source_id: str
    made_at: float
    score: float | None
    tier: str
    reason: str
    mode: Literal["observe", "enforce"]
    origin: Origin
    made_by: str | None
    features: dict[str, Any]
    circumstances: dict[str, Any]
    pipeline: str
    interestingness: dict[str, Any] | None
    policy: dict[str, Any] | None
    input_sha256: str
    software_version: str
    supersedes: int | None
    seen: int | None
    members: list[int] | None


class DecisionsAnswer(BaseModel):
    """All decisions about an image, the first one first."""

    decisions: list[DecisionAnswer]


class DecisionsPage(DecisionsAnswer):
    """A part of a stream's decisions; `next` is the cursor of the following part."""

    next: str | None
