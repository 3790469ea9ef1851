"""Laws of a job's life, whatever happens to it in whatever order."""

import math
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from haste_core import lifecycle
from haste_core.errors import ConflictError
from haste_core.jobs import JobRecord, TaskRecord
from haste_core.jobspec import parse_job_spec
from haste_core.lifecycle import Rules
from haste_core.messages import Outcome, TaskResult
from haste_core.scheduling import GiveUp, Retry, RetryPolicy, count_together, order_key, window_size
from haste_core.states import Event, Phase, TaskState, allows

RULES = Rules(RetryPolicy(max_attempts=3, max_lost=3))
OPTIONAL = {"Task": {"task_key": "pre", "optional": True}}
CONDITIONAL = {"Task": {"task_key": "maybe", "when": "a.n > 1"}}
TREES: list[Any] = [
    "a",
    {"taskSequential": ["a", "b", "c"]},
    {"taskSequential": [OPTIONAL, "a", CONDITIONAL, {"taskParallel": ["b", "c"]}, "d"]},
    {"taskParallel": [{"taskSequential": [OPTIONAL, OPTIONAL, "a", "b"]}, "c"]},
]


def lost(task: TaskRecord, *, worker_id: str) -> TaskResult:
    return TaskResult(task_id=task.task_id, attempt=task.attempt, worker_id=worker_id, outcome=Outcome.LOST)


class JobLife(RuleBasedStateMachine):
    """Hand-outs, results of all kinds, late results and users' actions, in any order."""

    job: JobRecord
    now = 1000.0

    @initialize(tree=st.sampled_from(TREES))
    def submit(self, tree: Any) -> None:
        spec = parse_job_spec({"source_url": "root://n/x", "source_id": "x", "tasks": tree})
        job = lifecycle.register(spec, now=self.now, rules=RULES)
        tasks = tuple(replace(task, task_id=task.position + 1) for task in job.tasks)
        self.job = replace(job, job_id=1, tasks=tasks)
        self.recorded: set[tuple[int, int]] = set()

    def _positions(self, *phases: Phase) -> list[int]:
        return [task.position for task in self.job.tasks if task.phase in phases]

    @precondition(lambda self: self._positions(Phase.READY))
    @rule(data=st.data())
    def hand_out(self, data: st.DataObject) -> None:
        position = data.draw(st.sampled_from(self._positions(Phase.READY)))
        job = lifecycle.hand_out(self.job, position, lease_until=self.now + 30, now=self.now, rules=RULES)
        assert job is not None, "what is ready can be handed out"
        assert job.tasks[position].attempt == self.job.tasks[position].attempt + 1
        self.job = job

    @precondition(lambda self: self._positions(Phase.HANDED_OUT))
    @rule(
        data=st.data(),
        outcome=st.sampled_from(Outcome),
        state=st.sampled_from([TaskState.DONE, TaskState.BAD_INPUT, TaskState.REMOTE_TROUBLE]),
        started=st.booleans(),
    )
    def result(self, data: st.DataObject, outcome: Outcome, state: TaskState, started: bool) -> None:
        position = data.draw(st.sampled_from(self._positions(Phase.HANDED_OUT)))
        task = self.job.tasks[position]
        nobody = outcome is Outcome.LOST and task.worker_id is None
        result = TaskResult(
            task_id=task.task_id,
            attempt=task.attempt,
            worker_id="" if nobody else "w",
            outcome=outcome,
            state=state,
            response={"n": 2},
            started_at=self.now if started else None,
        )
        job = lifecycle.apply_result(self.job, position, result, now=self.now, jitter=0.5, rules=RULES)
        assert job is not None
        assert (position, task.attempt) not in self.recorded, "an attempt is recorded once"
        self.recorded.add((position, task.attempt))
        self.job = job
        again = lifecycle.apply_result(job, position, result, now=self.now, jitter=0.5, rules=RULES)
        assert again is None, "a second copy changes nothing"

    @precondition(lambda self: self._positions(Phase.HANDED_OUT))
    @rule(data=st.data(), lease_s=st.floats(1, 60))
    def heartbeat(self, data: st.DataObject, lease_s: float) -> None:
        position = data.draw(st.sampled_from(self._positions(Phase.HANDED_OUT)))
        self._change(position, worker_id="w", started_at=self.now, due_at=self.now + lease_s)

    @precondition(lambda self: self._positions(Phase.HANDED_OUT))
    @rule(data=st.data())
    def loss_told_by_another(self, data: st.DataObject) -> None:
        position = data.draw(st.sampled_from(self._positions(Phase.HANDED_OUT)))
        before = self.job.tasks[position]
        assert before.due_at is not None
        told = lost(before, worker_id="other")
        job = lifecycle.apply_result(self.job, position, told, now=self.now, jitter=0.5, rules=RULES)
        soon = self.now + RULES.hearsay_grace_s
        assert (job is None) == (before.due_at <= soon)
        self.job = job or self.job
        assert self.job.tasks[position] == replace(before, due_at=min(before.due_at, soon))

    def _change(self, position: int, **changes: Any) -> None:
        tasks = list(self.job.tasks)
        tasks[position] = replace(tasks[position], **changes)
        self.job = replace(self.job, tasks=tuple(tasks))

    @precondition(lambda self: any(task.attempt for task in self.job.tasks))
    @rule(data=st.data())
    def late_result(self, data: st.DataObject) -> None:
        task = data.draw(st.sampled_from([task for task in self.job.tasks if task.attempt]))
        late = TaskResult(
            task_id=task.task_id,
            attempt=task.attempt - 1,
            worker_id="w",
            outcome=Outcome.ENDED,
            state=TaskState.DONE,
        )
        assert lifecycle.apply_result(self.job, task.position, late, now=0, jitter=0, rules=RULES) is None

    @precondition(lambda self: self._positions(Phase.DELAYED))
    @rule()
    def pause_ends(self) -> None:
        self.now += 1000
        tasks = tuple(
            replace(task, phase=Phase.READY, due_at=None) if task.phase is Phase.DELAYED else task
            for task in self.job.tasks
        )
        self.job = replace(self.job, tasks=tasks)

    @rule(
        data=st.data(),
        action=st.sampled_from([lifecycle.retry_task, lifecycle.force_retry_task, lifecycle.reset_task]),
    )
    def action(self, data: st.DataObject, action: Any) -> None:
        position = data.draw(st.sampled_from(range(len(self.job.tasks))))
        try:
            self.job = action(self.job, position, now=self.now, rules=RULES)
        except ConflictError:
            return
        assert self.job.tasks[position].response is None

    @rule()
    def cancel(self) -> None:
        before = self.job
        try:
            self.job = lifecycle.cancel(self.job, now=self.now, rules=RULES)
        except ConflictError:
            assert before.state.ended
            return
        assert self.job.state.failed
        if before.state is TaskState.CANCELLED:
            assert self.job is before
            return
        for old, new in zip(before.tasks, self.job.tasks, strict=True):
            assert new.attempt == old.attempt
            assert new.state is (old.state if old.state.ended else TaskState.CANCELLED)

    @rule()
    def retry(self) -> None:
        try:
            self.job = lifecycle.retry(self.job, now=self.now, rules=RULES)
        except ConflictError:
            return
        assert not self.job.state.ended or self.job.state is TaskState.DONE

    @invariant()
    def the_job_can_go_on_or_has_ended(self) -> None:
        if not hasattr(self, "job"):
            return
        moving = self._positions(Phase.READY, Phase.DELAYED, Phase.HANDED_OUT, Phase.UNDECIDED)
        if self.job.state.ended:
            assert self.job.ended_at is not None
            assert not self._positions(Phase.READY, Phase.DELAYED, Phase.UNDECIDED)
        else:
            assert self.job.ended_at is None
            assert moving or self._positions(Phase.HELD), "a job that is open is never stuck"

    @invariant()
    def phases_and_states_agree(self) -> None:
        for task in getattr(self, "job", None).tasks if hasattr(self, "job") else ():
            expected = {
                Phase.HANDED_OUT: {TaskState.RUNNING},
                Phase.HELD: {TaskState.RESET},
                Phase.ENDED: {state for state in TaskState if state.ended},
            }.get(task.phase, {TaskState.REGISTERED})
            assert task.state in expected
            assert (task.response is not None) <= (task.state is TaskState.DONE)


