"""Jobs through the API."""

import pytest

from haste_core import jobspec
from haste_core.states import TaskState
from tests.integration.api.conftest import NOW, Api, spec

FOCUS_AND_TIER = {"taskSequential": ["focus-score", "tier"]}


@pytest.mark.parametrize("path", ["/HASTE/job/", "/HASTE/job"])
def test_a_submitted_job_is_answered_with_its_tasks_and_stored(api: Api, path: str) -> None:
    answer = api.client.post(path, json=spec(metadata={"channel": "DAPI"}))

    assert answer.status_code == 201
    job = answer.json
    assert job["state"] == 201
    assert job["created_at"] == NOW
    assert job["tasks"]["Task"]["task_state"] == 201
    assert job["place"] == {"url": "root://nas/plate7/A01.tif", "site": "default"}
    assert api.client.get(answer.headers["Location"]).json == job
    assert api.wakes == 1


def test_a_known_source_answers_with_the_job_that_is_there(api: Api) -> None:
    first = api.submit(source_version="1000-5")

    again = api.client.post("/HASTE/job/", json=spec(source_version="1000-5"))

    assert again.status_code == 200
    assert again.json["job_id"] == first["job_id"]
    assert api.wakes == 1


def test_a_repeated_call_with_its_key_answers_as_the_first_did(api: Api) -> None:
    headers = {"Idempotency-Key": "a-b-c"}
    first = api.client.post("/HASTE/job/", json=spec(), headers=headers)
    again = api.client.post("/HASTE/job/", json=spec(), headers=headers)
    other = api.client.post("/HASTE/job/", json=spec(source_id="B01"), headers=headers)

    assert (first.status_code, again.status_code, other.status_code) == (201, 200, 409)
    assert again.json["job_id"] == first.json["job_id"]


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ("'a' * 9000000000000000000 == 'b'", "arithmetic needs numbers, not text"),
        ("2x > 10", "at character 1: '2x' is neither a number"),
        ("n\uff11 > 0", "is not a name"),
        ("n" + "+n" * 400, "more than 100 deep"),
    ],
)
def test_a_condition_that_cannot_be_read_is_refused(api: Api, condition: str, said: str) -> None:
    task = {"Task": {"task_key": "focus-score", "when": condition}}

    answer = api.client.post("/HASTE/job/", json=spec(tasks=task))

    assert answer.status_code == 400
    assert said in answer.json["problems"][0]["what"]
    assert answer.json["problems"][0]["where"] == "tasks.Task.when"


def test_a_condition_that_does_not_fit_its_values_ends_its_task(api: Api) -> None:
    task = {"Task": {"task_key": "focus-score", "when": "known.text * 9000000000000000000 == 'b'"}}

    job = api.submit(tasks=task, response={"known": {"text": "a"}})

    assert job["state"] == 500
    assert "arithmetic needs numbers, not text" in job["tasks"]["Task"]["task_msg"]


@pytest.mark.parametrize("key", ["", "x" * 256, "two words", "näh"])
def test_an_odd_idempotency_key_is_refused(api: Api, key: str) -> None:
    answer = api.client.post("/HASTE/job/", json=spec(), headers={"Idempotency-Key": key})

    assert answer.status_code == 400
    assert answer.json["problems"][0]["where"] == "Idempotency-Key"


def test_all_problems_of_a_spec_are_told_at_once_and_nothing_is_stored(api: Api) -> None:
    answer = api.client.post(
        "/HASTE/job/", json={"source_id": "../x", "tasks": {"taskSequential": []}, "colour": "red"}
    )

    assert answer.status_code == 400
    assert answer.content_type == "application/problem+json"
    assert {problem["where"] for problem in answer.json["problems"]} == {
        "source_url",
        "source_id",
        "tasks.taskSequential",
        "colour",
    }
    assert api.client.get("/HASTE/jobs/").json == {"jobs": [], "next": None}
    assert api.wakes == 0


def test_the_store_may_refuse_a_spec_too(api: Api) -> None:
    nothing_to_decide = {"taskSequential": ["preprocess", "upload"]}
    api.client.post("/HASTE/stream/", json={"stream_id": "edge", "pipeline": "edge"})

    allowed = api.client.post("/HASTE/job/", json=spec(stream_id="edge", tasks=nothing_to_decide))
    refused = api.client.post("/HASTE/job/", json=spec(stream_id="edge", tasks="tier"))

    assert allowed.status_code == 201
    assert refused.status_code == 400
    assert "needs a score" in refused.json["problems"][0]["what"]


