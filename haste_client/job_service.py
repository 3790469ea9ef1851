"""What a submission asks of a server."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from haste_client.answers import BulkAnswer, JobAnswer, KnownSource, PriorityAnswer
from haste_client.holdups import InquiryService


class JobService(InquiryService, Protocol):
    """A server to submit to; `HasteClient` is one."""

    def sources(self, stream_id: str) -> Iterable[KnownSource]:
        """Go through the objects that were submitted to a stream."""

    def submit_jobs(self, specs: Sequence[Mapping[str, Any]]) -> list[BulkAnswer]:
        """Submit many job specs; each is accepted or refused on its own."""

    def jobs(
        self, *, stream_id: str, state: int | None = None, ended_since: float | None = None
    ) -> Iterable[JobAnswer]:
        """Go through the jobs of a stream: all, those with a code, or those that ended, by their ends."""

    def set_priorities(self, priorities: Mapping[int, float]) -> PriorityAnswer:
        """Change the priorities of jobs."""
