from typing import Any

import pytest

from haste_client.answers import JobAnswer
from haste_client.results import Result


def job(**changes: Any) -> JobAnswer:
    task = {"task_key": "focus-score", "task_id": 1, "job_id": 7, "task_state": 200, "task_msg": ""}
    tier = {**task, "task_key": "tier", "task_id": 2}
    fields = {
        "job_id": 7,
        "state": 200,
        "created_at": 1.0,
        "ended_at": 2.0,
        "source_url": "root://nas/a.tif",
        "source_id": "a.tif",
        "site": "default",
        "stream_id": "s",
        "tasks": {"taskSequential": [{"Task": task}, {"taskParallel": [{"Task": tier}]}]},
        "place": {"url": "file:///tiers/a.tif", "site": "default"},
        "response": {
            "focus-score": {"plls": -1.2, "signal_fraction": 0.3, "empty": False, "new_field": 1},
            "tier": {"tier": "tierA", "interestingness": 0.8, "reason": "because", "size_bytes": 12},
        },
    }
    return JobAnswer.model_validate({**fields, **changes})


def test_a_done_job_tells_score_and_tier() -> None:
    result = Result.of(job())
    assert (result.state, result.plls, result.signal_fraction) == ("done", -1.2, 0.3)
    assert (result.tier, result.interestingness, result.message) == ("tierA", 0.8, "because")
    assert result.size_bytes == 12
    assert result.features["new_field"] == 1


def test_an_open_job_tells_what_is_known() -> None:
    response = {"focus-score": {"plls": -1.2}}
    result = Result.of(job(state=102, ended_at=None, response=response))
    assert (result.state, result.plls, result.tier) == ("open", -1.2, None)


def test_an_open_job_tells_what_it_waits_for() -> None:
    task = {"task_key": "focus-score", "task_id": 1, "job_id": 7, "task_state": 201}
    message = "waiting: no worker for key 'focus-score' at site 'lab1'"
    waits = {**task, "task_msg": message}
    after = {**task, "task_key": "tier", "task_id": 2}
    overtaken = {**task, "task_key": "preprocess", "task_id": 3, "task_state": 500, "task_msg": "optional"}
    tree = {"taskSequential": [{"Task": one} for one in (overtaken, waits, after)]}
    result = Result.of(job(state=201, ended_at=None, tasks=tree, response={}))
    assert (result.state, result.message) == ("open", f"focus-score: {message}")


def test_an_empty_field_has_a_tier_and_no_score() -> None:
    tiering = {"tier": "empty", "interestingness": None, "reason": "no score: empty"}
    result = Result.of(job(response={"tier": tiering}))
    assert (result.tier, result.interestingness, result.plls) == ("empty", None, None)


def test_a_failed_job_says_which_task_failed_and_why() -> None:
    failed = {"task_key": "focus-score", "task_id": 1, "job_id": 7, "task_state": 502, "task_msg": "no image"}
    waits = {"task_key": "tier", "task_id": 2, "job_id": 7, "task_state": 201}
    result = Result.of(
        job(state=502, tasks={"taskSequential": [{"Task": failed}, {"Task": waits}]}, response={})
    )
    assert (result.state, result.code, result.message) == ("failed", 502, "focus-score: no image")


@pytest.mark.parametrize("tree", [{"Task": {"task_key": "a", "task_id": 1, "job_id": 7, "task_state": 201}}])
def test_a_job_may_be_one_task(tree: Any) -> None:
    assert [task.task_key for task in job(tasks=tree).task_list()] == ["a"]
