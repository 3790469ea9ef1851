"""Retry, reset and cancel through the API, of one and of many; attempts and progress."""

from typing import Any

import pytest

from haste_core.messages import HeldAttempt, Outcome, Presence, TaskResult
from haste_core.routing import Route
from haste_core.states import TaskState
from haste_server.api import bulk_actions
from tests.integration.api.conftest import Api

TWO_STEPS = {"taskSequential": ["one", "two"]}


def task_ids(job: dict[str, Any]) -> list[int]:
    return [task["Task"]["task_id"] for task in job["tasks"]["taskSequential"]]


def hold(api: Api, task_key: str, *, fraction: float | None = None, note: str = "") -> int:
    """Let a worker take a task, and tell how far it is."""
    (message,) = api.store.claim(Route(task_key, "default"), 1, now=api.now, lease_s=30)
    held = HeldAttempt(
        task_id=message.task_id, attempt=message.attempt, started_at=api.now, fraction=fraction, note=note
    )
    presence = Presence(
        worker_id="worker",
        host="pc",
        pid=1,
        keys=(task_key,),
        site="default",
        slots=2,
        sent_at=api.now,
        held=(held,),
    )
    api.store.renew("worker", [held], until=api.now + 30)
    api.store.save_presence([presence], now=api.now)
    return message.task_id


def post(api: Api, path: str, **body: Any) -> tuple[int, dict[str, Any]]:
    answer = api.client.post(f"/HASTE/{path}", json=body)
    return answer.status_code, answer.json


def state_of(api: Api, job: dict[str, Any]) -> int:
    return api.client.get(f"/HASTE/job/{job['job_id']}").json["state"]


def test_a_job_is_cancelled_while_it_runs_and_can_be_retried(api: Api) -> None:
    job = api.submit(tasks=TWO_STEPS)
    task_id = hold(api, "one")

    answer = api.client.post(f"/HASTE/job/{job['job_id']}/cancel")

    assert (answer.status_code, answer.json["state"]) == (200, 410)
    assert [task["Task"]["task_state"] for task in answer.json["tasks"]["taskSequential"]] == [410, 410]
    again = api.client.post(f"/HASTE/job/{job['job_id']}/cancel")
    assert (again.status_code, again.json["ended_at"]) == (200, answer.json["ended_at"])
    late = TaskResult(
        task_id=task_id, attempt=1, worker_id="worker", outcome=Outcome.ENDED, state=TaskState.DONE
    )
    assert api.store.record([late], now=api.now) == []

    assert api.client.post(f"/HASTE/job/{job['job_id']}/retry").json["state"] == 201
    api.run("one")
    api.run("two")
    assert state_of(api, job) == 200
    refused = api.client.post(f"/HASTE/job/{job['job_id']}/cancel")
    assert (refused.status_code, refused.content_type) == (409, "application/problem+json")
    assert "has ended" in refused.json["detail"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("job/999/cancel", 404),
        ("job/999/retry", 404),
        ("task/999/retry", 404),
        ("task/999/reset", 404),
        ("task/999/forceretry", 404),
        ("task/x/retry", 404),
        ("job/9999999999999999999/cancel", 404),
    ],
)
def test_actions_for_what_is_not_there_are_refused(api: Api, path: str, status: int) -> None:
    answer = api.client.post(f"/HASTE/{path}")
    assert answer.status_code == status
    assert answer.content_type == "application/problem+json"


def test_a_running_and_a_finished_job_are_not_retried(api: Api) -> None:
    job = api.submit(tasks=TWO_STEPS)
    first, second = task_ids(job)
    hold(api, "one")
    retried = api.client.post(f"/HASTE/job/{job['job_id']}/retry")
    assert (retried.status_code, state_of(api, job)) == (409, 102)
    assert api.client.post(f"/HASTE/task/{first}/retry").status_code == 409
    assert api.client.post(f"/HASTE/task/{first}/reset").status_code == 409
    assert api.client.post(f"/HASTE/task/{second}/retry").status_code == 409
    assert state_of(api, job) == 102


def test_of_many_the_good_ones_are_done_and_each_is_answered(api: Api) -> None:
    failed, running, done = (api.submit(source_id=name, tasks=name) for name in ("f", "r", "d"))
    api.run("f", TaskState.BAD_INPUT)
    hold(api, "r")
    api.run("d")
    wakes = api.wakes

    status, answer = post(api, "jobs/retry", job_ids=[done["job_id"], failed["job_id"], 999])

    assert (status, answer["changed"], answer["refused"], answer["next"]) == (200, 1, 2, None)
    assert [item["status"] for item in answer["results"]] == [409, 200, 404]
    assert [item["id"] for item in answer["results"]] == [done["job_id"], failed["job_id"], 999]
    assert "no failed task" in answer["results"][0]["detail"]
    assert state_of(api, failed) == 201
    assert api.wakes > wakes

    _, answer = post(api, "jobs/cancel", job_ids=[running["job_id"], done["job_id"]])
    assert [item["status"] for item in answer["results"]] == [200, 409]
    tasks = [job["tasks"]["Task"]["task_id"] for job in (failed, running, done)]
    _, answer = post(api, "tasks/reset", task_ids=tasks)
    assert [item["status"] for item in answer["results"]] == [200, 200, 200]
    _, answer = post(api, "tasks/retry", task_ids=tasks)
    assert [item["status"] for item in answer["results"]] == [200, 200, 200]
    _, answer = post(api, "tasks/forceretry", task_ids=tasks)
    assert answer["changed"] == 3


