"""Tasks and priorities through the API."""

import pytest

from haste_core.routing import Route
from haste_core.states import TaskState
from tests.integration.api.conftest import Api

TWO_STEPS = {"taskSequential": ["one", "two"]}


def task_ids(job: dict) -> list[int]:
    return [task["Task"]["task_id"] for task in job["tasks"]["taskSequential"]]


def test_a_task_is_shown_as_the_class_task(api: Api) -> None:
    job = api.submit(tasks=TWO_STEPS)
    first, _ = task_ids(job)

    shown = api.client.get(f"/HASTE/task/{first}").json["Task"]

    assert shown["task_key"] == "one"
    assert shown["job_id"] == job["job_id"]
    assert shown["task_state"] == 201
    assert shown["task_msg"] == "waiting: no worker for key 'one' at site 'default'"


def test_retry_forceretry_and_reset_do_what_dane_says(api: Api) -> None:
    job = api.submit(tasks=TWO_STEPS)
    first, second = task_ids(job)

    def post(task_id: int, action: str) -> tuple[int, int | None]:
        answer = api.client.post(f"/HASTE/task/{task_id}/{action}")
        return answer.status_code, answer.json["Task"]["task_state"] if "Task" in answer.json else None

    assert post(first, "retry") == (409, None)
    api.run("one")
    assert post(first, "retry") == (409, None)
    api.run("two", TaskState.ERROR)
    assert post(second, "retry") == (200, 201)
    api.run("two")
    assert api.client.get(f"/HASTE/job/{job['job_id']}").json["state"] == 200

    assert post(first, "forceretry") == (200, 201)
    api.run("one")
    api.run("two")

    assert post(second, "reset") == (200, 201)
    assert api.store.claim(Route("two", "default"), 1, now=api.now, lease_s=30) == []
    assert api.client.get(f"/HASTE/job/{job['job_id']}").json["ended_at"] is None
    assert post(second, "retry") == (200, 201)
    api.run("two")
    assert api.client.get(f"/HASTE/job/{job['job_id']}").json["state"] == 200


def test_a_running_task_cannot_be_reset(api: Api) -> None:
    first, _ = task_ids(api.submit(tasks=TWO_STEPS))
    api.store.claim(Route("one", "default"), 1, now=api.now, lease_s=30)

    answer = api.client.post(f"/HASTE/task/{first}/reset")

    assert answer.status_code == 409
    assert "forceretry" in answer.json["detail"]


def test_state_never_changes_by_get(api: Api) -> None:
    job = api.submit(tasks=TWO_STEPS)
    first, _ = task_ids(job)

    for path in (f"task/{first}/reset", f"task/{first}/forceretry", f"job/{job['job_id']}/delete"):
        answer = api.client.get(f"/HASTE/{path}")
        assert answer.status_code == 405
        assert answer.content_type == "application/problem+json"
        assert "POST" in answer.headers["Allow"]


def test_priorities_change_the_order_of_hand_out(api: Api) -> None:
    jobs = [api.submit(source_id=name)["job_id"] for name in ("A", "B", "C")]

    answer = api.client.patch("/HASTE/priority", json={str(jobs[1]): 5.0, str(jobs[2]): "7", "99": 1})

    assert answer.json == {"changed": 2, "unknown": [99]}
    claimed = api.store.claim(Route("focus-score", "default"), 3, now=api.now, lease_s=30)
    assert [message.job_id for message in claimed] == [jobs[2], jobs[1], jobs[0]]


def test_priorities_can_be_named_by_index(api: Api) -> None:
    jobs = [api.submit(source_id=str(n), stream_id="plate7", index=n)["job_id"] for n in range(3)]

    answer = api.client.patch("/HASTE/priority", json={"stream_id": "plate7", "priorities": {"2": 9, "8": 1}})

    assert answer.json == {"changed": 1, "unknown": [8]}
    assert api.client.get(f"/HASTE/job/{jobs[2]}").json["priority"] == 9


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"x": 1}, 400),
        ({"1": "high"}, 400),
        ({"1": True}, 400),
        ({"1": None}, 400),
        ({"-1": 1}, 400),
        ({str(10**18): 1}, 400),
        ({"1": 10**400}, 400),
        ({"stream_id": "plate7"}, 400),
        ({"stream_id": "none", "priorities": {}}, 404),
        ({"stream_id": "plate7", "priorities": {"0": 1}, "more": 1}, 400),
        ({str(number): 1 for number in range(10_001)}, 400),
        ({}, 200),
    ],
)
def test_odd_priorities_are_refused(api: Api, body: dict, status: int) -> None:
    assert api.client.patch("/HASTE/priority", json=body).status_code == status
