"""The page of jobs, with real rows."""

import re

import pytest

from haste_core.routing import Route
from haste_core.states import TaskState
from haste_server.api.sessions import FORM_FIELD
from haste_server.web.jobs import GROUPS_SHOWN, JOBS_SHOWN
from tests.integration.api.conftest import Api, result_of
from tests.integration.web.conftest import elements, form_token, look, seen
from tests.integration.web.test_large_streams import counting_rows, large
from tests.integration.web.test_streams import fail

__all__ = ["large"]  # a fixture


def listed(page: str) -> list[int]:
    return [int(number) for number in re.findall(r'name="job" value="(\d+)"', page)]


def act(api: Api, *, status: int = 303, **fields: object) -> str:
    token = form_token(look(api, "/jobs"))
    answer = api.client.post("/jobs/act", data={FORM_FIELD: token, **fields})
    assert answer.status_code == status, answer.text
    return answer.headers["Location"] if status == 303 else answer.text


def states(api: Api, *job_ids: int) -> list[int]:
    return [api.client.get(f"/HASTE/job/{job_id}").json["state"] for job_id in job_ids]


@pytest.fixture
def plate(api: Api) -> list[int]:
    """Have three images failed, two of them for one reason, one done and one waiting; return their jobs."""
    names = ["A01.tif", "A02.tif", "A03.tif", "B01.tif"]
    job_ids = [api.submit(source_id=name, stream_id="plate7")["job_id"] for name in names]
    fail(api, "A01.tif is broken")
    fail(api, "A02.tif is broken")
    fail(api, "the disk is full")
    api.run("focus-score")
    return [*job_ids, api.submit(source_id="C01.tif", stream_id="other", tasks="count-cells")["job_id"]]


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("", [5, 4, 3, 2, 1]),
        ("state=failed", [3, 2, 1]),
        ("state=502&text=BROKEN", [2, 1]),
        ("state=open", [5]),
        ("state=done", [4]),
        ("state=102", []),
        ("key=count-cells", [5]),
        ("key=focus-score&state=open", []),
        ("stream=other", [5]),
        ("text=b01", [4]),
        ("text=%25", []),
        ("state=&key=&stream=&text=", [5, 4, 3, 2, 1]),
    ],
)
def test_jobs_are_found_by_state_key_stream_and_text(
    api: Api, plate: list[int], query: str, wanted: list[int]
) -> None:
    assert listed(look(api, f"/jobs?{query}")) == wanted


def test_an_empty_list_says_whether_there_is_any_job(api: Api) -> None:
    page = look(api, "/jobs")
    assert "There is no job yet" in seen(page)
    assert "Retry" not in page  # nothing to do anything to
    assert len(elements(page, lambda one: one.attributes.get("href") == "/jobs/new")) == 2
    assert "No such job was found." in seen(look(api, "/jobs?state=failed"))


@pytest.mark.parametrize(
    "query", ["state=x", "key=%20a%20b", "stream=../x", "cursor=x", "text=" + "a" * 201, "state=999"]
)
def test_a_search_that_cannot_be_is_explained(api: Api, query: str) -> None:
    assert "Bad Request" in look(api, f"/jobs?{query}", status=400)


def test_failures_with_one_cause_are_retried_by_one_button(api: Api, plate: list[int]) -> None:
    page = look(api, "/jobs")
    assert "2 focus-score bad image (502) … is broken A02.tif , A01.tif" in seen(page).replace(",", " ,")
    assert "Retry all 2" in seen(page)

    address = act(api, action="retry", jobs="1,2")

    assert states(api, 1, 2, 3) == [201, 201, 502]
    assert "2 jobs run again." in seen(look(api, address))
    assert "is broken" not in seen(look(api, address))


def test_the_jobs_of_an_unknown_stream_wait_for_any_event(api: Api) -> None:
    api.submit(stream_id="plate7")

    assert 'data-events="/HASTE/events?present=false&amp;stream_id=plate7"' in look(
        api, "/jobs?stream=plate7"
    )
    assert 'data-events="/HASTE/events?present=false"' in look(api, "/jobs?stream=unknown")