def test_bulk_submission_answers_for_each_spec(api: Api) -> None:
    known = api.submit(source_version="1")

    answer = api.client.post(
        "/HASTE/jobs/",
        json={"jobs": [spec(source_version="1"), {"source_id": 5}, "nonsense", spec(source_id="B01")]},
    )

    assert answer.status_code == 200
    results = answer.json["results"]
    assert [result["status"] for result in results] == [200, 400, 400, 201]
    assert results[0]["job_id"] == known["job_id"]
    assert {problem["where"] for problem in results[1]["problems"]} == {"source_url", "source_id", "tasks"}
    assert api.client.get(f"/HASTE/job/{results[3]['job_id']}").json["source_id"] == "B01"


def test_a_repeated_bulk_call_stores_nothing_more(api: Api) -> None:
    body = {"jobs": [spec(source_id=f"A{number}") for number in range(5)]}
    headers = {"Idempotency-Key": "bulk-1"}
    first = api.client.post("/HASTE/jobs/", json=body, headers=headers).json["results"]
    again = api.client.post("/HASTE/jobs/", json=body, headers=headers).json["results"]

    assert [item["job_id"] for item in again] == [item["job_id"] for item in first]
    assert {item["status"] for item in again} == {200}
    assert len(api.client.get("/HASTE/jobs/").json["jobs"]) == 5


def test_bulk_calls_have_a_limit(api: Api) -> None:
    answer = api.client.post("/HASTE/jobs/", json={"jobs": [0] * 1001})

    assert answer.status_code == 400
    assert answer.json["problems"][0]["where"] == "jobs"


def test_jobs_are_listed_in_pages(api: Api) -> None:
    submitted = [api.submit(source_id=f"A{number:02}")["job_id"] for number in range(5)]

    seen, cursor = [], None
    while True:
        page = api.client.get(
            "/HASTE/jobs/", query_string={"limit": 2} | ({"cursor": cursor} if cursor else {})
        )
        seen += [job["job_id"] for job in page.json["jobs"]]
        cursor = page.json["next"]
        if cursor is None:
            break

    assert seen == submitted


def test_jobs_are_found_by_state_stream_source_and_end(api: Api) -> None:
    done = api.submit(source_id="done")["job_id"]
    api.run("focus-score", plls=-1.2)
    api.now += 100
    failed = api.submit(source_id="failed", stream_id="other")["job_id"]
    api.run("focus-score", TaskState.BAD_INPUT)
    waiting = api.submit(source_id="open/with a slash")["job_id"]

    def listed(**query: object) -> list[int]:
        answer = api.client.get("/HASTE/jobs/", query_string=query)
        return [job["job_id"] for job in answer.json["jobs"]]

    assert listed(state="done") == [done]
    assert listed(state="failed") == listed(state=502) == [failed]
    assert listed(state="open") == [waiting]
    assert listed(stream_id="other") == [failed]
    assert listed(source_id="done") == [done]
    assert listed(ended_since=NOW) == [done, failed]
    assert listed(ended_since=NOW + 50) == [failed]
    assert api.client.get("/HASTE/job/inprogress").json == {"jobs": [waiting], "next": None}
    assert api.client.get("/HASTE/search/open/with%20a%20slash").json == {"jobs": [waiting], "next": None}
    assert api.client.get("/HASTE/search/nothing").json == {"jobs": [], "next": None}


def test_the_list_by_end_continues_where_it_stopped(api: Api) -> None:
    for number in range(3):
        api.submit(source_id=f"A{number}")
        api.run("focus-score")
        api.now += 0.25

    first = api.client.get("/HASTE/jobs/", query_string={"ended_since": NOW, "limit": 2}).json
    rest = api.client.get(
        "/HASTE/jobs/", query_string={"ended_since": NOW, "limit": 2, "cursor": first["next"]}
    ).json

    assert [job["source_id"] for job in first["jobs"] + rest["jobs"]] == ["A0", "A1", "A2"]


@pytest.mark.parametrize(
    "query",
    [
        {"cursor": "x"},
        {"cursor": "9" * 30},
        {"cursor": "nan:1"},
        {"cursor": "1790000000.5:3"},
        {"limit": 0},
        {"limit": 1001},
        {"limit": "ten"},
        {"state": "finished"},
        {"state": 999},
        {"ended_since": "nan"},
        {"ended_since": "inf"},
        {"ended_since": -1},
        {"stream_id": "a/b"},
        {"colour": "red"},
    ],
)
def test_odd_queries_are_refused(api: Api, query: dict[str, object]) -> None:
    answer = api.client.get("/HASTE/jobs/", query_string=query)

    assert answer.status_code == 400, answer.text
    assert answer.json["problems"]