TestJobLife = JobLife.TestCase
TestJobLife.settings = settings(stateful_step_count=40, deadline=None)


@settings(deadline=None)
@given(st.sampled_from(TaskState), st.sampled_from(TaskState))
def test_what_has_ended_moves_on_only_when_somebody_asks(before: TaskState, after: TaskState) -> None:
    asked = {Event.RESET, Event.RETRY, Event.FORCE_RETRY, Event.INVALIDATE}
    for event in set(Event) - asked:
        assert not (before.ended and allows(event, before, after))


def test_nothing_makes_an_unroutable_task() -> None:
    makers = [
        event
        for event in Event
        for before in TaskState
        if event is not Event.END and allows(event, before, TaskState.UNROUTABLE)
    ]
    assert makers in ([], [Event.REFUSE])


def test_failures_are_retried_with_growing_pauses_up_to_a_limit() -> None:
    policy = RetryPolicy(max_attempts=4, base_delay_s=2, max_delay_s=5)
    assert [policy.after_failure(n, jitter=1.0) for n in (1, 2, 3)] == [Retry(2), Retry(4), Retry(5)]
    assert policy.after_failure(1, jitter=0.0) == Retry(1)
    assert isinstance(policy.after_failure(4, jitter=0.0), GiveUp)


@given(
    first=st.floats(-100, 100),
    second=st.floats(-100, 100),
    waited=st.floats(0, 1e5),
    later=st.floats(0, 1e5),
)
def test_ageing_never_changes_the_order_of_two_that_wait(
    first: float, second: float, waited: float, later: float
) -> None:
    def rank(priority: float, ready_at: float, now: float) -> float:
        return priority + 0.01 * (now - ready_at)

    keys = [order_key(priority=p, ready_at=r, ageing_per_s=0.01) for p, r in ((first, 0.0), (second, waited))]
    for now in (waited, waited + later):
        difference = rank(second, waited, now) - rank(first, 0.0, now)
        assert abs((keys[0] - keys[1]) - difference) < 1e-6


def test_windows_follow_slots_and_durations_within_their_bounds() -> None:
    assert window_size(slots=3, workers=1, duration_s=math.inf) == 6
    assert window_size(slots=3, workers=1, duration_s=60.0) == 6
    assert window_size(slots=1, workers=1, duration_s=0.001) == 50
    assert window_size(slots=1, workers=1, duration_s=0.0) == 100
    assert window_size(slots=0, workers=0, duration_s=0.0) == 0


def test_only_short_tasks_travel_together() -> None:
    assert [count_together(duration_s) for duration_s in (math.inf, 1.0, 0.02, 0.009, 0.0)] == [
        1,
        1,
        1,
        2,
        25,
    ]
