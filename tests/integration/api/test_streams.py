"""Streams, pipelines and workers through the API."""

import pytest

from haste_core.dead_letters import DeadLetter, DeadLetters
from haste_core.messages import HeldAttempt, Presence
from haste_core.routing import Route
from tests.integration.api.conftest import NOW, Api, spec

SETTLED = {"to_redecide": 0, "to_move": 0}


def test_a_stream_is_created_once(api: Api) -> None:
    wanted = {"stream_id": "plate7", "pipeline": "focus-tier", "mode": "enforce"}

    first = api.client.post("/HASTE/stream/", json=wanted)
    again = api.client.post("/HASTE/stream", json=wanted)
    other = api.client.post("/HASTE/stream/", json=wanted | {"mode": "observe"})

    assert (first.status_code, again.status_code, other.status_code) == (201, 200, 409)
    assert first.headers["Location"] == "/HASTE/stream/plate7"
    stream = api.client.get("/HASTE/stream/plate7").json
    assert stream == first.json == again.json
    assert stream["pipeline"]["name"] == "focus-tier"
    assert stream["mode"] == "enforce"
    assert stream["created_at"] == NOW
    assert stream["progress"] == {"jobs": 0, "open": 0, "done": 0, "failed": 0} | SETTLED
    assert stream["tiers"] == {}


def test_a_new_stream_observes(api: Api) -> None:
    body = {"stream_id": "plate7", "pipeline": "focus-tier"}

    assert api.client.post("/HASTE/stream/", json=body).json["mode"] == "observe"
    assert api.client.post("/HASTE/stream/plate7/mode", json={"mode": "enforce"}).json["mode"] == "enforce"
    assert api.client.get("/HASTE/stream/plate7").json["mode"] == "enforce"
    assert api.client.post("/HASTE/stream/none/mode", json={"mode": "enforce"}).status_code == 404


@pytest.mark.parametrize(
    "wrong",
    [{"pipeline": "no-such"}, {"stream_id": "../x"}, {"stream_id": ""}, {"mode": "delete"}, {"more": 1}],
)
def test_odd_streams_are_refused(api: Api, wrong: dict) -> None:
    body = {"stream_id": "plate7", "pipeline": "focus-tier"} | wrong

    answer = api.client.post("/HASTE/stream/", json=body)

    assert answer.status_code == 400
    assert answer.json["problems"][0]["where"] == next(iter(wrong))


def test_an_unknown_pipeline_is_answered_with_the_known_ones(api: Api) -> None:
    answer = api.client.post("/HASTE/stream/", json={"stream_id": "plate7", "pipeline": "focus"})

    assert "focus-tier" in answer.json["detail"]
    offered = api.client.get("/HASTE/pipelines/").json["pipelines"]
    assert {"focus-tier", "edge", "full"} <= {pipeline["name"] for pipeline in offered}
    keys = {pipeline["name"]: pipeline["keys"] for pipeline in offered}
    assert keys["focus-tier"] == ["focus-score", "tier"]
    tags = {pipeline["name"]: pipeline["tags"] for pipeline in offered}
    assert (tags["full"], tags["focus-tier"], tags["edge"]) == (["lab1"], ["lab 2 é"], [])


def test_progress_counts_the_jobs(api: Api) -> None:
    for name in ("A", "B", "C"):
        api.submit(source_id=name, stream_id="plate7")
    api.run("focus-score")

    progress = api.client.get("/HASTE/stream/plate7").json["progress"]

    assert progress == {"jobs": 3, "open": 2, "done": 1, "failed": 0} | SETTLED


def test_streams_are_listed_by_name_in_pages(api: Api) -> None:
    for name in ("b", "a", "c"):
        api.client.post("/HASTE/stream/", json={"stream_id": name, "pipeline": "focus-tier"})

    first = api.client.get("/HASTE/stream/?limit=2").json
    rest = api.client.get("/HASTE/stream/", query_string={"cursor": first["next"], "limit": 2}).json

    assert [stream["stream_id"] for stream in first["streams"] + rest["streams"]] == ["a", "b", "c"]
    assert rest["next"] is None


