"""What a page shows of a stream beside its progress: counts and short lists, without loading whole jobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from haste_core.job_lists import Failure, JobListStore
from haste_core.objects import ObjectOrder
from haste_core.states import TaskState
from haste_core.stores import Page


@dataclass(frozen=True)
class ImageRow:
    """One line of a list of images.

    Attributes
    ----------
    index : int, optional
        Its number in the stream.
    state : TaskState
        Of its job.
    tier, score, size_bytes
        By its latest decision; None where there is none. The score may also be undefined.
    deleted_at : float, optional
        When it was deleted from a trash, in seconds since 1970.
    thumbnail : str, optional
        The digest of its picture.
    """

    job_id: int
    source_id: str
    index: int | None
    state: TaskState
    tier: str | None = None
    score: float | None = None
    size_bytes: int | None = None
    pinned: bool = False
    deleted_at: float | None = None
    thumbnail: str | None = None


@dataclass(frozen=True)
class Thumbnail:
    """A small picture of an image.

    Attributes
    ----------
    digest : str
        Of its content: another picture has another one.
    jpeg : bytes
    """

    digest: str
    jpeg: bytes


@dataclass(frozen=True)
class RowFilter:
    """Which images a list shows.

    Attributes
    ----------
    state : "open", "done" or "failed", optional
        Of their jobs; only in the order of submission.
    tier : str, optional
        Only by score.
    """

    state: Literal["open", "done", "failed"] | None = None
    tier: str | None = None


@dataclass(frozen=True)
class ScoreBin:
    """The images of one tier with scores in one small range.

    Attributes
    ----------
    count, size_bytes : int
    examples : tuple of int
        The first and the last of their jobs.
    """

    count: int
    size_bytes: int
    examples: tuple[int, int]


@dataclass(frozen=True)
class SampledImage:
    """An image, and what it was judged by.

    Attributes
    ----------
    index : int, optional
        Its number in the stream.
    taken_at : float
        When it was taken, in seconds since 1970; when it was submitted, if its job spec does not tell.
    features : mapping
        What was measured.
    metadata : mapping
        Of its job spec.
    """

    job_id: int
    index: int | None
    taken_at: float
    score: float | None
    tier: str
    features: Mapping[str, Any]
    metadata: Mapping[str, Any]


@dataclass(frozen=True)
class Pace:
    """The jobs that ended lately.

    Attributes
    ----------
    ended : int
    first_at : float, optional
        When the first of them ended, in seconds since 1970.
    """

    ended: int
    first_at: float | None

    def per_s(self, now: float) -> float | None:
        """Tell how many jobs end each second; None if too few ended to tell."""
        if self.first_at is None or self.ended < 2 or now <= self.first_at:
            return None
        return (self.ended - 1) / (now - self.first_at)


@dataclass(frozen=True)
class EdgeFlow:
    """How far the images of a microscope's computer are on their way: `preprocess`, then `upload`.

    Attributes
    ----------
    found, preprocessing, preprocessed, sending, sent : int
        All images; those that are being preprocessed, were preprocessed well, are being sent, were sent.
    sent_bytes, original_bytes : int
        Of those that were sent: as they were sent, and as they had been found.
    """

    found: int = 0
    preprocessing: int = 0
    preprocessed: int = 0
    sending: int = 0
    sent: int = 0
    sent_bytes: int = 0
    original_bytes: int = 0

    @property
    def saved_share(self) -> float:
        """What part of the sent images' bytes did not need to be sent, in [0, 1]."""
        return max(0.0, 1 - self.sent_bytes / self.original_bytes) if self.original_bytes else 0.0


@dataclass(frozen=True)
class Preprocessed:
    """An image that was preprocessed.

    Attributes
    ----------
    number : int
        Its place in the stream.
    started_at : float
        When it was chosen, in seconds since 1970.
    saved_bytes, cpu_s : float
        What it saved, and for how long it took a core.
    """

    number: int
    started_at: float
    saved_bytes: float
    cpu_s: float


class EdgeFigureStore(Protocol):
    """What pages read of the streams of a microscope's computer."""

    def edge_flow(self, stream_id: str) -> EdgeFlow:
        """Count images and bytes on their way."""

    def sent_bytes(self, stream_id: str, *, since: float) -> int:
        """Sum up what was sent since a time."""

    def preprocessed(self, stream_id: str, *, limit: int) -> list[Preprocessed]:
        """List images that were preprocessed, by number; of more than `limit`, at even distances."""

    def sent_as_found(self, stream_id: str, *, width: int) -> list[int]:
        """List the first image that was sent without preprocessing of each so many numbers."""


class FigureStore(EdgeFigureStore, JobListStore, Protocol):
    """What pages read. Unknown streams have no images."""

    def image_rows(
        self, stream_id: str, wanted: RowFilter, *, order: ObjectOrder, cursor: str | None, limit: int
    ) -> Page[ImageRow]:
        """List images as submitted (``job``), or those that were decided about by score."""

    def score_spread(self, stream_id: str, *, bins: int) -> Mapping[str, Mapping[int, ScoreBin]]:
        """Sum up images in equal parts of [0, 1], the last with its end, by tier; without the empty ones."""

    def rows_of(self, job_ids: Sequence[int]) -> list[ImageRow]:
        """Load the lines of images, in this order; those that are gone are left out."""

    def sampled(self, stream_id: str, *, about: int) -> list[SampledImage]:
        """Load the images that were decided about; of many more than `about`, so many by chance.

        The same ones each time, in the order of their submission.
        """

    def thumbnail(self, job_id: int) -> Thumbnail | None:
        """Load the picture of a job's image; None if no worker has made one."""

    def pace(self, stream_id: str, *, since: float) -> Pace:
        """Count the jobs that ended since a time."""

    def failures(self, stream_id: str, *, limit: int) -> list[Failure]:
        """List the failed tasks of the stream's latest failed jobs, at most `limit` jobs."""
