"""An object that moves from tier to tier is never lost, and in the end it is in one place."""

from dataclasses import dataclass, replace
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from haste_core import lifecycle
from haste_core.errors import ConflictError
from haste_core.jobs import JobRecord, TaskRecord
from haste_core.jobspec import parse_job_spec
from haste_core.lifecycle import Rules
from haste_core.messages import Outcome, Place, TaskResult
from haste_core.scheduling import RetryPolicy
from haste_core.states import Phase, TaskState

RULES = Rules(RetryPolicy(max_attempts=3, max_lost=3))
ORIGINAL = "root://n/x"
TIERS = ("A", "B", "C")
SCORE, TIER = 0, 1


def new_job() -> JobRecord:
    tree = {"taskSequential": ["focus-score", "tier"]}
    spec = parse_job_spec({"source_url": ORIGINAL, "source_id": "x", "tasks": tree})
    job = lifecycle.register(spec, now=1000, rules=RULES)
    tasks = tuple(replace(task, task_id=task.position + 1) for task in job.tasks)
    return replace(job, job_id=1, tasks=tasks)


@dataclass(frozen=True)
class Attempt:
    """What a worker was told; it may work by it long after its lease has ended."""

    position: int
    number: int
    place: Place
    leaving: Place | None
    tier: str
    removes: bool

    @property
    def url(self) -> str:
        return f"file:///{self.tier}/x"


