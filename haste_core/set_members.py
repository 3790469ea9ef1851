"""How far a job is, as its image set sees it."""

from __future__ import annotations

from haste_core.image_sets import Member, MemberState
from haste_core.jobs import JobRecord, TaskRecord
from haste_core.states import Phase
from haste_core.task_changes import DECIDED_KEY


def tier_task(job: JobRecord) -> TaskRecord | None:
    """Return the task that puts a job's object to its tier; None if it has none."""
    return next((task for task in job.tasks[::-1] if task.task_key == DECIDED_KEY), None)


def member_of(job: JobRecord, tier: TaskRecord) -> Member:
    """Tell how far an image is; `tier` is its `tier_task`."""
    state = _state(job, tier)
    since = None
    if state in (MemberState.WAITING, MemberState.DECIDED):
        ends = (task.ended_at for task in job.tasks[: tier.position] if task.ended_at is not None)
        since = max(ends, default=job.created_at)
    return Member(job.spec.source_id, job.spec.metadata, state, since)


def _state(job: JobRecord, tier: TaskRecord) -> MemberState:
    if tier.phase is Phase.UNDECIDED:
        return MemberState.WAITING
    if tier.decision_id is not None:
        return MemberState.DECIDED
    if tier.phase is Phase.ENDED or job.ended_at is not None:
        return MemberState.LEFT_OUT
    return MemberState.COMING
