"""Pages that have not changed are not drawn again."""

import pytest

from haste_server.api import watching
from haste_server.web.unchanged import OLDEST_S
from tests.integration.api.conftest import Api
from tests.integration.api.test_alerts import raise_alerts


@pytest.fixture(autouse=True)
def _look_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "EVERY_S", 0.0)
    monkeypatch.setattr(watching, "_TIMES_AS_LONG", 0.0)


def again(api: Api, path: str, tag: str) -> tuple[int, str]:
    answer = api.client.get(path, headers={"If-None-Match": tag})
    assert (answer.data == b"") == (answer.status_code == 304)
    return answer.status_code, answer.headers.get("ETag", tag)


@pytest.mark.parametrize("path", ["/", "/stream/plate7", "/jobs", "/jobs?stream=plate7", "/alerts"])
def test_a_page_is_drawn_again_when_something_has_happened(api: Api, path: str) -> None:
    api.submit(source_id="A01", stream_id="plate7")
    tag = api.client.get(path).headers["ETag"]
    assert again(api, path, tag) == (304, tag)
    for change in (
        lambda: api.run("focus-score"),
        lambda: (api.attend("focus-score"), setattr(api, "now", api.now + 2)),
        lambda: api.client.post("/HASTE/stream/plate7/mode", json={"mode": "enforce"}),
        lambda: setattr(api, "now", api.now + OLDEST_S),
    ):
        change()
        status, new = again(api, path, tag)
        assert (status, new != tag) == (200, True)
        assert again(api, path, new)[0] == 304
        tag = new


def test_another_stream_changes_only_what_shows_it(api: Api) -> None:
    raise_alerts(api)
    api.submit(source_id="B01", stream_id="other")
    of_one, of_all = (api.client.get(path).headers["ETag"] for path in ("/stream/other", "/"))

    api.submit(source_id="A09", stream_id="plate7")
    assert again(api, "/stream/other", of_one)[0] == 304
    assert again(api, "/", of_all)[0] == 200
    api.store.acknowledge("plate7", 1, now=api.now)

    assert again(api, "/stream/other", of_one)[0] == 200


def test_other_pages_are_always_drawn_and_strangers_sent_away(api: Api, guarded: Api) -> None:
    api.submit(source_id="A01", stream_id="plate7")
    for path in ("/workers", "/job/1", "/jobs/new"):
        assert "ETag" not in api.client.get(path).headers
    assert guarded.client.get("/", headers={"If-None-Match": "*"}).status_code == 303
