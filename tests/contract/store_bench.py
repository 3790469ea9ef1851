"""Short ways to use a store as clients and engines do."""

from typing import Any

from haste_core.jobs import TaskRecord
from haste_core.jobspec import JobSpec, parse_job_spec
from haste_core.messages import Outcome, TaskMessage, TaskResult
from haste_core.pipelines import Pipeline
from haste_core.routing import Route
from haste_core.states import TaskState
from haste_core.stores import Submitted
from haste_server.store.sql import SqlStore

NOW = 1_700_000_000.0
PIPELINE = Pipeline.parse(
    {
        "name": "focus-tier",
        "description": "Score, then tier",
        "tasks": {"taskSequential": ["focus-score", "tier"]},
        "parameters": {"focus-score": {"bits": 12}},
        "interestingness": {
            "function": "logistic",
            "features_from": "focus-score",
            "parameters": {"feature": "plls", "k": 4.5, "x0": -1.4},
        },
        "policy": {"intervals": [{"lo": 0, "hi": 1, "tier": "hot"}], "undefined": "cold"},
    }
)


def spec(tasks: object = "a", **more: object) -> JobSpec:
    return parse_job_spec({"source_url": "root://nas/x.tif", "source_id": "x", "tasks": tasks, **more})


def submitted(store: SqlStore, *specs: JobSpec, now: float = NOW) -> list[int]:
    answers = store.submit(specs, now=now)
    assert all(isinstance(answer, Submitted) and answer.created for answer in answers)
    return [answer.job_id for answer in answers if isinstance(answer, Submitted)]


def claim(store: SqlStore, key: str = "a", *, limit: int = 100, now: float = NOW) -> list[TaskMessage]:
    return store.claim(Route(key, "default"), limit, now=now, lease_s=30)


def result_of(task: TaskMessage, state: TaskState = TaskState.DONE, **more: Any) -> TaskResult:
    given = {"worker_id": "w1", "outcome": Outcome.ENDED, "started_at": NOW, "ended_at": NOW + 1} | more
    return TaskResult(task_id=task.task_id, attempt=task.attempt, state=state, **given)


def run(store: SqlStore, key: str = "a", state: TaskState = TaskState.DONE, **more: Any) -> None:
    """Run all that is ready of a key."""
    store.record([result_of(message, state, **more) for message in claim(store, key)], now=NOW)


def tasks_of(store: SqlStore, *job_ids: int) -> list[TaskRecord]:
    return [task for job_id in job_ids for task in store.job(job_id).tasks]


def states(store: SqlStore, *job_ids: int) -> list[int]:
    return [int(task.state) for task in tasks_of(store, *job_ids)]
