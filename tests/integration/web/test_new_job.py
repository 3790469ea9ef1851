"""The form for new jobs."""

import html
import json
import re

import pytest

from haste_server.api.sessions import FORM_FIELD
from tests.integration.api.conftest import Api, spec
from tests.integration.web.conftest import form_token, look, seen


def send(api: Api, text: str, *, status: int = 303, call: str = "one click", action: str = "submit") -> str:
    token = form_token(look(api, "/jobs/new"))
    fields = {FORM_FIELD: token, "spec": text, "call": call, "action": action}
    answer = api.client.post("/jobs/new", data=fields)
    assert answer.status_code == status, answer.text
    return answer.headers["Location"] if status == 303 else answer.text


def test_the_form_begins_with_a_job_that_can_be_sent(api: Api) -> None:
    page = look(api, "/jobs/new?stream=plate9")
    (text,) = re.findall(r"<textarea[^>]*>\n(.*?)</textarea>", page, re.DOTALL)

    address = send(api, html.unescape(text).replace("\n", "\r\n"))

    assert address == "/job/1"
    assert api.client.get("/HASTE/job/1").json["stream_id"] == "plate9"
    assert api.wakes == 1


def test_a_second_click_stores_no_second_job_another_text_does(api: Api) -> None:
    text = json.dumps(spec())
    assert send(api, text) == send(api, text) == "/job/1"
    assert send(api, json.dumps(spec(source_id="A02"))) == "/job/2"
    assert send(api, text, call="another") == "/job/3"


def test_checking_stores_nothing_and_says_who_is_missing(api: Api) -> None:
    text = seen(send(api, json.dumps(spec()), status=200, action="check"))

    assert "Nothing is wrong with this job: 1 task for A01" in text
    assert "It would wait: no worker for key 'focus-score' at site 'default'." in text
    assert api.client.get("/HASTE/jobs/").json["jobs"] == []


BAD = """{
  "source_url": "file:///a.tif",
  "source_id": "a",
  "tasks": {"taskSequential": ["focus-score", {"Task": {"task_key": "no good"}}]},
  "priority": "high",
  "metadata": {"well": [1, {"x": "\\"]}"}]},
  "colour": 1
}"""


def test_problems_are_told_beside_the_text_with_their_places(api: Api) -> None:
    page = send(api, BAD, status=400)

    text = seen(page)
    assert "3 problems" in text
    assert "line 5, column 15 priority" in text
    assert "line 7, column 13 colour" in text
    assert re.search(r"line 4, column \d+ tasks", text)
    marked = re.search(r'data-from="(\d+)" data-to="(\d+)">line 5', page)
    assert marked
    assert BAD[int(marked[1]) : int(marked[2])] == '"high"'
    assert html.unescape(page).count(BAD) == 1  # nothing that was typed is lost


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"source_id": "a",\n  oops}', "line 2, column 3"),
        ("", "line 1, column 1"),
        ("[1]", "the body should be a JSON object"),
        ('{"a": 1, "a": 2}', "the name 'a' is given twice"),
        ("[" * 5000, "nested more than"),
        (r'{"source_id": "\ud800"}', "the body is not JSON"),
        ('{"a": NaN}', "NaN is not a JSON number"),
        ("{}", "source_url"),
    ],
)
def test_a_text_that_is_no_job_is_explained(api: Api, text: str, said: str) -> None:
    assert said in seen(send(api, text, status=400))


def test_what_the_stream_cannot_decide_is_explained(api: Api) -> None:
    assert "needs the answer of 'focus-score'" in seen(send(api, json.dumps(spec(tasks="tier")), status=400))


def test_a_form_that_no_page_showed_is_refused(api: Api) -> None:
    assert api.client.post("/jobs/new", data={"spec": json.dumps(spec())}).status_code == 403
