"""What has become of the images that were found, as the agent's own server knows it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from haste_client import HasteClient
from haste_client.answers import JobAnswer, StreamProgress
from haste_client.following import EndedJobs
from haste_client.liveness import CurrentTask, WorkersAnswer

RATE_OVER_S = 20.0
_SENDING = "sending"


@dataclass(frozen=True)
class Status:
    """How far the agent is.

    Attributes
    ----------
    found, preprocessed, uploaded, waiting, failed : int
        Images; ``found = uploaded + waiting + failed``.
    original_bytes, sent_bytes : int
        Of those that are uploaded: as the microscope wrote them, and as they were sent.
    waiting_bytes : int
        Of those that wait, as the microscope wrote them.
    bytes_per_s : float
        Of what was sent lately.
    trouble : str
        What is waited for, if the server takes nothing.
    """

    found: int = 0
    preprocessed: int = 0
    uploaded: int = 0
    waiting: int = 0
    failed: int = 0
    original_bytes: int = 0
    sent_bytes: int = 0
    waiting_bytes: int = 0
    bytes_per_s: float = 0.0
    trouble: str = ""

    @property
    def saved_share(self) -> float:
        """What part of the uploaded images did not need to be sent; below 0 if they grew."""
        return 1 - self.sent_bytes / self.original_bytes if self.original_bytes else 0.0

    @property
    def eta_s(self) -> float | None:
        """How long what waits will take at the present speed; None if nothing moves."""
        if not self.waiting:
            return 0.0
        return (1 - self.saved_share) * self.waiting_bytes / self.bytes_per_s if self.bytes_per_s else None


@dataclass
class _Speed:
    """Bytes per second over the last seconds, from the times at which the whole amount was looked at."""

    _seen: list[tuple[float, float]] = field(default_factory=list)

    def per_s(self, amount: float, now_s: float) -> float:
        self._seen.append((now_s, amount))
        while len(self._seen) > 2 and self._seen[1][0] <= now_s - RATE_OVER_S:
            del self._seen[0]
        began_s, before = self._seen[0]
        lasted_s = now_s - began_s
        return max(0.0, amount - before) / lasted_s if lasted_s > 0 else 0.0


@dataclass(frozen=True)
class Sums:
    """Over images that are uploaded, and whose jobs have left the agent's own server.

    Attributes
    ----------
    images, preprocessed : int
    original_bytes, sent_bytes : int
    """

    images: int = 0
    preprocessed: int = 0
    original_bytes: int = 0
    sent_bytes: int = 0


_NONE = Sums()


@dataclass(frozen=True)
class _Ended:
    """What one image that has ended adds to the sums."""

    original_bytes: int
    sent_bytes: int
    preprocessed: bool


class Following:
    """Counts the images of the agent's streams, and tells which have ended.

    Nothing of it grows with the number of images that wait: this computer has other things to do.

    Parameters
    ----------
    client : HasteClient
        Of the agent's own server.
    stream_ids : sequence of str
        The streams there: one, or more if the agent was told other operators in between.
    preprocesses : bool
        Whether images are made smaller at all.
    left : Sums
        Over the images whose jobs have left before.
    """

    def __init__(
        self, client: HasteClient, stream_ids: Sequence[str], *, preprocesses: bool, left: Sums = _NONE
    ) -> None:
        self._client = client
        self._left = left
        self._preprocesses = preprocesses
        self._streams = {stream_id: EndedJobs(_ended_since(client, stream_id)) for stream_id in stream_ids}
        self._sizes = {
            known.job_id: size_in(known.source_version)
            for stream_id in stream_ids
            for known in client.sources(stream_id)
        }
        self._found_bytes = sum(self._sizes.values())
        self._ended: dict[int, _Ended] = {}
        self._sending: dict[int, JobAnswer] = {}
        self._speed = _Speed()
        self.status = Status()

    def add(self, job_id: int, size_bytes: int) -> None:
        """Take in an image that was found."""
        self._found_bytes += size_bytes - self._sizes.get(job_id, 0)
        self._sizes[job_id] = size_bytes

    def leave(self, job_id: int) -> None:
        """Go on counting an image that is uploaded, and whose job has left the server."""
        ended, left = self._ended.pop(job_id), self._left
        self._found_bytes -= self._sizes.pop(job_id, 0)
        self._left = Sums(
            left.images + 1,
            left.preprocessed + ended.preprocessed,
            left.original_bytes + ended.original_bytes,
            left.sent_bytes + ended.sent_bytes,
        )

    def look(self) -> list[JobAnswer]:
        """Ask once; return the jobs that have ended since, done or failed, those of earlier runs at first.

        When `status` tells that none waits, all ends have been returned.
        """
        # Asked before the ends: a job that ended in between would be counted, and not have been returned.
        progress = [self._client.stream(stream_id).progress for stream_id in self._streams]
        news = [job for ended in self._streams.values() for job in ended.poll()]
        for job in news:
            sent = job.response.get("upload") or {} if job.done else {}
            original_bytes = size_in(job.source_version)
            self._ended[job.job_id] = _Ended(original_bytes, sent.get("size_bytes", 0), was_preprocessed(job))
        self.status = self._status(progress, self._client.workers())
        return news

    def _status(self, progress: Sequence[StreamProgress], workers: WorkersAnswer) -> Status:
        waiting = sum(one.open for one in progress)
        current = [task for worker in workers.workers for task in worker.current]
        uploads = self._running_uploads(current)
        left = self._left
        sent_bytes = left.sent_bytes + sum(ended.sent_bytes for ended in self._ended.values())
        moving = sum((task.fraction or 0) * size_in(job.source_version) for task, job in uploads)
        return Status(
            found=left.images + sum(one.jobs for one in progress),
            preprocessed=left.preprocessed
            + sum(ended.preprocessed for ended in self._ended.values())
            + self._preprocessed_and_waiting(waiting, workers, [job for _, job in uploads]),
            uploaded=left.images + sum(one.done for one in progress),
            waiting=waiting,
            failed=sum(one.failed for one in progress),
            original_bytes=left.original_bytes
            + sum(ended.original_bytes for ended in self._ended.values() if ended.sent_bytes),
            sent_bytes=sent_bytes,
            waiting_bytes=self._found_bytes - sum(ended.original_bytes for ended in self._ended.values()),
            bytes_per_s=self._speed.per_s(sent_bytes + moving, time.monotonic()),
            trouble=_trouble(current) if waiting else "",  # a note may outlive its task
        )

    def _running_uploads(self, current: Sequence[CurrentTask]) -> list[tuple[CurrentTask, JobAnswer]]:
        tasks = {task.task_id: task for task in current if task.note}
        self._sending = {
            task_id: self._sending.get(task_id) or self._client.job(self._client.task(task_id).job_id)
            for task_id in tasks
        }
        return [(tasks[task_id], job) for task_id, job in self._sending.items()]

    def _preprocessed_and_waiting(
        self, waiting: int, workers: WorkersAnswer, uploads: Sequence[JobAnswer]
    ) -> int:
        """Count by what is left of the queue: those whose task neither waits, nor runs, nor was skipped."""
        if not self._preprocesses:
            return 0
        queues = [queue for queue in workers.queues if queue.task_key == "preprocess"]
        not_yet = sum(queue.ready + queue.delayed + queue.handed_out for queue in queues)
        skipped = sum(not was_preprocessed(job) for job in uploads)
        return max(0, waiting - not_yet - skipped)


def _ended_since(client: HasteClient, stream_id: str) -> Callable[[float], Iterable[JobAnswer]]:
    return lambda since: client.jobs(stream_id=stream_id, ended_since=since)


def size_in(version: str | None) -> int:
    """Tell how large an original was, by the version under which it was found."""
    size = (version or "").partition("-")[0]
    return int(size) if size.isdecimal() else 0


def was_preprocessed(job: JobAnswer) -> bool:
    """Tell whether an image was made smaller here."""
    made = job.response.get("preprocess")
    return made is not None and not made.get("kept", False)


def _sends(task: CurrentTask) -> bool:
    return task.note == _SENDING


def _trouble(current: Iterable[CurrentTask]) -> str:
    notes = sorted({task.note for task in current if task.note and not _sends(task)})
    return notes[0] if notes else ""
