"""The page of an image, with real rows."""

import pytest

from haste_core.routing import Route
from haste_core.states import TaskState
from haste_server.api.sessions import FORM_FIELD
from tests.integration.api.conftest import Api
from tests.integration.web.conftest import elements, form_token, look, measure, seen


def send(api: Api, path: str, *, status: int = 303, **fields: str) -> str:
    page = look(api, path.rpartition("/")[0])
    answer = api.client.post(path, data={FORM_FIELD: form_token(page), **fields})
    assert answer.status_code == status, answer.text
    return answer.text


def test_an_image_shows_its_tasks_answers_and_why_it_is_in_its_tier(api: Api) -> None:
    (job_id,) = measure(api, {"A01": -0.9}, metadata={"channel": "DAPI"})

    text = seen(look(api, f"/job/{job_id}"))

    assert f"A01 of stream plate7 (job {job_id}) belongs in tierA." in text
    assert "Its score is 0.9047, by logistic(" in text
    assert "The policy puts scores from 0.75 to 1 in tierA." in text
    assert "All decisions about it (1)" in text
    assert "focus-score at default done (200) 1 worker" in text
    assert "waiting: no worker for key 'tier' at site 'default'" in text
    assert "plls -0.9" in text
    assert "channel DAPI" in text


def test_an_image_without_a_decision_says_so(api: Api) -> None:
    job_id = api.submit(stream_id="plate7")["job_id"]

    page = look(api, f"/job/{job_id}")

    assert "Nothing was decided about this image yet" in seen(page)
    assert "/pin" not in page


def test_a_failed_image_is_retried_by_its_button(api: Api) -> None:
    job_id = api.submit(stream_id="plate7")["job_id"]
    api.run("focus-score", TaskState.BAD_INPUT)
    page = look(api, f"/job/{job_id}")
    assert "bad image (502)" in seen(page)
    assert "focus-score failed: no good" in seen(page)
    assert f"/job/{job_id}/cancel" not in page

    assert api.client.post(f"/job/{job_id}/retry").status_code == 403
    send(api, f"/job/{job_id}/retry")

    assert api.client.get(f"/HASTE/job/{job_id}").json["state"] == 201
    assert api.wakes == 2
    send(api, f"/job/{job_id}/cancel")
    assert "cancelled (410)" in seen(look(api, f"/job/{job_id}"))


def test_tasks_are_retried_reset_and_run_again_by_their_buttons(api: Api) -> None:
    job = api.submit(stream_id="plate7", tasks={"taskSequential": ["focus-score", "count-cells"]})
    job_id, task_id = job["job_id"], job["tasks"]["taskSequential"][0]["Task"]["task_id"]
    api.run("focus-score", TaskState.BAD_INPUT)
    page = look(api, f"/job/{job_id}")
    assert "Attempts of focus-score (1)" in seen(page)
    assert "ended as bad image (502) at worker" in seen(page)
    address = f"/job/{job_id}/task/{task_id}"

    assert api.client.post(f"{address}/reset").status_code == 403
    press(api, job_id, f"{address}/reset")
    assert "held until it is retried (201)" in seen(look(api, f"/job/{job_id}"))
    press(api, job_id, f"{address}/retry")
    api.run("focus-score")
    assert "Run again focus-score" in seen(look(api, f"/job/{job_id}"))
    press(api, job_id, f"{address}/forceretry")

    assert api.client.get(f"/HASTE/task/{task_id}").json["Task"]["task_state"] == 201
    press(api, job_id, f"{address}/retry", status=409)
    press(api, job_id, f"{address}/delete", status=400)
    other = api.submit(source_id="B", stream_id="plate7")["job_id"]
    press(api, other, f"/job/{other}/task/{task_id}/reset", status=404)


def test_a_job_is_held_until_it_is_retried(api: Api) -> None:
    job_id = api.submit(stream_id="plate7")["job_id"]
    press(api, job_id, f"/job/{job_id}/reset")
    assert api.store.claim(Route("focus-score", "default"), 1, now=api.now, lease_s=30) == []

    press(api, job_id, f"/job/{job_id}/reset", status=409)
    press(api, job_id, f"/job/{job_id}/retry")

    assert "Hold until retried" in seen(look(api, f"/job/{job_id}"))
    (message,) = api.store.claim(Route("focus-score", "default"), 1, now=api.now, lease_s=30)
    assert message.job_id == job_id
    text = seen(look(api, f"/job/{job_id}"))
    assert "state running (102)" in text
    assert "Hold until retried" not in text


def test_the_priority_is_changed_by_a_form(api: Api) -> None:
    job_id = api.submit(stream_id="plate7")["job_id"]

    press(api, job_id, f"/job/{job_id}/priority", priority=" 7.5 ")
    assert api.client.get(f"/HASTE/job/{job_id}").json["priority"] == 7.5
    for value in ("", "high", "nan", "1e400"):
        press(api, job_id, f"/job/{job_id}/priority", status=400, priority=value)

    assert 'value="7.5"' in look(api, f"/job/{job_id}")


def press(api: Api, job_id: int, path: str, *, status: int = 303, **fields: str) -> None:
    token = form_token(look(api, f"/job/{job_id}"))
    answer = api.client.post(path, data={FORM_FIELD: token, **fields})
    assert answer.status_code == status, answer.text


def test_an_image_is_pinned_and_unpinned_with_a_reason(api: Api) -> None:
    (job_id,) = measure(api, {"A01": -2.6})

    send(api, f"/job/{job_id}/pin", tier="tierA", reason="a mitosis", by="Ada")
    page = look(api, f"/job/{job_id}")
    assert "It was pinned to tierA by Ada" in seen(page)
    assert f"/job/{job_id}/pin" not in page
    assert "pinned" in seen(look(api, "/stream/plate7"))
    send(api, f"/job/{job_id}/unpin", reason="it was dust")

    item = api.client.get(f"/HASTE/job/{job_id}/decisions").json["decisions"][-1]
    assert (item["origin"], item["reason"]) == ("unpin", "not pinned any more: it was dust")
    send(api, f"/job/{job_id}/unpin", reason="again", status=409)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"tier": "none", "reason": "x"}, "there is no tier &#39;none&#39; here"),
        ({"tier": "../x", "reason": "x"}, "tier"),
        ({"tier": "tierA", "reason": ""}, "reason"),
        ({"tier": "tierA", "reason": "x" * 1001}, "reason"),
        ({}, "tier"),
    ],
)
def test_a_pin_that_cannot_be_is_explained(api: Api, fields: dict[str, str], said: str) -> None:
    (job_id,) = measure(api, {"A01": -2.6})

    assert said in send(api, f"/job/{job_id}/pin", status=400, **fields)

    assert not api.client.get("/HASTE/stream/plate7/images").json["images"][0]["pinned"]


def test_hostile_fields_are_shown_as_they_are(api: Api) -> None:
    hostile = "<script>alert(1)</script>\"'>{{ 7 * 7 }}"
    (job_id,) = measure(api, {hostile: -0.9}, metadata={hostile: hostile})
    page = look(api, f"/job/{job_id}")
    send(api, f"/job/{job_id}/pin", tier="tierA", reason=hostile, by=hostile)

    for shown in (page, look(api, f"/job/{job_id}")):
        assert hostile in seen(shown)
        assert len(elements(shown, lambda element: element.name == "script")) == 1


def test_an_unknown_job_is_explained(api: Api) -> None:
    assert "there is no job 77" in look(api, "/job/77", status=404)
    assert api.client.get("/job/" + "9" * 30).status_code == 404
