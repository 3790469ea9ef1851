"""The images of a microscope's computer as a store knows them: what may be done about each now."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Container, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import Any, Protocol

from haste_core.routing import Route
from haste_core.states import Phase, TaskState

PREPROCESS, UPLOAD = "preprocess", "upload"
EDGE_KEYS = (PREPROCESS, UPLOAD)

_WITH_SIZE = re.compile(r"(\d+)-\d+-[0-9a-f]+")  # versions as haste_client names them


class EdgeState(Enum):
    """Where an image stands on its way through the computer."""

    GONE = "gone"  # cancelled, deleted, failed, or not there yet
    SENT = "sent"
    NEEDED = "needed"  # has to be preprocessed, whatever that is worth
    WAITING = "waiting"  # is preprocessed, or sent as it is
    PREPROCESSING = "preprocessing"
    TO_SEND = "to send"  # preprocessed, or not to be
    SENDING = "sending"
    BUSY = "busy"  # is preprocessed, but not for the link
    PAUSED = "paused"  # waits for its next attempt


@dataclass(frozen=True)
class Saving:
    """What preprocessing did to an image.

    Attributes
    ----------
    saved_bytes : int
    cpu_s : float
        For which a core was taken.
    """

    saved_bytes: int
    cpu_s: float


@dataclass(frozen=True)
class EdgeTask:
    """A task of an image, as far as its schedule needs it.

    Attributes
    ----------
    size_bytes : int, optional
        Of the file that it made.
    """

    task_id: int
    state: TaskState
    phase: Phase
    failures: int = 0
    started_at: float | None = None
    ended_at: float | None = None
    response: Mapping[str, Any] | None = None
    size_bytes: int | None = None

    @property
    def duration_s(self) -> float | None:
        """How long its last attempt ran."""
        if self.started_at is None or self.ended_at is None:
            return None
        return max(0.0, self.ended_at - self.started_at)

    def number(self, name: str) -> float | None:
        """Return a number of its handler's answer that is not negative."""
        value = (self.response or {}).get(name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        return value if 0 <= value < math.inf else None


@dataclass(frozen=True)
class EdgeImage:
    """An image and its tasks at one site.

    Attributes
    ----------
    index : int, optional
        Its number in the stream.
    arrived_at : float
        Seconds since 1970.
    """

    job_id: int
    stream_id: str
    index: int | None
    source_version: str | None
    arrived_at: float
    preprocess: EdgeTask | None = None
    upload: EdgeTask | None = None

    @cached_property
    def edge_state(self) -> EdgeState:
        """Where the image stands."""
        if self.upload is None:
            return self._state_without_upload()
        match self.upload.phase:
            case Phase.ENDED:
                return EdgeState.SENT if self.upload.state is TaskState.DONE else EdgeState.GONE
            case Phase.HANDED_OUT:
                return EdgeState.SENDING
            case Phase.DELAYED:
                return EdgeState.PAUSED
            case Phase.READY:
                return self._state_before_upload()
            case Phase.BLOCKED if self._preprocess_is(Phase.HANDED_OUT):
                return EdgeState.PREPROCESSING
            case Phase.BLOCKED if self._preprocess_is(Phase.READY):
                return EdgeState.NEEDED
            case Phase.BLOCKED if self._preprocess_is(Phase.DELAYED):
                return EdgeState.PAUSED
        return EdgeState.GONE

    @property
    def was_preprocessed(self) -> bool:
        """Whether preprocessing was tried and is over, well or not."""
        task = self.preprocess
        untried = (TaskState.SKIPPED, TaskState.CANCELLED)
        return task is not None and task.phase is Phase.ENDED and task.state not in untried

    @property
    def saving(self) -> Saving | None:
        """What preprocessing did; None if it failed, or nobody told."""
        task = self.preprocess
        if task is None or task.state is not TaskState.DONE:
            return None
        before, after = self.raw_bytes, self._bytes_after()
        # The time that a core was taken decides, whatever a handler counts as its own.
        cpu_s = task.duration_s or task.number("cpu_s")
        if before is None or after is None or cpu_s is None:
            return None
        return Saving(before - after, cpu_s)

    @cached_property
    def raw_bytes(self) -> int | None:
        """Size of the image as it came, if anybody told it."""
        told = self.preprocess.number("bytes_before") if self.preprocess else None
        if told is not None:
            return int(told)
        found = _WITH_SIZE.fullmatch(self.source_version or "")
        return int(found[1]) if found else None

    @property
    def size_bytes(self) -> int | None:
        """Size of what is to be sent, as far as it is known."""
        done = self.preprocess is not None and self.preprocess.state is TaskState.DONE
        return self._bytes_after() if done else self.raw_bytes

    def _bytes_after(self) -> int | None:
        task = self.preprocess
        told = task.number("bytes_after") if task else None
        if told is not None:
            return int(told)
        return self.raw_bytes if task is None or task.size_bytes is None else task.size_bytes

    def _state_before_upload(self) -> EdgeState:
        task = self.preprocess
        if task is None or task.failures:
            return EdgeState.TO_SEND
        match task.phase:
            case Phase.READY:
                return EdgeState.WAITING
            case Phase.DELAYED:
                return EdgeState.PAUSED  # a worker gave it back; that takes half a second
        return EdgeState.TO_SEND

    def _state_without_upload(self) -> EdgeState:
        phases = {
            Phase.READY: EdgeState.NEEDED,
            Phase.HANDED_OUT: EdgeState.BUSY,
            Phase.DELAYED: EdgeState.PAUSED,
        }
        return (
            EdgeState.GONE if self.preprocess is None else phases.get(self.preprocess.phase, EdgeState.GONE)
        )

    def _preprocess_is(self, phase: Phase) -> bool:
        return self.preprocess is not None and self.preprocess.phase is phase


@dataclass(frozen=True, order=True)
class ReadyTask:
    """A task that may be handed out; in the order in which tasks became ready."""

    ready_at: float
    task_id: int
    job_id: int


class EdgeStore(Protocol):
    """What the schedules of a microscope's computer read from its store. Nothing is changed."""

    def news(
        self, site: str, *, since: float, watched: Collection[int], known: Container[int]
    ) -> tuple[list[EdgeImage], float]:
        """Load the images of watched jobs, and of unknown ones with tasks that became ready after `since`.

        Returns
        -------
        list of EdgeImage
        float
            When the latest of all those tasks became ready; `since` if there are none.
        """

    def ready_after(self, route: Route, after: tuple[float, int], *, limit: int) -> list[ReadyTask]:
        """List the first ready tasks of a queue behind a (`ready_at`, `task_id`)."""

    def under_way(self, site: str) -> list[int]:
        """List the jobs whose images are at a worker, or wait for their next attempt."""

    def images(self, site: str, job_ids: Sequence[int]) -> list[EdgeImage]:
        """Load images with their tasks at a site; unknown jobs are left out."""

    def beginning(self, stream_id: str) -> tuple[int, int | None]:
        """Return a stream's first job, and the lowest index of its images."""

    def preprocessed(self, stream_id: str, site: str, *, limit: int) -> list[EdgeImage]:
        """Load the latest images of a stream that were preprocessed, in the order in which they were."""
