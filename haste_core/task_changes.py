"""What may happen to one task of a job, each as a function from the task before to the task after.

`haste_core.lifecycle` calls them, and brings in line what follows for the job's other tasks.
"""

from __future__ import annotations

from typing import Literal

from haste_core.errors import ConflictError
from haste_core.jobs import JobRecord, TaskRecord
from haste_core.messages import Outcome, Place, TaskResult
from haste_core.scheduling import GiveUp, Retry, RetryPolicy
from haste_core.states import Event, Phase, TaskState, allows

MAX_MESSAGE = 2000  # characters of a task's message that are kept
DECIDED_KEY = "tier"  # the task key whose tasks carry out a decision


def leased(task: TaskRecord, *, until: float) -> TaskRecord:
    """Give a ready task its next attempt."""
    return _moved(task, Event.HAND_OUT, TaskState.RUNNING, Phase.HANDED_OUT).but(
        attempt=task.attempt + 1,
        due_at=until,
        worker_id=None,
        started_at=None,
        ended_at=None,
        message="",
    )


def after_success(job: JobRecord, task: TaskRecord, result: TaskResult, *, now: float) -> TaskRecord:
    """End a task, or let it run again to remove what it has left behind."""
    moved, moved_at = _moved_original(job, task, result, now=now)
    place = result.place or task.place
    if place is not None and (place.moved, place.moved_at) != (moved, moved_at):
        place = place.model_copy(update={"moved": moved, "moved_at": moved_at})
    if place is not None and task.is_to_delete and result.response.get("deleted") == place.url:
        place = place.model_copy(update={"deleted_at": now})
    leaving, former = _left_behind(task.former, place, result.leaving)
    if leaving is None:
        task = end(task.but(leaving=None), Event.END, TaskState.DONE, result.message, result.ended_at or now)
    else:
        task = again(task, result.message, delay_s=0, now=now).but(failures=0, losses=0)
    return task.but(response=result.response, place=place, leaving=leaving, former=former)


def _left_behind(
    former: Place | None, place: Place | None, leaving: Place | None
) -> tuple[Place | None, Place | None]:
    """Tell what is to be removed next, and what after it: other content than that of the new copy is not."""
    if former is None or place is None:
        return leaving, former
    if former.sha256 is None or former.sha256 != place.sha256 or former.url == place.url:
        return leaving, None
    return (former, None) if leaving is None else (leaving, former)


def _moved_original(
    job: JobRecord, task: TaskRecord, result: TaskResult, *, now: float
) -> tuple[Literal[True] | None, float | None]:
    """Tell whether the original is gone after an attempt that did all it had to do, and since when."""
    if task.place is not None and task.place.moved:
        return True, task.place.moved_at
    is_moved = task.leaving is not None and result.response.get("removed") == job.spec.source_url
    return (True, result.ended_at or now) if is_moved else (None, None)


def after_failure(
    task: TaskRecord, result: TaskResult, *, now: float, jitter: float, policy: RetryPolicy
) -> TaskRecord:
    """Try again after a pause what failed in passing or crashed, or give it up."""
    failures = task.failures + 1
    match policy.after_failure(failures, jitter=jitter):
        case Retry(delay_s):
            message = f"{result.message} (attempt {task.attempt}; tried again in {delay_s:.0f} s)"
            return again(task, message, delay_s=delay_s, now=now).but(failures=failures)
        case GiveUp(reason):
            state = TaskState.ERROR if result.outcome is Outcome.CRASHED else TaskState.REMOTE_TROUBLE
            ended = end(task, Event.END, state, f"{result.message} ({reason})", now)
            return ended.but(failures=failures)


def after_loss(task: TaskRecord, *, now: float, policy: RetryPolicy) -> TaskRecord:
    """Try again what a worker had begun that vanished, or give it up."""
    losses = task.losses + 1
    match policy.after_loss(losses):
        case Retry(delay_s):
            message = f"its worker vanished in attempt {task.attempt}; handed out again"
            return again(task, message, delay_s=delay_s, now=now).but(losses=losses)
        case GiveUp(reason):
            return end(task, Event.END, TaskState.ERROR, reason, now).but(losses=losses)


