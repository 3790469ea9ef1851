"""Which jobs of a stream have ended: asked again and again, cheaply."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from haste_client.answers import JobAnswer

# A job's end is stamped before it is committed, by servers whose clocks may differ a little.
OVERLAP_S = 3.0

# Beyond the overlap nothing is asked twice, except when news fail to come: then all is looked at once more.
_SWEEP_AFTER_S, _SWEEP_AT_MOST_EVERY_S = 10.0, 300.0


class EndedJobs:
    """Follows the ended jobs of one stream.

    Parameters
    ----------
    list_ended_since : callable
        Lists the jobs that ended at or after a time (seconds since 1970), in the order of their ends.

    Attributes
    ----------
    looked_at_all : bool
        Whether the last `poll` was one of the rare looks at all ended jobs: the moment to ask for what is
        never told as news, such as jobs that were deleted.
    """

    def __init__(self, list_ended_since: Callable[[float], Iterable[JobAnswer]]) -> None:
        self._list_ended_since = list_ended_since
        self._ended_at: dict[int, float] = {}
        self._newest = 0.0
        self._sweep_pause_s = _SWEEP_AFTER_S
        self._sweep_at = time.monotonic() + _SWEEP_AFTER_S
        self.looked_at_all = False

    def poll(self) -> list[JobAnswer]:
        """Ask once; return the jobs that ended, or ended again after a retry, since the last call."""
        now = time.monotonic()
        sweeping = now >= self._sweep_at
        since = 0.0 if sweeping else max(0.0, self._newest - OVERLAP_S)
        news = [job for job in self._list_ended_since(since) if self._is_new(job)]
        if news:
            self._sweep_pause_s = _SWEEP_AFTER_S
        elif sweeping:
            self._sweep_pause_s = min(2 * self._sweep_pause_s, _SWEEP_AT_MOST_EVERY_S)
        if news or sweeping:
            self._sweep_at = now + self._sweep_pause_s
        self.looked_at_all = sweeping
        return news

    def _is_new(self, job: JobAnswer) -> bool:
        if job.ended_at is None or self._ended_at.get(job.job_id) == job.ended_at:
            return False
        self._ended_at[job.job_id] = job.ended_at
        self._newest = max(self._newest, job.ended_at)
        return True