def test_a_stream_is_complete_until_a_new_image_comes(api: Api) -> None:
    api.submit(source_id="A", stream_id="plate7", source_version="1")
    path = "/HASTE/stream/plate7"
    before, wakes = api.client.get(path).json, api.wakes

    done = api.client.post(f"{path}/complete")
    api.now += 10
    again = api.client.post(f"{path}/complete/")
    known = {**spec(source_id="A"), "stream_id": "plate7", "source_version": "1"}
    assert api.client.post("/HASTE/job/", json=known).status_code == 200

    assert (done.status_code, again.status_code) == (200, 200)
    assert before["completed_at"] is None
    assert done.json == before | {"completed_at": NOW}
    assert done.json["progress"] == {"jobs": 1, "open": 1, "done": 0, "failed": 0} | SETTLED
    assert again.json == done.json == api.client.get(path).json
    assert api.client.get("/HASTE/stream/").json["streams"] == [done.json]
    assert api.wakes > wakes, "image sets may wait no longer"

    api.submit(source_id="B", stream_id="plate7")
    assert api.client.get(path).json["completed_at"] is None
    joined = {"stream_id": "plate7", "pipeline": "focus-tier"}
    assert api.client.post(f"{path}/complete").json["completed_at"] == NOW + 10
    assert api.client.post("/HASTE/stream/", json=joined).json["completed_at"] == NOW + 10
    assert api.client.post("/HASTE/stream/none/complete").status_code == 404


def test_sources_are_listed_with_their_versions(api: Api) -> None:
    jobs = [api.submit(source_id=f"A{n}", source_version=str(n), stream_id="plate7") for n in range(3)]

    first = api.client.get("/HASTE/stream/plate7/sources?limit=2").json
    rest = api.client.get(f"/HASTE/stream/plate7/sources?limit=10000&cursor={first['next']}").json

    assert first["sources"] + rest["sources"] == [
        {"source_id": f"A{n}", "source_version": str(n), "job_id": job["job_id"]}
        for n, job in enumerate(jobs)
    ]
    assert api.client.get("/HASTE/stream/none/sources").status_code == 404
    assert api.client.get("/HASTE/stream/plate7/sources?limit=10001").status_code == 400


def test_workers_and_queues_are_shown(api: Api) -> None:
    api.submit(source_id="A")
    api.submit(source_id="B", tasks="count-cells", site="lab1")
    (message,) = api.store.claim(Route("focus-score", "default"), 1, now=NOW, lease_s=30)
    held = HeldAttempt(
        task_id=message.task_id, attempt=message.attempt, started_at=NOW, fraction=0.5, note="half"
    )
    presence = Presence(
        worker_id="w1",
        host="pc",
        pid=7,
        keys=("focus-score",),
        site="default",
        slots=2,
        held=(held, HeldAttempt(task_id=99, attempt=1)),
        version="0.9",
        sent_at=NOW - 70,
    )
    api.store.save_presence([presence], now=NOW)
    api.now += 3

    answer = api.client.get("/HASTE/workers/").json

    (worker,) = answer["workers"]
    assert (worker["worker_id"], worker["busy"], worker["seen_s_ago"]) == ("w1", 1, 3.0)
    assert (worker["version"], worker["clock_ahead_s"]) == ("0.9", -70.0)
    assert worker["current"] == [
        {"task_id": message.task_id, "attempt": 1, "since_s": 3.0, "fraction": 0.5, "note": "half"}
    ]
    queues = {queue["task_key"]: queue for queue in answer["queues"]}
    assert queues["focus-score"]["handed_out"] == 1
    assert queues["focus-score"]["live_workers"] == 1
    assert queues["focus-score"]["message"] == ""
    assert queues["count-cells"]["ready"] == 1
    assert queues["count-cells"]["oldest_ready_s"] == 3.0
    assert queues["count-cells"]["message"] == "no worker for key 'count-cells' at site 'lab1'"


def test_messages_that_nobody_can_read_are_shown(api: Api) -> None:
    assert api.client.get("/HASTE/workers/").json["dead_letters"] is None

    letter = DeadLetter("haste.results", "task_id: is required", '{"v": 1', died_at=api.now - 60)
    api.dead_letters = DeadLetters(7, (letter,))

    assert api.client.get("/HASTE/workers/").json["dead_letters"] == {
        "count": 7,
        "latest": [
            {
                "queue": "haste.results",
                "reason": "task_id: is required",
                "head": '{"v": 1',
                "died_s_ago": 60.0,
            }
        ],
    }


def test_health_and_readiness(api: Api) -> None:
    assert api.client.get("/healthz").json["status"] == "ok"
    assert api.client.get("/readyz").status_code == 200

    api.readiness["broker"] = "not connected"

    answer = api.client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json == {"database": "ok", "broker": "not connected", "engine": "ok"}
