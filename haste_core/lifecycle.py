"""What may happen to a job, each as a function from the job before to the job after.

The store loads a job, applies one of these, and writes what differs; nothing else changes a state.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from haste_core.errors import ConflictError
from haste_core.jobs import JobRecord, TaskRecord, was_deleted
from haste_core.jobspec import JobSpec
from haste_core.messages import Outcome, TaskResult
from haste_core.readiness import Startable
from haste_core.scheduling import RetryPolicy, order_key
from haste_core.states import Event, Phase, TaskState, allows
from haste_core.task_changes import (
    DECIDED_KEY,
    after_failure,
    after_loss,
    after_success,
    again,
    end,
    fresh,
    leased,
    postponed,
)
from haste_core.tasktree import leaves

HAND_BACK_PAUSE_S = 0.5  # keeps a task that no worker can take from circling
RESET = "Reset: it waits until it or its job is retried"
MOVES_AFTER_S = 3600.0  # a policy moves thousands at once, and new images must not wait for them

ASKING = RetryPolicy(max_attempts=130, base_delay_s=1.0, max_delay_s=900.0)  # about a day

_WAITING = frozenset({Phase.READY, Phase.UNDECIDED, Phase.DELAYED})


@dataclass(frozen=True)
class Rules:
    """What the server's configuration says about the life of tasks.

    Attributes
    ----------
    asking : RetryPolicy
        How often, and with which pauses, a score is asked for that a service cannot give for now.
    hearsay_grace_s : float
        How long the holder of an attempt has to say that it lives after another worker told it lost.
    """

    retry: RetryPolicy = field(default_factory=RetryPolicy)
    asking: RetryPolicy = ASKING
    ageing_per_s: float = 0.001
    hearsay_grace_s: float = 10.0


def register(spec: JobSpec, *, now: float, rules: Rules) -> JobRecord:
    """Make a new job of a spec; its first tasks are ready."""
    tasks = tuple(
        TaskRecord(position=position, task_key=task.task_key, site=spec.site, priority=task.priority)
        for position, task in enumerate(leaves(spec.tasks))
    )
    return settle(JobRecord(spec, tasks, created_at=now, priority=spec.priority), now=now, rules=rules)


def settle(job: JobRecord, *, now: float, rules: Rules) -> JobRecord:
    """Bring everything in line that follows from the states of a job's tasks."""
    readiness = job.plan.readiness([task.state for task in job.tasks], job.responses)

    def settled(task: TaskRecord) -> TaskRecord:
        if task.position in readiness.skipped:
            return end(task, Event.SKIP, TaskState.SKIPPED, readiness.skipped[task.position], now)
        if task.position in readiness.refused:
            return end(task, Event.REFUSE, TaskState.ERROR, readiness.refused[task.position], now)
        startable = readiness.startable.get(task.position)
        if startable is not None and task.phase is Phase.BLOCKED:
            return _make_ready(job, task, startable, now=now, rules=rules)
        if startable is None and task.phase in _WAITING:
            return task.but(phase=Phase.BLOCKED, due_at=None)
        return task

    state = readiness.job_state
    state = TaskState.REGISTERED if state is TaskState.RUNNING else state
    ended_at = (job.ended_at or now) if state.ended else None
    return job.but(tasks=tuple(map(settled, job.tasks)), state=state, ended_at=ended_at)


def hand_out(
    job: JobRecord, position: int, *, lease_until: float, now: float, rules: Rules
) -> JobRecord | None:
    """Lease a ready task; None if it is not startable any more.

    Optional tasks that it overtakes end as skipped; what would have overtaken it is held back.
    """
    readiness = job.plan.readiness([task.state for task in job.tasks], job.responses)
    startable = readiness.startable.get(position)
    if startable is None or job.tasks[position].phase is not Phase.READY:
        return None
    overtaken = f"overtaken by {job.tasks[position].task_key!r}"

    def claimed(task: TaskRecord) -> TaskRecord:
        if task.position == position:
            return leased(task, until=lease_until)
        if task.position in startable.overtakes:
            return end(task, Event.SKIP, TaskState.SKIPPED, overtaken, now)
        return task

    return settle(job.but(tasks=tuple(map(claimed, job.tasks))), now=now, rules=rules)


