"""Originals that a server keeps itself, as they were uploaded: when their copies in tiers stand for them."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Protocol

from haste_core.jobs import JobRecord, TaskRecord
from haste_core.states import TaskState

_NAMED_BY_CONTENT = re.compile(r"/([0-9a-f]{64})(\.[a-z0-9]{1,10})?\Z")


class OriginalStore(Protocol):
    """What is recorded of originals."""

    def leave_originals(self, urls: Collection[str]) -> set[str]:
        """Have the jobs of originals use the copies in tiers from now on; return which originals may go.

        They are those whose jobs are all done, each with a copy in a tier, in streams whose policies say
        ``move: true``. A task that runs again reads the copy then. An original that no job knows stays.

        Parameters
        ----------
        urls : collection of str
            Each ends with the SHA-256 of its content, and a suffix or none.
        """


def copying_task(job: JobRecord) -> TaskRecord | None:
    """Find the task of a job that has put its original, byte for byte, to the tier where its object now is.

    None while anything may still be done, and if the object is a derivative, or was deleted.
    """
    named = _NAMED_BY_CONTENT.search(job.spec.source_url)
    if named is None or job.state is not TaskState.DONE or job.place is None:
        return None
    last = next((task for task in reversed(job.tasks) if task.place is not None), None)
    if last is None or last.place is None or last.decision_id is None:
        return None
    return last if last.place.sha256 == named[1] and last.place.url != job.spec.source_url else None


def with_original_gone(job: JobRecord, task: TaskRecord) -> JobRecord:
    """Have the tasks of a job that run again read the copy that one of them made."""
    assert task.place is not None
    moved = task.but(place=task.place.model_copy(update={"moved": True}))
    return job.but(tasks=tuple(moved if its is task else its for its in job.tasks))
