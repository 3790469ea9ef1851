"""What a process counts of attempts, and that names of clients make only so many series."""

from haste_core.messages import Outcome, TaskResult
from haste_core.ports import StateChange
from haste_core.routing import Route
from haste_core.states import TaskState
from haste_server.metrics.counts import MOST_NAMED, Counts


def result(task_id: int = 1, state: TaskState = TaskState.DONE, **more: object) -> TaskResult:
    given = {"outcome": Outcome.ENDED, "started_at": 10.0, "ended_at": 10.5} | more
    return TaskResult.model_validate(
        {"task_id": task_id, "attempt": 1, "worker_id": "w", "state": state, **given}
    )


def change(task_id: int = 1, state: TaskState = TaskState.DONE) -> StateChange:
    return StateChange(task_id, 1, "s", task_key="score", site="lab", attempt=1, state=state, message="")


def value(counts: Counts, name: str, **labels: str) -> float | None:
    return counts.registry.get_sample_value(name, labels)


def test_attempts_are_counted_by_what_became_of_them() -> None:
    counts = Counts()
    counts.hand_out(Route("score", "lab"), 3)
    results = [
        result(1),
        result(2, TaskState.REMOTE_TROUBLE),
        result(3, outcome=Outcome.LOST, started_at=None, ended_at=None),
        result(4, TaskState.ERROR),
    ]
    states = [TaskState.DONE, TaskState.REGISTERED, TaskState.REGISTERED, TaskState.ERROR]
    counts.take_back(results, [change(number, state) for number, state in enumerate(states, 1)])

    queue = {"key": "score", "site": "lab"}
    assert value(counts, "haste_hand_outs_total", **queue) == 3
    for state in ("done", "remote_trouble", "lost", "error"):
        assert value(counts, "haste_results_total", **queue, state=state) == 1
    assert value(counts, "haste_retries_total", **queue, state="remote_trouble") == 1
    assert value(counts, "haste_retries_total", **queue, state="lost") == 1
    assert value(counts, "haste_retries_total", **queue, state="error") is None
    assert value(counts, "haste_task_seconds_sum", key="score", state="done") == 0.5
    assert value(counts, "haste_task_seconds_bucket", key="score", state="done", le="0.3") == 0
    assert value(counts, "haste_task_seconds_bucket", key="score", state="done", le="1.0") == 1
    assert value(counts, "haste_task_seconds_count", key="score", state="lost") is None


def test_what_changes_nothing_is_not_counted() -> None:
    counts = Counts()
    counts.take_back([result(1), result(1), result(2), result(3, attempt=1)], [change(1)])

    assert value(counts, "haste_results_total", key="score", site="lab", state="done") == 1


def test_a_task_with_another_step_is_no_retry() -> None:
    counts = Counts()
    counts.take_back([result(1)], [change(1, TaskState.REGISTERED)])

    assert value(counts, "haste_results_total", key="score", site="lab", state="done") == 1
    assert value(counts, "haste_retries_total", key="score", site="lab", state="done") is None


def test_only_so_many_queues_are_counted_by_name() -> None:
    counts = Counts()
    for number in range(MOST_NAMED + 7):
        counts.hand_out(Route(f"key-{number}", "lab"), 1)
    counts.hand_out(Route("key-0", "lab"), 1)

    assert value(counts, "haste_hand_outs_total", key="key-0", site="lab") == 2
    assert value(counts, "haste_hand_outs_total", key="(others)", site="(others)") == 7
    assert value(counts, "haste_hand_outs_total", key=f"key-{MOST_NAMED}", site="lab") is None