class Moves(RuleBasedStateMachine):
    """Workers that copy and remove, or vanish in the middle, while decisions and users change their minds."""

    move: bool
    job: JobRecord
    world: frozenset[str]  # what exists, by its URLs

    @initialize(move=st.booleans())
    def submit(self, move: bool) -> None:
        self.move, self.job, self.world = move, new_job(), frozenset({ORIGINAL})
        self.decisions: list[str] = []
        self.attempts: list[Attempt] = []
        self.strays: set[str] = set()  # copies that no recorded result tells of

    def _task(self, position: int = TIER) -> TaskRecord:
        return self.job.tasks[position]

    def _in_phase(self, *phases: Phase) -> list[int]:
        return [task.position for task in self.job.tasks if task.phase in phases]

    @precondition(lambda self: self._in_phase(Phase.READY))
    @rule()
    def hand_out(self) -> None:
        [position] = self._in_phase(Phase.READY)
        job = lifecycle.hand_out(self.job, position, lease_until=1030, now=1000, rules=RULES)
        assert job is not None
        self.job = job
        task, place = self._task(position), job.place_for(position)
        tier = self.decisions[task.decision_id - 1] if task.decision_id else ""
        removes = task.place is not None or (self.move and place.url == ORIGINAL)
        self.attempts.append(Attempt(position, task.attempt, place, task.leaving, tier, removes))

    @precondition(lambda self: self._in_phase(Phase.UNDECIDED))
    @rule(tier=st.sampled_from(TIERS))
    def decide(self, tier: str) -> None:
        self.decisions.append(tier)
        self.job = lifecycle.decided(self.job, TIER, len(self.decisions), 0.5, now=1000, rules=RULES)

    @precondition(lambda self: self._task().phase is not Phase.HANDED_OUT and self.decisions)
    @rule(tier=st.sampled_from(TIERS))
    def decide_again(self, tier: str) -> None:
        self.decisions.append(tier)
        self.job = lifecycle.move_again(
            self.job, TIER, len(self.decisions), first=False, now=1000, rules=RULES
        )

    def _remove(self, attempt: Attempt) -> bool:
        """Do as `haste_workers.moving` does; tell whether the attempt may go on."""
        if attempt.leaving is None or attempt.leaving.url not in self.world:
            return True
        if attempt.place.url in self.world:
            self.world -= {attempt.leaving.url}
            return True
        self.world |= {attempt.place.url}
        self.strays |= {attempt.place.url}
        return False

    def _copy(self, attempt: Attempt) -> None:
        assert attempt.place.url in self.world, "what a worker is told to read is there"
        self.world |= {attempt.url}
        self.strays |= {attempt.url}

    @precondition(lambda self: self.attempts)
    @rule(data=st.data())
    def remove_late(self, data: st.DataObject) -> None:
        """Let a worker whose lease has ended go on with removing."""
        self._remove(data.draw(st.sampled_from(self.attempts)))

    @precondition(lambda self: self._in_phase(Phase.HANDED_OUT))
    @rule(copies=st.booleans(), outcome=st.sampled_from(Outcome))
    def vanish(self, copies: bool, outcome: Outcome) -> None:
        attempt = self.attempts[-1]
        if attempt.position == TIER and self._remove(attempt) and copies:
            self._copy(attempt)
        if outcome is Outcome.ENDED:
            self._report(attempt, state=TaskState.REMOTE_TROUBLE)
        else:
            self._report(attempt, outcome=outcome)

    @precondition(lambda self: self._in_phase(Phase.HANDED_OUT))
    @rule()
    def refuse(self) -> None:
        attempt = self.attempts[-1]
        self._report(attempt, state=TaskState.ERROR)
        task = self._task()
        if attempt.position == TIER and task.leaving is not None:
            assert task.place is not None
            assert f"copied to {task.place.url}" in task.message
            assert f"Only {task.leaving.url} is still to be removed" in task.message

    @precondition(lambda self: self._in_phase(Phase.HANDED_OUT))
    @rule()
    def succeed(self) -> None:
        attempt = self.attempts[-1]
        if attempt.position == SCORE:
            assert attempt.place.url in self.world, "what is measured is there"
            self._report(attempt, response={"plls": 0})
            return
        if not self._remove(attempt):
            self._report(attempt, state=TaskState.REMOTE_TROUBLE)
            return
        removed = {} if attempt.leaving is None else {"removed": attempt.leaving.url}
        if attempt.leaving is not None and attempt.place.url == attempt.url:
            self._report(attempt, place=attempt.place, response=removed)
            return
        self._copy(attempt)
        leaving = attempt.place if attempt.removes and attempt.place.url != attempt.url else None
        place = Place(url=attempt.url, site="default", sha256="a" * 64)
        self._report(attempt, place=place, leaving=leaving, response=removed)

    def _report(self, attempt: Attempt, **told: Any) -> None:
        given = {"outcome": Outcome.ENDED, "state": TaskState.DONE, "started_at": 1000.0} | told
        result = TaskResult(task_id=attempt.position + 1, attempt=attempt.number, worker_id="w", **given)
        held = self.job.but(
            tasks=tuple(
                replace(task, worker_id="w") if task.position == attempt.position else task
                for task in self.job.tasks
            )
        )
        job = lifecycle.apply_result(held, attempt.position, result, now=1000, jitter=0.5, rules=RULES)
        assert job is not None
        self.job = job
        if result.place is not None:
            self.strays.discard(result.place.url)
        second = lifecycle.apply_result(job, attempt.position, result, now=1000, jitter=0.5, rules=RULES)
        assert second is None

    @precondition(lambda self: self._in_phase(Phase.DELAYED))
    @rule()
    def pause_ends(self) -> None:
        tasks = tuple(
            replace(task, phase=Phase.READY, due_at=None) if task.phase is Phase.DELAYED else task
            for task in self.job.tasks
        )
        self.job = replace(self.job, tasks=tasks)

    @rule(
        position=st.sampled_from([SCORE, TIER]),
        action=st.sampled_from([lifecycle.retry_task, lifecycle.force_retry_task, lifecycle.reset_task]),
    )
    def act_on_task(self, position: int, action: Any) -> None:
        self._try(lambda: action(self.job, position, now=1000, rules=RULES))

    @rule(action=st.sampled_from([lifecycle.retry, lifecycle.cancel]))
    def act_on_job(self, action: Any) -> None:
        self._try(lambda: action(self.job, now=1000, rules=RULES))

    def _try(self, action: Any) -> None:
        before = self._task()
        try:
            self.job = action()
        except ConflictError:
            return
        if before.place is not None and self._task().place is None:
            assert ORIGINAL in self.world, "a place is forgotten only while the original is there"
            former = self._task().former
            assert former is not None
            assert former.url == before.place.url
            if before.former is not None:
                self.strays.add(before.former.url)

    @invariant()
    def the_object_is_where_the_job_says(self) -> None:
        if hasattr(self, "job"):
            task, place = self._task(), self.job.place_before(2)
            assert place.url in self.world or (task.leaving is not None and task.leaving.url in self.world)

    def teardown(self) -> None:
        """Let all that is asked for come to pass: then the object is in one place."""
        if not hasattr(self, "job"):
            return
        for _ in range(30):
            if self.job.state is TaskState.DONE:
                break
            if self._in_phase(Phase.HANDED_OUT):
                self.succeed()
            elif self._in_phase(Phase.READY):
                self.hand_out()
            elif self._in_phase(Phase.DELAYED):
                self.pause_ends()
            elif self._in_phase(Phase.UNDECIDED):
                self.decide("B")
            else:
                self.act_on_job(lifecycle.retry)
        assert self.job.state is TaskState.DONE
        task = self._task()
        assert task.place is not None
        assert task.leaving is None
        assert task.place.url == f"file:///{self.decisions[(task.decision_id or 0) - 1]}/x"
        gone = {ORIGINAL} if task.place.moved else set()
        assert (ORIGINAL in self.world) is (not gone)
        assert bool(gone) <= self.move
        assert self.world - self.strays == {task.place.url, ORIGINAL} - gone - self.strays
        assert task.place.url in self.world


