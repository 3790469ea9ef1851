"""The streams of a microscope's computer, kept in line with what the store says about their images."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Sequence

import structlog

from haste_core.edge_images import EDGE_KEYS, EdgeImage, EdgeState, EdgeStore, ReadyTask
from haste_core.edge_scheduling import EdgeSchedule, Link
from haste_core.edge_streams import EdgeStream
from haste_core.routing import Route

log = structlog.get_logger(__name__)

OVERLAP_S = 0.5  # a task is stamped before it is stored, so it may come after one with a later stamp
REVIEW_EVERY_S = 1.0
_PAGE = 2000  # ready tasks that are looked through in a review
_TOGETHER = 100  # images that are noted at a time, while a choice would have to wait
_TOGETHER_AT_FIRST = 1000
_FORGET_AFTER_S = 600.0  # what was learned of a stream that has no images any more; it could be read again
_RECALLED = 5000  # images that a schedule learns from after a start
_FROM_THE_FIRST = (-1.0, 0)


class EdgeSite:
    """All streams at one site, which share its link and its cores.

    Parameters
    ----------
    store : EdgeStore
    site : str

    Attributes
    ----------
    lock : threading.Lock
        Held by whoever calls what says so.
    is_loaded : bool
        What the store knew at the start was noted.
    """

    def __init__(self, store: EdgeStore, site: str) -> None:
        self.lock = threading.Lock()
        self.is_loaded = False
        self._store = store
        self._site = site
        self._link = Link()
        self._streams: dict[str, EdgeStream] = {}  # the oldest first
        self._whose: dict[int, EdgeStream] = {}  # by job
        self._used_at: dict[str, float] = {}
        self._picked: set[int] = set()  # by the latest choice, which may not have been claimed yet
        self._newest = _FROM_THE_FIRST[0]
        self._round = _Round()
        self._reviewed_at = 0.0

    # The following are called with the lock held.

    @property
    def preprocessing(self) -> int:
        """How many images are being preprocessed."""
        return sum(stream.preprocessing for stream in self._streams.values())

    @property
    def waiting_bytes(self) -> dict[str, float]:
        """Bytes that could be handed to the link now, by stream; the oldest stream first."""
        return {name: stream.schedule.waiting_bytes for name, stream in self._streams.items()}

    def look_before_choice(self, now: float) -> None:
        """Note what became of images; what was picked for the choice before is claimed by now, or is not."""
        self._look(now, besides=self._picked)
        self._picked = set()

    def _look(self, now: float, *, besides: Collection[int] = ()) -> None:
        """Note what became of the images at the workers, and those whose tasks became ready."""
        at_a_worker = {job_id for stream in self._streams.values() for job_id in stream.at_a_worker}
        watched = (at_a_worker - self._picked).union(besides)
        # As long as one is new, others may come whose stamps are a little older.
        since = min(self._newest, max(now, self._newest) - OVERLAP_S)
        images, newest = self._store.news(self._site, since=since, watched=watched, known=self._whose)
        self._newest = max(self._newest, newest)
        self._note_all(images, watched, now)

    def pick_to_preprocess(self, now: float, *, cores: int) -> int | None:
        """Pick a task for a free core, and take it for handed out."""
        ahead_bytes = 0.0
        for stream in self._streams.values():
            stream.schedule.cores = cores
            picked = stream.choose_to_preprocess(now, ahead_bytes=ahead_bytes)
            if picked is not None:
                return self._noted(*picked)
            ahead_bytes += stream.schedule.waiting_bytes
        return None

    def pick_to_upload(self, now: float) -> int | None:
        """Pick a task for the link, and take it for handed out."""
        for stream in self._streams.values():
            picked = stream.choose_to_upload(now)
            if picked is not None:
                return self._noted(*picked)
        return None

    def _noted(self, task_id: int, job_id: int) -> int:
        self._picked.add(job_id)
        return task_id

    def unfitted(self) -> list[EdgeSchedule]:
        """List the schedules whose course had better be fitted."""
        return [stream.schedule for stream in self._streams.values() if stream.schedule.fit_is_due]

    def _note_all(self, images: Iterable[EdgeImage], asked: Collection[int], now: float) -> None:
        """Note images, and forget those that were asked for and are not there."""
        missing = set(asked)
        for image in images:
            missing.discard(image.job_id)
            stream = self._whose.get(image.job_id) or self._stream_of(image, now)
            stream.note(image, now)
            self._used_at[image.stream_id] = now
            if image.job_id in stream:
                self._whose[image.job_id] = stream
            else:
                self._whose.pop(image.job_id, None)
        for job_id in missing:
            stream_of_job = self._whose.pop(job_id, None)
            if stream_of_job is not None:
                stream_of_job.forget(job_id, now)

    def _stream_of(self, image: EdgeImage, now: float) -> EdgeStream:
        name = image.stream_id
        if name not in self._streams:
            first_job, lowest_index = self._store.beginning(name)
            schedule = EdgeSchedule(1, link=self._link, name=name, fits_itself=False)
            stream = EdgeStream(schedule, first_job=first_job, lowest_index=lowest_index)
            for earlier in self._store.preprocessed(name, self._site, limit=_RECALLED):
                if earlier.edge_state in (EdgeState.SENT, EdgeState.GONE):
                    stream.recall(earlier)
            self._streams[name] = stream
            self._streams = dict(sorted(self._streams.items(), key=lambda item: item[1].first_job))
            self._used_at[name] = now
            log.info("a stream's images are scheduled", action="edge-stream", stream_id=name, site=self._site)
        return self._streams[name]

    # The following are called without it, by one thread.

    def load(self, now: float) -> None:
        """Note all that the store knows."""
        self._note_in_parts(self._store.under_way(self._site), now, together=_TOGETHER_AT_FIRST)
        for key in EDGE_KEYS:
            after = _FROM_THE_FIRST
            while ready := self._store.ready_after(Route(key, self._site), after, limit=_PAGE):
                after = (ready[-1].ready_at, ready[-1].task_id)
                self._note_in_parts(self._unknown(ready), now, together=_TOGETHER_AT_FIRST)
                self._newest = max(self._newest, after[0])
        with self.lock:
            for stream in self._streams.values():
                stream.schedule.next_to_preprocess(now)  # the first answer counts all that waits
        self.is_loaded = True

    def fit(self) -> None:
        """Find anew what the courses are like that have been observed for long enough."""
        with self.lock:
            twins = [(schedule, schedule.twin()) for schedule in self.unfitted()]
        for schedule, twin in twins:
            twin.fit()
            with self.lock:
                schedule.adopt(twin)

    def review(self, now: float) -> None:
        """Look through a part of all that waits, for what was cancelled, deleted, or asked for again."""
        if 0 <= now - self._reviewed_at < REVIEW_EVERY_S:
            return
        self._reviewed_at = now
        with self.lock:
            self._look(now)
            paused = [job_id for stream in self._streams.values() for job_id in stream.paused]
        self._note_in_parts(paused, now)
        if self._round.is_over:
            with self.lock:
                self._round = _Round(set(self._whose))
        self._walk_on(now)
        if self._round.is_over:
            self._note_in_parts(sorted(self._round.unseen), now)
            self._forget_streams(now)

    def _walk_on(self, now: float) -> None:
        going = self._round
        ready = self._store.ready_after(Route(going.keys[0], self._site), going.after, limit=_PAGE)
        going.unseen.difference_update(task.job_id for task in ready)
        self._note_in_parts(self._unknown(ready), now)
        if len(ready) == _PAGE:
            going.after = (ready[-1].ready_at, ready[-1].task_id)
        else:
            going.keys.pop(0)
            going.after = _FROM_THE_FIRST

    def _unknown(self, ready: Iterable[ReadyTask]) -> list[int]:
        return [task.job_id for task in ready if task.job_id not in self._whose]

    def _note_in_parts(self, job_ids: Sequence[int], now: float, *, together: int = _TOGETHER) -> None:
        for start in range(0, len(job_ids), together):
            with self.lock:  # read within, so that what a choice notes meanwhile is not overwritten
                some = [job_id for job_id in job_ids[start : start + together] if job_id not in self._picked]
                self._note_all(self._store.images(self._site, some), some, now)

    def _forget_streams(self, now: float) -> None:
        with self.lock:
            for name, stream in list(self._streams.items()):
                if not len(stream) and now - self._used_at[name] > _FORGET_AFTER_S:
                    del self._streams[name], self._used_at[name]


class _Round:
    """One walk through all ready tasks of the site.

    Attributes
    ----------
    unseen : set of int
        Jobs that were known as it began and of which no ready task was met.
    keys : list of str
        Whose queues are still to be walked through.
    after : (float, int)
        Where in the first of them.
    """

    def __init__(self, unseen: set[int] | None = None) -> None:
        self.unseen = unseen or set()
        self.keys = [] if unseen is None else list(EDGE_KEYS)
        self.after = _FROM_THE_FIRST

    @property
    def is_over(self) -> bool:
        return not self.keys
