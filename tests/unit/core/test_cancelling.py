"""What cancelling a job means for its tasks, and how it goes on after that."""

from dataclasses import replace
from typing import Any

import pytest

from haste_core import lifecycle
from haste_core.errors import ConflictError
from haste_core.jobs import JobRecord
from haste_core.jobspec import parse_job_spec
from haste_core.lifecycle import Rules
from haste_core.messages import Outcome, TaskResult
from haste_core.states import Phase, TaskState

NOW = 1000.0
RULES = Rules()
PREPARED = {"taskSequential": [{"Task": {"task_key": "pre", "optional": True}}, "a", "b"]}


def registered(tree: Any) -> JobRecord:
    spec = parse_job_spec({"source_url": "root://n/x", "source_id": "x", "tasks": tree})
    job = lifecycle.register(spec, now=NOW, rules=RULES)
    return replace(job, job_id=1, tasks=tuple(replace(task, task_id=task.position + 1) for task in job.tasks))


def handed_out(job: JobRecord, position: int) -> JobRecord:
    job_or_none = lifecycle.hand_out(job, position, lease_until=NOW + 30, now=NOW, rules=RULES)
    assert job_or_none is not None
    return job_or_none


def ended(job: JobRecord, position: int, state: TaskState = TaskState.DONE) -> JobRecord | None:
    task = job.tasks[position]
    result = TaskResult(
        task_id=task.task_id, attempt=task.attempt, worker_id="w", outcome=Outcome.ENDED, state=state
    )
    return lifecycle.apply_result(job, position, result, now=NOW, jitter=0, rules=RULES)


def states(job: JobRecord) -> list[int]:
    return [int(task.state) for task in job.tasks]


def test_all_that_is_open_ends_and_what_still_comes_of_it_changes_nothing() -> None:
    running = handed_out(registered(PREPARED), 0)

    job = lifecycle.cancel(running, now=NOW + 1, rules=RULES)

    assert (job.state, job.ended_at) == (TaskState.CANCELLED, NOW + 1)
    assert states(job) == [410, 410, 410]
    assert [task.message for task in job.tasks] == ["cancelled while it ran", "cancelled", "cancelled"]
    assert ended(job, 0) is None


def test_what_is_done_stays_done_and_a_retry_does_the_rest_optional_tasks_included() -> None:
    job = lifecycle.cancel(handed_out(registered(PREPARED), 0), now=NOW, rules=RULES)
    job = lifecycle.retry(job, now=NOW, rules=RULES)
    assert (states(job), job.state, job.ended_at) == ([201, 201, 201], TaskState.REGISTERED, None)

    job = ended(handed_out(job, 1), 1) or job
    assert states(job) == [204, 200, 201]
    job = lifecycle.retry(lifecycle.cancel(job, now=NOW, rules=RULES), now=NOW, rules=RULES)
    assert states(job) == [204, 200, 201]
    assert job.tasks[2].phase is Phase.READY


def test_the_late_result_of_a_cancelled_attempt_does_not_end_the_next_one() -> None:
    running = handed_out(registered("a"), 0)
    job = lifecycle.retry(lifecycle.cancel(running, now=NOW, rules=RULES), now=NOW, rules=RULES)
    late = TaskResult(task_id=1, attempt=1, worker_id="w", outcome=Outcome.ENDED, state=TaskState.DONE)

    job = handed_out(job, 0)

    assert job.tasks[0].attempt == 2
    assert lifecycle.apply_result(job, 0, late, now=NOW, jitter=0, rules=RULES) is None


def test_cancelling_again_changes_nothing_and_what_has_ended_is_not_cancelled() -> None:
    job = lifecycle.cancel(registered("a"), now=NOW, rules=RULES)
    assert lifecycle.cancel(job, now=NOW + 5, rules=RULES) is job
    for state in (TaskState.DONE, TaskState.BAD_INPUT):
        over = ended(handed_out(registered("a"), 0), 0, state)
        assert over is not None
        with pytest.raises(ConflictError, match=f"has ended .state {state.value}."):
            lifecycle.cancel(over, now=NOW, rules=RULES)


def test_a_job_that_had_failed_in_part_can_be_cancelled_again() -> None:
    half_failed = ended(handed_out(registered({"taskParallel": ["a", "b"]}), 0), 0, TaskState.ERROR)
    assert half_failed is not None
    job = lifecycle.cancel(half_failed, now=NOW, rules=RULES)

    assert (job.state, states(job)) == (TaskState.ERROR, [500, 410])
    assert lifecycle.cancel(job, now=NOW + 5, rules=RULES) is job


def test_a_job_that_waits_for_a_reset_task_can_be_cancelled() -> None:
    job = lifecycle.reset_task(registered("a"), 0, now=NOW, rules=RULES)
    assert lifecycle.cancel(job, now=NOW, rules=RULES).state is TaskState.CANCELLED