def test_many_are_chosen_by_stream_key_site_and_state(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = [api.submit(source_id=str(n), stream_id="plate7", tasks=TWO_STEPS) for n in range(5)]
    other = api.submit(source_id="x", stream_id="plate8", tasks=TWO_STEPS)
    for _ in range(6):
        api.run("one")
    for number in range(6):
        api.run("two", TaskState.REMOTE_TROUBLE if number % 2 else TaskState.BAD_INPUT)
    api.now += 1000
    api.store.release_due(now=api.now)

    _, answer = post(api, "tasks/retry", task_key="two", state=502)
    assert (answer["changed"], answer["refused"]) == (3, 0)
    _, answer = post(api, "jobs/retry", stream_id="plate7")
    assert answer["changed"] == 0, "all others wait already"
    monkeypatch.setattr(bulk_actions, "MAX_SWEPT", 2)
    changed, cursor = 0, None
    while True:
        more = {} if cursor is None else {"cursor": cursor}
        _, answer = post(api, "jobs/cancel", stream_id="plate7", **more)
        changed, cursor = changed + answer["changed"], answer["next"]
        if cursor is None:
            break
    assert changed == 5
    assert {state_of(api, job) for job in jobs} == {410}
    assert state_of(api, other) == 201
    _, answer = post(api, "tasks/reset", site="default", task_key="two", state="open", stream_id="plate8")
    assert (answer["changed"], answer["refused"], answer["next"]) == (1, 0, None)
    _, answer = post(api, "tasks/retry", state="201", stream_id="plate8")
    assert answer["changed"] == 1, "a reset task is shown as 201"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("jobs/retry", {}),
        ("jobs/retry", {"job_ids": []}),
        ("jobs/retry", {"job_ids": ["x"]}),
        ("jobs/retry", {"job_ids": [-1]}),
        ("jobs/retry", {"job_ids": [1.5]}),
        ("jobs/retry", {"job_ids": [10**18]}),
        ("jobs/retry", {"job_ids": 5}),
        ("jobs/retry", {"job_ids": list(range(1001))}),
        ("jobs/retry", {"task_ids": [1]}),
        ("jobs/cancel", {"job_ids": [1], "stream_id": "plate7"}),
        ("jobs/cancel", {"job_ids": [1], "cursor": "5"}),
        ("jobs/cancel", {"cursor": "5"}),
        ("jobs/cancel", {"stream_id": "plate7", "cursor": "x"}),
        ("jobs/cancel", {"stream_id": "plate7", "state": "odd"}),
        ("jobs/cancel", {"stream_id": "plate7", "more": 1}),
        ("jobs/cancel", {"task_key": "not a key"}),
        ("tasks/reset", {"stream_id": "plate7"}),
        ("tasks/forceretry", {"task_key": "one"}),
        ("tasks/retry", {"job_ids": [1]}),
        ("tasks/retry", {"state": None}),
    ],
)
def test_malformed_actions_change_nothing(api: Api, path: str, body: dict[str, Any]) -> None:
    job = api.submit(stream_id="plate7", tasks=TWO_STEPS)
    status, answer = post(api, path, **body)
    assert status == 400, answer
    assert answer["problems"]
    assert state_of(api, job) == 201


def test_a_stream_that_is_not_there_is_told(api: Api) -> None:
    status, answer = post(api, "jobs/cancel", stream_id="plate9")
    assert (status, answer["title"]) == (404, "Not Found")


def test_a_task_shows_all_its_attempts(api: Api) -> None:
    job = api.submit(tasks="one")
    task_id = job["tasks"]["Task"]["task_id"]

    def history() -> list[dict[str, Any]]:
        return api.client.get(f"/HASTE/task/{task_id}").json["Task"]["history"]

    assert history() == []
    api.run("one", TaskState.REMOTE_TROUBLE)
    api.now += 1000
    api.store.release_due(now=api.now)
    hold(api, "one")

    first, second = history()

    assert (first["attempt"], first["outcome"], first["state"], first["worker"]) == (
        1,
        "ended",
        503,
        "worker",
    )
    assert "no good" in first["message"]
    assert second == {
        "attempt": 2,
        "outcome": "running",
        "state": None,
        "worker": "worker",
        "started_at": api.now,
        "ended_at": None,
        "message": "",
    }
    api.client.post(f"/HASTE/job/{job['job_id']}/cancel")
    assert [item["outcome"] for item in history()] == ["ended", "revoked"]


