"""Clearing away uploaded files, once a recorded result says that their object is elsewhere.

See docs/decisions/0056-what-a-recorded-result-has-superseded.md, and 0121 about originals.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Iterator
from itertools import islice

import structlog

from haste_core.errors import NotFoundError
from haste_core.jobs import JobRecord
from haste_core.originals import OriginalStore, copying_task
from haste_core.ports import Clock
from haste_core.states import TaskState
from haste_core.stores import JobFilter, JobStore, StreamStore
from haste_server.gateway.landing import FolderLandingArea
from haste_server.gateway.uploads import FolderUploads

log = structlog.get_logger(__name__)

GRACE_S = 3600.0
"""How old a file is at least before it is removed, so that a task can be run again by hand soon after."""

SWEEP_EVERY_S = 600.0
PAGE = 200  # jobs that are looked at in one transaction
FILES_AT_ONCE = 10_000  # whose names are held in memory
ORIGINALS_AT_ONCE = 100  # whose jobs are held in one transaction
REST = 49.0  # times as long as a page took: looking through jobs takes at most a fiftieth of a core


def superseded_places(job: JobRecord) -> set[str]:
    """Find the URLs at which the object has been, and is not any more, and which are not its original.

    Empty until the job is done: its tasks may still read what earlier ones left.
    """
    if job.state is not TaskState.DONE:
        return set()
    return _recorded_places(job) - needed_places(job)


def needed_places(job: JobRecord) -> set[str]:
    """Find the URLs that must stay: the original's, and the object's; those of all tasks until it is done."""
    needed = {job.spec.source_url, *job.spec.sidecars, job.place_before(len(job.tasks)).url}
    return needed if job.state is TaskState.DONE else needed | _recorded_places(job)


def _recorded_places(job: JobRecord) -> set[str]:
    return {task.place.url for task in job.tasks if task.place is not None}


def _name(url: str) -> str:
    return url.rpartition("/")[2]


class LandingSweep:
    """Removes uploaded files that every job which knows them has done with; the others stay.

    Equal content of one stream is one file, so that all jobs of the stream are asked. A file that no job
    knows stays as well: it may be the only copy.

    Parameters
    ----------
    jobs : JobStore
    streams : StreamStore
    originals : OriginalStore
        Asked about originals of streams that move them, before they are removed.
    landing : FolderLandingArea
    uploads : FolderUploads, optional
        Those that broke off are finished, or removed, at the same times.
    """

    def __init__(
        self,
        *,
        jobs: JobStore,
        streams: StreamStore,
        originals: OriginalStore,
        landing: FolderLandingArea,
        uploads: FolderUploads | None = None,
        clock: Clock = time.time,
    ) -> None:
        self._jobs = jobs
        self._streams = streams
        self._originals = originals
        self._uploads = uploads
        self._landing = landing
        self._clock = clock
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="landing-sweep", daemon=True)

    def start(self) -> None:
        """Sweep now and then, in a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread soon."""
        self._stopping.set()
        self._thread.join()

    def sweep(self) -> int:
        """Look through all streams once, and tell how many files were removed."""
        return sum(self._sweep_stream(stream_id) for stream_id in self._landing.streams())

    def _sweep_stream(self, stream_id: str) -> int:
        since = self._clock() - GRACE_S
        files = self._landing.unused(stream_id, since=since)
        removed = 0
        while unused := set(islice(files, FILES_AT_ONCE)):
            for url in self._may_go(stream_id, unused):
                removed += self._landing.remove(url, since=since)
        if removed:
            log.info(
                "uploads removed", action="superseded_uploads_removed", stream_id=stream_id, files=removed
            )
        return removed

    def _may_go(self, stream_id: str, urls: Collection[str]) -> set[str]:
        superseded: set[str] = set()
        copied: set[str] = set()
        needed: set[str] = set()
        by_name = {_name(url): url for url in urls}
        moves = self._moves_originals(stream_id)
        for job in self._jobs_of(stream_id):
            superseded |= superseded_places(job).intersection(urls)
            its_needed = needed_places(job)
            # An original may be named by another root, or as file://; its name is its SHA-256.
            its_needed.add(by_name.get(_name(job.spec.source_url), ""))
            if moves and job.spec.source_url in urls and copying_task(job) is not None:
                copied.add(job.spec.source_url)
                its_needed.discard(job.spec.source_url)
            needed |= its_needed.intersection(urls)
        if self._stopping.is_set():  # in the middle: not all jobs were asked
            return set()
        return (superseded - needed).difference(copied).union(self._left(copied - needed))

    def _moves_originals(self, stream_id: str) -> bool:
        try:
            policy = self._streams.stream(stream_id).pipeline.policy
        except NotFoundError:
            return False
        return policy is not None and policy.move

    def _left(self, originals: Collection[str]) -> Iterator[str]:
        """Have originals left behind, some at a time, and tell which may go."""
        waiting = iter(originals)
        while some := list(islice(waiting, ORIGINALS_AT_ONCE)):
            yield from self._originals.leave_originals(some)

    def _jobs_of(self, stream_id: str) -> Iterator[JobRecord]:
        cursor: str | None = None
        while not self._stopping.is_set():
            began = time.monotonic()
            page = self._jobs.jobs(JobFilter(stream_id=stream_id), cursor=cursor, limit=PAGE)
            yield from page.items
            cursor = page.next
            if cursor is None:
                return
            self._stopping.wait(REST * (time.monotonic() - began))

    def _run(self) -> None:
        self._sweep_uploads()  # a server that was killed has left some
        while not self._stopping.wait(SWEEP_EVERY_S):
            self._sweep_uploads()
            try:
                self.sweep()
                if self._uploads is not None:
                    self._uploads.room.release_removed()
            except Exception:  # an outage ends, and files that stay are no reason to end the thread
                log.exception("uploads cannot be removed now", action="superseded_uploads_kept")

    def _sweep_uploads(self) -> None:
        try:
            if self._uploads is not None:
                self._uploads.sweep()
        except Exception:
            log.exception("uploads cannot be swept now", action="uploads_unswept")
