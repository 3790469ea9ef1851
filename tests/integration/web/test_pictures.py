"""Pictures of images: as workers made them, and fetched once."""

import re

from haste_core.messages import Outcome, TaskResult
from haste_core.routing import Route
from haste_core.states import TaskState
from tests.integration.api.conftest import Api
from tests.integration.web.conftest import elements, look

JPEG = b"\xff\xd8\xff and more"


def draw(api: Api, jpeg: bytes = JPEG) -> None:
    (claimed,) = api.store.claim(Route("focus-score", "default"), 1, now=api.now, lease_s=30)
    result = TaskResult(
        task_id=claimed.task_id,
        attempt=claimed.attempt,
        worker_id="worker",
        outcome=Outcome.ENDED,
        state=TaskState.DONE,
        thumbnail=jpeg,
    )
    api.store.record([result], now=api.now)


def test_a_picture_is_fetched_once(api: Api) -> None:
    job_id = api.submit(stream_id="plate7")["job_id"]
    draw(api)

    (shown,) = elements(look(api, "/stream/plate7"), lambda element: element.name == "img")
    address = str(shown.attributes["src"])
    answer = api.client.get(address)

    assert re.fullmatch(rf"/job/{job_id}/picture\?of=[0-9a-f]{{16}}", address)
    assert (answer.data, answer.content_type) == (JPEG, "image/jpeg")
    assert answer.headers["Cache-Control"] == "private, max-age=31536000, immutable"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    again = api.client.get(address, headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    (portrait,) = elements(look(api, f"/job/{job_id}"), lambda element: element.name == "img")
    assert (portrait.attributes["src"], portrait.attributes["alt"]) == (address, "A01")
    # An address that names no content, or another one, may get another picture later.
    for query in ("", "?of=0123456789abcdef"):
        other = api.client.get(f"/job/{job_id}/picture{query}")
        assert (other.data, other.headers["Cache-Control"]) == (JPEG, "private, no-cache")


def test_an_image_without_a_picture_has_a_quiet_place(api: Api) -> None:
    job_id = api.submit(stream_id="plate7")["job_id"]

    page = look(api, "/stream/plate7")

    assert elements(page, lambda element: element.name == "img") == []
    assert len(elements(page, lambda element: element.attributes.get("class") == "picture none")) == 1
    assert api.client.get(f"/job/{job_id}/picture").status_code == 404
    assert api.client.get("/job/999/picture").status_code == 404


def test_pictures_are_for_those_who_may_look(guarded: Api) -> None:
    answer = guarded.client.get("/job/1/picture")

    assert answer.status_code == 303
    assert "/login" in answer.headers["Location"]