def test_the_progress_of_a_running_task_is_shown_where_the_task_is(api: Api) -> None:
    job = api.submit(tasks=TWO_STEPS)
    api.now += 2
    task_id = hold(api, "one", fraction=0.25, note="plane 3 of 12")

    shown = api.client.get(f"/HASTE/task/{task_id}").json["Task"]
    first, second = api.client.get(f"/HASTE/job/{job['job_id']}").json["tasks"]["taskSequential"]
    (current,) = api.client.get("/HASTE/workers/").json["workers"][0]["current"]

    assert (shown["fraction"], shown["note"]) == (0.25, "plane 3 of 12")
    assert (first["Task"]["fraction"], first["Task"]["note"]) == (0.25, "plane 3 of 12")
    assert (second["Task"]["fraction"], second["Task"]["note"]) == (None, "")
    assert (current["fraction"], current["note"]) == (0.25, "plane 3 of 12")
    api.client.post(f"/HASTE/task/{task_id}/forceretry")
    shown = api.client.get(f"/HASTE/task/{task_id}").json["Task"]
    assert (shown["fraction"], shown["note"]) == (None, ""), "that was another attempt's"
    (message,) = api.store.claim(Route("one", "default"), 1, now=api.now, lease_s=30)
    assert "fraction" not in message.job["tasks"]["taskSequential"][0]["Task"]


def test_single_tasks_have_priorities(api: Api) -> None:
    jobs = [api.submit(source_id=name) for name in "ABC"]
    tasks = [job["tasks"]["Task"]["task_id"] for job in jobs]

    answer = api.client.patch("/HASTE/priority", json={"tasks": {str(tasks[2]): 7, "999": 1}})

    assert answer.json == {"changed": 1, "unknown": [999]}
    claimed = api.store.claim(Route("focus-score", "default"), 3, now=api.now, lease_s=30)
    assert [message.task_id for message in claimed] == [tasks[2], tasks[0], tasks[1]]
    assert api.client.get(f"/HASTE/task/{tasks[2]}").json["Task"]["priority"] == 7
    assert api.client.patch("/HASTE/priority", json={"tasks": {str(tasks[2]): None}}).status_code == 200
    assert api.client.get(f"/HASTE/task/{tasks[2]}").json["Task"]["priority"] == 1


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ('{"1": NaN}', 400),
        ('{"1": Infinity}', 400),
        ('{"1": -Infinity}', 400),
        ('{"1": "nan"}', 400),
        ('{"1": "inf"}', 400),
        ('{"1": 1e400}', 400),
        ('{"1": 1e10}', 400),
        ('{"1": "high", "2": 5}', 400),
        ('{"tasks": {"1": NaN}}', 400),
        ('{"tasks": {"1": "high"}}', 400),
        ('{"tasks": 5}', 400),
        ('{"tasks": {"1": 1}, "2": 1}', 400),
        ('{"1": 1', 400),
        ("[]", 400),
        ('{"99": 1}', 404),
        ('{"tasks": {"99": 1, "98": 2}}', 404),
        ('{"stream_id": "default", "priorities": {"99": 1}}', 404),
    ],
)
def test_bad_priorities_are_refused_and_nothing_is_half_done(api: Api, body: str, status: int) -> None:
    jobs = [api.submit(source_id=name) for name in "AB"]
    assert [job["job_id"] for job in jobs] == [1, 2]

    answer = api.client.patch("/HASTE/priority", data=body, content_type="application/json")

    assert (answer.status_code, answer.content_type) == (status, "application/problem+json")
    assert [api.store.job(job_id).priority for job_id in (1, 2)] == [1, 1]


def test_how_long_the_oldest_has_waited_is_shown_for_each_queue(api: Api) -> None:
    api.submit(source_id="A")
    api.now += 60
    api.submit(source_id="B")
    api.now += 30
    (queue,) = api.client.get("/HASTE/workers/").json["queues"]
    assert (queue["ready"], queue["oldest_ready_s"]) == (2, 90)


def test_every_new_call_is_documented_with_its_answers(api: Api) -> None:
    document = api.client.get("/openapi/openapi.json").json
    for path in ("jobs/retry", "jobs/cancel", "tasks/retry", "tasks/forceretry", "tasks/reset"):
        call = document["paths"][f"/HASTE/{path}"]["post"]
        assert {"200", "400", "401", "404", "503"} <= set(call["responses"])
        assert call["requestBody"]["content"]["application/json"]["schema"]
    assert "409" in document["paths"]["/HASTE/job/{job_id}/cancel"]["post"]["responses"]
    task = document["components"]["schemas"]["TaskWithHistory"]["properties"]
    assert {"history", "fraction", "note"} <= set(task)
