"""Following streams: what changes is looked up once a second for all who follow, and never if nobody does."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from haste_core.alert_stores import AlertRecord
from haste_core.errors import TransientError
from haste_core.events import EventStore, JobCounts, StreamMark
from haste_core.ports import Clock

EVERY_S = 1.0
_TIMES_AS_LONG = 10.0  # looking takes a tenth of a core at most, however many streams there are
_ALERTS_AT_ONCE = 100


@dataclass
class _Counted:
    """The jobs of a stream as they were counted last, and until when that may do."""

    mark: StreamMark
    counts: JobCounts
    until: float


@dataclass
class Follower:
    """What one who follows knows already.

    Attributes
    ----------
    stream_id : str, optional
        Follows this one only.
    alert_id : int
        The latest alert that was told.
    may_follow : callable, optional
        Tells whether a stream is theirs who follows; a stream never changes its project.
    """

    stream_id: str | None
    alert_id: int
    told: dict[str, StreamMark] = field(default_factory=dict)
    may_follow: Callable[[str], bool] | None = None
    _asked: dict[str, bool] = field(default_factory=dict)

    def wants(self, stream_id: str) -> bool:
        """Tell whether it is to be told of a stream."""
        if self.stream_id not in (None, stream_id):
            return False
        if self.may_follow is None:
            return True
        if stream_id not in self._asked:
            self._asked[stream_id] = self.may_follow(stream_id)
        return self._asked[stream_id]


class Following:
    """Who follows streams in this process, and what there is to tell them.

    Parameters
    ----------
    store : EventStore
    most : int
        How many may follow at a time.
    clock : callable
        In seconds, never going back.
    """

    def __init__(self, store: EventStore, *, most: int, clock: Clock = time.monotonic) -> None:
        self._store = store
        self._most = most
        self._clock = clock
        self._places = threading.Lock()
        self._taken = 0
        self._ending = threading.Event()
        self._looking = threading.Lock()
        self._marks: dict[str, StreamMark] = {}
        self._last_alert = 0
        self._fresh_until = 0.0
        self._counted: dict[str, _Counted] = {}
        self._counting = threading.Lock()

    def take_place(self) -> None:
        """Take one of the places; to be given back by `leave_place`.

        Raises
        ------
        TransientError
            If there is none.
        """
        with self._places:
            if self._taken >= self._most:
                raise TransientError(
                    f"{self._most} clients follow events of this server's process already, more cannot at a "
                    "time: ask for what you want to know every few seconds instead"
                )
            self._taken += 1

    def leave_place(self) -> None:
        """Give a place back."""
        with self._places:
            self._taken -= 1

    def follower(
        self,
        stream_id: str | None,
        *,
        alert_id: int | None,
        present: bool,
        may_follow: Callable[[str], bool] | None = None,
    ) -> Follower:
        """Begin to follow.

        Parameters
        ----------
        stream_id : str, optional
            One stream only.
        alert_id : int, optional
            The last alert that is known; None: tell only of new ones, and so after one that is not there:
            it was known from another database.
        present : bool
            Tell the present state of streams first.
        may_follow : callable, optional
            Tells of which streams it may know; None: of all.

        Raises
        ------
        TransientError
            If the database is away.
        """
        self._look()
        known, last = {} if present else dict(self._marks), self._last_alert
        if alert_id is not None:  # it may have come from a process that has looked later
            last = alert_id if alert_id <= last else min(alert_id, self._store.last_alert_id())
        return Follower(stream_id, last, known, may_follow)

    def pause(self) -> bool:
        """Wait until there may be something new; tell whether it is time to end."""
        return self._ending.wait(EVERY_S)

    def end(self) -> None:
        """Let all who follow come to an end, soon and for good."""
        self._ending.set()

    def alerts(self, follower: Follower) -> list[AlertRecord]:
        """List the alerts that a follower has not been told, and note that it is."""
        self._look()
        found = []
        while follower.alert_id < self._last_alert:
            some = self._store.alerts_after(follower.alert_id, limit=_ALERTS_AT_ONCE)
            found += [alert for alert in some if follower.wants(alert.stream_id)]
            follower.alert_id = some[-1].alert_id if some else self._last_alert
        return found

    def changes(self, follower: Follower) -> Iterator[tuple[StreamMark, JobCounts]]:
        """List the streams that have changed since a follower was told, and note that it is."""
        self._look()
        for stream_id, mark in self._wanted(follower.stream_id):
            if follower.told.get(stream_id) is mark or not follower.wants(stream_id):
                continue
            counts = self._counts(mark)
            if counts is not None:  # else it was counted just now, which takes long: later
                follower.told[stream_id] = mark
                yield mark, counts

    def joint_mark(self, stream_id: str | None) -> tuple[object, ...]:
        """Tell how a stream, or each, and the alerts of all stand: if this is the same, nothing has happened.

        Raises
        ------
        TransientError
            If the database is away.
        """
        self._look()
        open_alerts = sum(mark.open_alerts for mark in self._marks.values())
        return self._last_alert, open_alerts, *(mark for _, mark in self._wanted(stream_id))

    def _wanted(self, stream_id: str | None) -> list[tuple[str, StreamMark]]:
        marks = self._marks
        if stream_id is None:
            return list(marks.items())
        return [(stream_id, marks[stream_id])] if stream_id in marks else []

    def _look(self) -> None:
        """Look what has changed, unless somebody has just done so, or does."""
        if self._clock() < self._fresh_until or not self._looking.acquire(blocking=not self._marks):
            return
        try:
            began = self._clock()
            if began >= self._fresh_until:
                marks = {mark.stream_id: mark for mark in self._store.stream_marks(None)}
                known = self._marks
                self._last_alert = self._store.last_alert_id()
                # What is the same stays the same object: that is how followers see it.
                self._marks = {
                    name: known[name] if known.get(name) == mark else mark for name, mark in marks.items()
                }
                took_s = self._clock() - began
                self._fresh_until = began + max(0.9 * EVERY_S, _TIMES_AS_LONG * took_s)
        finally:
            self._looking.release()

    def _counts(self, mark: StreamMark) -> JobCounts | None:
        """Count the jobs of a stream, at least as new as the mark; None if it is too early to count again."""
        with self._counting:
            known = self._counted.get(mark.stream_id)
            if known is not None and known.mark is mark:
                return known.counts
            began = self._clock()
            if known is not None and began < known.until:
                return None
            counts = self._store.job_counts(mark.stream_id)
            until = began + _TIMES_AS_LONG * (self._clock() - began)
            self._counted[mark.stream_id] = _Counted(mark, counts, until)
            return counts