def apply_result(
    job: JobRecord, position: int, result: TaskResult, *, now: float, jitter: float, rules: Rules
) -> JobRecord | None:
    """Record what became of an attempt; None if it is stale and changes nothing.

    A loss that another worker tells than the attempt's holder ends nothing: a broker delivers a task again
    when its holder's connection breaks, and the holder may live. It only shortens the lease.
    """
    task = job.tasks[position]
    if task.phase is not Phase.HANDED_OUT or task.attempt != result.attempt:
        return None
    if result.outcome is Outcome.LOST and result.worker_id not in ("", task.worker_id):
        return _with_shorter_lease(job, task, until=now + rules.hearsay_grace_s)
    task = task.but(
        worker_id=result.worker_id or task.worker_id,
        started_at=result.started_at or task.started_at,
    )
    match result.outcome:
        case Outcome.ENDED if result.state is TaskState.DONE:
            task = after_success(job, task, result, now=now)
        case Outcome.ENDED if result.state is not TaskState.REMOTE_TROUBLE:
            task = end(task, Event.END, result.state, result.message, result.ended_at or now)
        case Outcome.ENDED | Outcome.CRASHED:
            task = after_failure(task, result, now=now, jitter=jitter, policy=rules.retry)
        case Outcome.LOST if task.started_at is not None:
            task = after_loss(task, now=now, policy=rules.retry)
        case _:
            task = again(task, result.message, delay_s=HAND_BACK_PAUSE_S, now=now)
    return settle(_with_task(job, task), now=now, rules=rules)


def decided(
    job: JobRecord, position: int, decision_id: int, score: float | None, *, now: float, rules: Rules
) -> JobRecord:
    """Make an undecided task ready whose decision has been made."""
    task = job.tasks[position]
    if score is not None and job.plan.tasks[position].priority_from is not None:
        task = task.but(priority=score)
    task = task.but(decision_id=decision_id, phase=Phase.BLOCKED, failures=0, due_at=None, message="")
    return settle(_with_task(job, task), now=now, rules=rules)


def move_again(
    job: JobRecord, position: int, decision_id: int, *, first: bool, now: float, rules: Rules
) -> JobRecord:
    """Have a `tier` task carry out a later decision; it starts from where it left the object.

    A task that has not begun carries out the later one only, and so does a cancelled one if it is retried.
    One that waits for a decision, or for what is to be decided about anew, gets its own. None may be handed
    out.

    Parameters
    ----------
    first : bool
        It stands where a task does that is ready now; else behind what becomes ready within an hour.
    """
    task = job.tasks[position]
    if task.decision_id is None and task.phase is not Phase.ENDED:
        return job
    if task.is_to_delete:  # a deletion that failed, and was given up for this decision
        task = task.but(leaving=None)
    stands_at = now if first else now + MOVES_AFTER_S
    if task.phase is Phase.SET_ASIDE:
        anew = task.but(decision_id=decision_id, phase=Phase.BLOCKED, message="")
    elif task.phase is not Phase.ENDED or task.state is TaskState.CANCELLED:
        stands = _order_key(job, task, ready_at=stands_at, rules=rules)
        return _with_task(job, task.but(decision_id=decision_id, order_key=min(task.order_key, stands)))
    else:
        anew = fresh(task, Event.FORCE_RETRY, TaskState.REGISTERED, Phase.BLOCKED)
        anew = anew.but(decision_id=decision_id)
    job = settle(_with_task(job.but(ended_at=None), anew), now=now, rules=rules)
    anew = job.tasks[position]
    return _with_task(job, anew.but(order_key=_order_key(job, anew, ready_at=stands_at, rules=rules)))


def refuse(job: JobRecord, position: int, reason: str, *, now: float, rules: Rules) -> JobRecord:
    """End an undecided task whose decision cannot be made."""
    ended = end(job.tasks[position], Event.REFUSE, TaskState.ERROR, reason, now)
    return settle(_with_task(job, ended), now=now, rules=rules)


def postpone(
    job: JobRecord, position: int, trouble: str, *, now: float, jitter: float, rules: Rules
) -> JobRecord:
    """Let an undecided task wait whose decision cannot be made for now; end it when that has lasted."""
    waiting = postponed(job.tasks[position], trouble, now=now, jitter=jitter, policy=rules.asking)
    return settle(_with_task(job, waiting), now=now, rules=rules)


def retry(job: JobRecord, *, now: float, rules: Rules) -> JobRecord:
    """Run the failed and the reset tasks of a job again; done ones stay done.

    Optional tasks that failed by themselves stay as they are, since the job has gone on without them.

    Raises
    ------
    ConflictError
        If there is nothing to retry.
    """
    again = {
        task.position
        for task, asked in zip(job.tasks, job.plan.tasks, strict=True)
        if task.state in (TaskState.RESET, TaskState.CANCELLED) or (task.state.failed and not asked.optional)
    }
    if not again:
        raise ConflictError(f"job {job.job_id} has no failed task to retry (state {job.state.value})")
    return _asked_again(job, again, Event.RETRY, now=now, rules=rules)


def retry_task(job: JobRecord, position: int, *, now: float, rules: Rules) -> JobRecord:
    """Run a failed or reset task again.

    Raises
    ------
    ConflictError
        If it runs, waits, or is done.
    """
    task = job.tasks[position]
    if not allows(Event.RETRY, task.state):
        raise ConflictError(
            f"task {task.task_id} is in state {task.state.shown.value}, so there is nothing to retry; "
            "forceretry runs it all the same"
        )
    return _asked_again(job, {position}, Event.RETRY, now=now, rules=rules)