def test_what_is_too_long_is_told_with_both_lengths(api: Api) -> None:
    answer = api.client.post("/HASTE/job/", json=spec(source_id="x" * 300))

    assert answer.status_code == 400
    assert answer.json["problems"] == [
        {"where": "source_id", "what": "is 300 characters long; at most 255 are possible"}
    ]


def test_an_unknown_state_is_one_problem(api: Api) -> None:
    answer = api.client.get("/HASTE/jobs/", query_string={"state": "finished"})

    (problem,) = answer.json["problems"]
    assert problem["where"] == "state"
    assert problem["what"].startswith("should be open, done, failed, or one of the codes 102, 200")


def test_a_spec_too_large_to_be_sent_is_refused_at_once(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobspec, "MAX_SPEC_BYTES", 1000)
    large = spec(source_id="B01", metadata={"mask": "0" * 1000})

    alone = api.client.post("/HASTE/job/", json=large)
    among_others = api.client.post("/HASTE/jobs/", json={"jobs": [spec(), large, spec(source_id="C01")]})

    assert alone.status_code == 400
    assert "at most 1,000 are possible; 'metadata' has 1,0" in alone.json["detail"]
    assert [item["status"] for item in among_others.json["results"]] == [201, 400, 201]
    assert among_others.json["results"][1]["problems"] == alone.json["problems"]
    stored = api.client.get("/HASTE/jobs/").json["jobs"]
    assert [job["source_id"] for job in stored] == ["A01", "C01"]


def test_a_deleted_job_is_gone(api: Api) -> None:
    first, second = (api.submit(source_id=name)["job_id"] for name in ("A01", "B01"))

    assert api.client.delete(f"/HASTE/job/{first}").status_code == 204
    assert api.client.post(f"/HASTE/job/{second}/delete").status_code == 204
    assert api.client.get(f"/HASTE/job/{first}").status_code == 404
    assert api.client.delete(f"/HASTE/job/{second}").status_code == 404


def test_a_failed_job_can_be_retried(api: Api) -> None:
    job_id = api.submit()["job_id"]
    too_early = api.client.post(f"/HASTE/job/{job_id}/retry")
    api.run("focus-score", TaskState.BAD_INPUT)

    retried = api.client.post(f"/HASTE/job/{job_id}/retry")

    assert too_early.status_code == 409
    assert retried.status_code == 200
    assert retried.json["state"] == 201
    assert api.wakes == 2


@pytest.mark.parametrize(
    "path", ["/HASTE/job/1", "/HASTE/task/1", "/HASTE/job/999999999999999999", "/HASTE/stream/none"]
)
def test_what_is_not_there_is_not_found(api: Api, path: str) -> None:
    answer = api.client.get(path)

    assert answer.status_code == 404
    assert "there is no" in answer.json["detail"]


@pytest.mark.parametrize(
    "number", ["9223372036854775807", "9223372036854775808", "1" * 40, "-1", "1.5", "abc", "%00", "\u0663"]
)
def test_numbers_that_no_job_can_have_are_not_found(api: Api, number: str) -> None:
    for method, path in (("GET", "job"), ("DELETE", "job"), ("GET", "task")):
        answer = api.client.open(f"/HASTE/{path}/{number}", method=method)
        assert answer.status_code == 404
        assert answer.content_type == "application/problem+json"


def test_a_waiting_task_says_that_nobody_takes_it(api: Api) -> None:
    job_id = api.submit(tasks=FOCUS_AND_TIER, site="lab1")["job_id"]

    def messages() -> list[str]:
        job = api.client.get(f"/HASTE/job/{job_id}").json
        return [task["Task"]["task_msg"] for task in job["tasks"]["taskSequential"]]

    assert messages() == ["waiting: no worker for key 'focus-score' at site 'lab1'", ""]
    api.attend("focus-score", site="lab2")
    api.now += 2
    assert messages()[0] != ""
    api.attend("focus-score", "tier", site="lab1")
    api.now += 2
    assert messages() == ["", ""]
    api.now += 60
    assert messages()[0] != ""