def test_long_names_and_messages_leave_room_for_others(api: Api) -> None:
    for number in range(GROUPS_SHOWN + 2):
        api.submit(source_id=f"{'n' * 240}-{number:02}.tif")
        (message,) = api.store.claim(Route("focus-score", "default"), 1, now=api.now, lease_s=30)
        told = {"message": f"{number:02} {'m' * 1500}"}
        api.store.record([result_of(message, TaskState.ERROR).model_copy(update=told)], now=api.now)

    page = look(api, "/jobs")

    assert "m" * 290 in page
    assert "m" * 300 not in page
    assert f"n{'n' * 30}\N{HORIZONTAL ELLIPSIS}n" in page
    assert "2 more causes are not shown" in seen(page)
    assert "m" * 1500 in look(api, "/job/1")


def test_chosen_jobs_are_retried_reset_and_cancelled(api: Api, plate: list[int]) -> None:
    assert api.client.post("/jobs/act", data={"action": "retry", "job": "1"}).status_code == 403
    woken = api.wakes
    act(api, action="retry", job=["1", "2"])
    assert (states(api, 1, 2, 3), api.wakes) == ([201, 201, 502], woken + 1)

    address = act(api, action="reset", job=["2", "3"], state="failed", stream="plate7")
    assert "state=failed" in address
    assert "2 jobs reset." in seen(look(api, address))
    assert listed(look(api, "/jobs?state=205")) == [3, 2]

    act(api, action="cancel", job=["1", "5"])
    assert states(api, 1, 5) == [410, 410]
    act(api, action="retry", job=["1", "2", "3", "5"])
    assert states(api, 1, 2, 3, 5) == [201] * 4


def test_what_is_refused_is_told_with_the_reason(api: Api, plate: list[int]) -> None:
    text = seen(act(api, status=200, action="retry", job=["1", "4", "99"], stream="plate7"))

    assert "1 job run again, 2 not" in text
    assert "job 4: " in text
    assert "job 99: there is no job 99" in text
    reset = seen(act(api, status=200, action="reset", job=["4"]))
    assert "job 4: no task of it has failed or waits" in reset


def test_all_that_a_search_finds_is_acted_on(api: Api, plate: list[int]) -> None:
    act(api, action="retry", scope="all", state="failed", text="broken", job="3")

    assert states(api, 1, 2, 3) == [201, 201, 502]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"action": "retry"}, "put a tick to those that are meant"),
        ({"action": "delete", "job": "1"}, "is none of retry, cancel, reset"),
        ({"action": "retry", "job": "x"}, "should be the number of a job"),
        ({"action": "retry", "job": "9" * 19}, "should be the number of a job"),
        ({"action": "retry", "jobs": ",".join(map(str, range(1001)))}, "at most 1000 jobs"),
        ({"action": "retry", "job": "1", "state": "none"}, "state"),
    ],
)
def test_an_action_that_cannot_be_is_explained(
    api: Api, plate: list[int], fields: dict[str, str], said: str
) -> None:
    assert said in seen(act(api, status=400, **fields))
    assert states(api, 1) == [502]


def test_lists_of_a_hundred_thousand_jobs_are_paged_by_key(large: Api) -> None:
    for query in ("", "state=failed", "stream=plate7&state=done", "key=focus-score", "text=nowhere"):
        with counting_rows(large) as counted:
            page = look(large, f"/jobs?{query}")
        assert counted[0] < 5 * JOBS_SHOWN, query
        assert len(page) < 150_000, query
    assert "10 000 jobs were looked through" in seen(page).replace("\N{NARROW NO-BREAK SPACE}", " ")
    assert "cursor=90010" in page

    following = look(large, "/jobs?cursor=50000")
    assert listed(following) == list(range(49_999, 49_899, -1))
    assert "Newest jobs" in following


def test_hostile_fields_of_a_search_are_shown_as_they_are(api: Api) -> None:
    page = look(api, "/jobs?text=%22%3E%3Cscript%3Ealert(1)%3C/script%3E")

    assert 'value="&#34;&gt;&lt;script&gt;alert(1)&lt;/script&gt;"' in page