def force_retry_task(job: JobRecord, position: int, *, now: float, rules: Rules) -> JobRecord:
    """Run a task again whatever its state; its answer is forgotten, and what depends on it runs again too.

    Raises
    ------
    ConflictError
        If the object was deleted.
    """
    refuse_deleted(job)
    job = _invalidate_followers(job, position)
    return _asked_again(job, {position}, Event.FORCE_RETRY, now=now, rules=rules)


def reset_task(job: JobRecord, position: int, *, now: float, rules: Rules) -> JobRecord:
    """Take a task back to registered without running it, until it or its job is retried.

    Its answer is forgotten; what depends on it waits.

    Raises
    ------
    ConflictError
        If a worker has it, or the object was deleted.
    """
    refuse_deleted(job)
    task = job.tasks[position]
    if not allows(Event.RESET, task.state):
        raise ConflictError(
            f"task {task.task_id} is being run by a worker; wait for its end, "
            "or use forceretry to start it afresh"
        )
    held = fresh(task, Event.RESET, TaskState.RESET, Phase.HELD).but(message=RESET)
    return settle(_with_task(_invalidate_followers(job, position), held), now=now, rules=rules)


def cancel(job: JobRecord, *, now: float, rules: Rules) -> JobRecord:
    """End all tasks of a job that have not ended, those that run included; a cancelled job stays as it is.

    Raises
    ------
    ConflictError
        If the job has ended otherwise.
    """
    if job.state.ended and any(task.state is TaskState.CANCELLED for task in job.tasks):
        return job  # its own state may be that of a task which had failed before
    if job.state.ended:
        raise ConflictError(
            f"job {job.job_id} has ended (state {job.state.value}), so there is nothing to cancel"
        )

    def cancelled(task: TaskRecord) -> TaskRecord:
        if task.state.ended:
            return task
        message = "cancelled while it ran" if task.state is TaskState.RUNNING else "cancelled"
        return end(task, Event.CANCEL, TaskState.CANCELLED, message, now)

    return settle(job.but(tasks=tuple(map(cancelled, job.tasks))), now=now, rules=rules)


def needs_decision(job: JobRecord, position: int) -> bool:
    """Tell whether a task waits for a score before it can be ready."""
    task = job.plan.tasks[position]
    return task.task_key == DECIDED_KEY or task.priority_from is not None


def holds_tier(job: JobRecord, task_id: int) -> bool:
    """Tell whether the decision for a task is the one that puts the job's object to its tier."""
    by_key = {task.task_key: task.task_id for task in job.tasks}
    return by_key.get(DECIDED_KEY, task_id) == task_id


def _make_ready(
    job: JobRecord, task: TaskRecord, startable: Startable, *, now: float, rules: Rules
) -> TaskRecord:
    if needs_decision(job, task.position) and task.decision_id is None:
        return task.but(phase=Phase.UNDECIDED)
    return task.but(
        phase=Phase.READY,
        site=job.site_for(task.position),
        contended=bool(startable.overtakes) or job.plan.tasks[task.position].optional,
        ready_at=now,
        order_key=_order_key(job, task, ready_at=now, rules=rules),
    )


def refuse_deleted(job: JobRecord) -> None:
    """Raise ConflictError if a job's object was deleted, or is being deleted."""
    if job.deleted_at is not None:
        raise ConflictError(was_deleted(job.job_id))
    if any(task.is_deleting for task in job.tasks):
        raise ConflictError(f"the object of job {job.job_id} is being deleted at this moment")


def _order_key(job: JobRecord, task: TaskRecord, *, ready_at: float, rules: Rules) -> float:
    priority = job.priority if task.priority is None else task.priority
    return order_key(priority=priority, ready_at=ready_at, ageing_per_s=rules.ageing_per_s)


def _with_shorter_lease(job: JobRecord, task: TaskRecord, *, until: float) -> JobRecord | None:
    if task.due_at is not None and task.due_at <= until:
        return None
    return _with_task(job, task.but(due_at=until))


def _asked_again(
    job: JobRecord, positions: Iterable[int], event: Event, *, now: float, rules: Rules
) -> JobRecord:
    for position in positions:
        task = fresh(job.tasks[position], event, TaskState.REGISTERED, Phase.BLOCKED)
        job = _with_task(job, task)
    return settle(job.but(ended_at=None), now=now, rules=rules)


def _invalidate_followers(job: JobRecord, position: int) -> JobRecord:
    for follower in job.plan.followers(position):
        if job.tasks[follower].phase is not Phase.BLOCKED:
            task = fresh(job.tasks[follower], Event.INVALIDATE, TaskState.REGISTERED, Phase.BLOCKED)
            job = _with_task(job, task)
    return job


def _with_task(job: JobRecord, task: TaskRecord) -> JobRecord:
    tasks = list(job.tasks)
    tasks[task.position] = task
    return job.but(tasks=tuple(tasks))