def test_a_removal_of_long_ago_does_not_take_what_was_moved_back() -> None:
    moves = Moves()
    moves.submit(move=False)

    def run_all() -> None:
        while moves._in_phase(Phase.READY):
            moves.hand_out()
            moves.succeed()

    run_all()
    moves.decide("B")
    run_all()
    for tier in ("A", "B"):
        moves.decide_again(tier)
        run_all()
    for attempt in moves.attempts:
        moves._remove(attempt)
        moves.the_object_is_where_the_job_says()


def run(job: JobRecord, position: int, **told: Any) -> JobRecord:
    """Hand a task out and record its result."""
    job = lifecycle.hand_out(job, position, lease_until=1030, now=1000, rules=RULES) or job
    given = {"outcome": Outcome.ENDED, "state": TaskState.DONE} | told
    result = TaskResult(task_id=position + 1, attempt=job.tasks[position].attempt, worker_id="w", **given)
    return lifecycle.apply_result(job, position, result, now=1000, jitter=0.5, rules=RULES) or job


def between_halves() -> JobRecord:
    job = run(new_job(), SCORE, response={"plls": 0})
    job = lifecycle.decided(job, TIER, 7, 0.5, now=1000, rules=RULES)
    left = Place(url=ORIGINAL, site="default", sha256="a" * 64)
    return run(job, TIER, response={"tier": "A"}, place=COPY, leaving=left)


COPY = Place(url="file:///A/x", site="lab")


def test_a_task_that_copied_is_ready_to_remove_what_it_left() -> None:
    task = between_halves().tasks[TIER]
    assert (task.phase, task.state) == (Phase.READY, TaskState.REGISTERED)
    assert (task.place, task.response, task.decision_id) == (COPY, {"tier": "A"}, 7)
    assert task.leaving is not None
    assert task.leaving.url == ORIGINAL
    assert task.message == ""


def test_removing_ends_the_task_and_is_remembered() -> None:
    done = run(between_halves(), TIER, response={"tier": "A", "removed": ORIGINAL}, place=COPY)
    assert done.state is TaskState.DONE
    assert done.tasks[TIER].leaving is None
    assert done.tasks[TIER].place == Place(url=COPY.url, site="lab", moved=True, moved_at=1000)
    assert done.responses["tier"] == {"tier": "A", "removed": ORIGINAL}


def test_retrying_a_removal_that_failed_only_removes() -> None:
    for failure in ({"state": TaskState.ERROR, "message": "no right"}, None):
        job = between_halves()
        if failure is None:
            job = lifecycle.cancel(job, now=1000, rules=RULES)
        else:
            job = run(job, TIER, **failure)
            assert job.tasks[TIER].message.startswith("no right; the object is safe")
        again = lifecycle.retry(job, now=1000, rules=RULES).tasks[TIER]
        before = between_halves().tasks[TIER]
        assert again.phase is Phase.READY, "it waits for no new decision"
        assert (again.place, again.leaving, again.decision_id) == (COPY, before.leaving, 7)
        assert again.site == "default", "where what it is to remove can be reached"


def test_what_is_measured_again_after_the_original_went_is_the_copy() -> None:
    moved = run(between_halves(), TIER, place=COPY, response={"removed": ORIGINAL})
    for job in (moved, between_halves()):
        again = lifecycle.force_retry_task(job, SCORE, now=1000, rules=RULES)
        assert again.place_for(SCORE).url == COPY.url
        assert again.tasks[SCORE].site == "lab"
        assert again.place_before(2).url == COPY.url


TestMoves = Moves.TestCase
TestMoves.settings = settings(stateful_step_count=40, deadline=None)