def postponed(
    task: TaskRecord, trouble: str, *, now: float, jitter: float, policy: RetryPolicy
) -> TaskRecord:
    """Let a task wait whose decision cannot be made for now, or give it up."""
    failures = task.failures + 1
    match policy.after_failure(failures, jitter=jitter):
        case Retry(delay_s):
            message = f"{trouble} (attempt {failures} to get a score; tried again in {delay_s:.0f} s)"
            return task.but(failures=failures, due_at=now + delay_s, message=message[:MAX_MESSAGE])
        case GiveUp(reason):
            message = f"{trouble} (getting a score {reason}; retry the job when that is mended)"
            return end(task, Event.REFUSE, TaskState.REMOTE_TROUBLE, message, now)


def again(task: TaskRecord, message: str, *, delay_s: float, now: float) -> TaskRecord:
    """Take a task back from its worker; it is ready again at once, or after a pause."""
    phase = Phase.DELAYED if delay_s > 0 else Phase.READY
    back = _moved(task, Event.HAND_BACK, TaskState.REGISTERED, phase)
    due_at = now + delay_s if delay_s > 0 else None
    return back.but(due_at=due_at, message=message[:MAX_MESSAGE])


def fresh(task: TaskRecord, event: Event, state: TaskState, phase: Phase) -> TaskRecord:
    """Forget what a task's attempts brought, but not their number: a late result must stay recognisable.

    Where the object is, and what is still to be removed, is known from nowhere else. A copy of what is still
    where it was is remembered until there is another one.
    """
    task = _moved(task, event, state, phase).but(
        failures=0,
        losses=0,
        due_at=None,
        worker_id=None,
        started_at=None,
        ended_at=None,
        message="",
    )
    if task.leaving is not None and event in (Event.RETRY, Event.RESET):
        return task
    is_known_elsewhere = task.leaving is None and (task.place is None or not task.place.moved)
    if task.task_key != DECIDED_KEY or (event is Event.INVALIDATE and is_known_elsewhere):
        task = task.but(place=None, leaving=None, former=_copy_of(task) or task.former)
    # What a person or a tier's limits decided is not to be decided by the policy because it failed at first.
    return task.but(response=None, decision_id=task.decision_id if event is Event.RETRY else None)


def _copy_of(task: TaskRecord) -> Place | None:
    """Return the copy that a `tier` task has put, but for its sidecars: others may share these."""
    if task.task_key != DECIDED_KEY or task.place is None:
        return None
    return task.place.model_copy(update={"sidecars": None})


def end(task: TaskRecord, event: Event, state: TaskState, message: str, now: float) -> TaskRecord:
    """End a task; one that fails between its halves says where the object is."""
    ended = _moved(task, event, state, Phase.ENDED)
    safe = _is_safe(task) if state.failed else ""
    return ended.but(due_at=None, ended_at=now, message=message[: MAX_MESSAGE - len(safe)] + safe)


def _is_safe(task: TaskRecord) -> str:
    """Say where the object is if it is only left to remove it from where it was."""
    if task.leaving is None or task.place is None:
        return ""
    if task.is_to_delete:
        return "; it was to be deleted from the trash, which a retry does"
    return (
        f"; the object is safe: it was copied to {task.place.url} and verified. Only {task.leaving.url} is "
        "still to be removed, which a retry does"
    )


def _moved(task: TaskRecord, event: Event, state: TaskState, phase: Phase) -> TaskRecord:
    if not allows(event, task.state, state):
        raise ConflictError(
            f"task {task.task_id} is in state {task.state.value}: "
            f"{event.value} to {state.value} is not possible"
        )
    return task.but(state=state, phase=phase)
