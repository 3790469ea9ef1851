"""Pages that have not changed are not drawn again."""

import pytest

from haste_core.states import TaskState
from haste_core.tokens import NewToken, Scope, sha256_of
from haste_server.api import watching
from haste_server.web.unchanged import OLDEST_S
from tests.integration.api.conftest import Api
from tests.integration.api.test_alerts import raise_alerts
from tests.integration.web.conftest import form_token


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


def as_of(page: str) -> str:
    return page.partition("As of <time")[2].partition("</time>")[0]


def test_a_page_is_drawn_once_for_all_who_follow_it(api: Api) -> None:
    api.submit(source_id="A01", stream_id="plate7")
    other = api.client.application.test_client()
    first, second = (client.get("/stream/plate7") for client in (api.client, other))
    api.run("focus-score", TaskState.BAD_INPUT)
    path, headers = "/stream/plate7?show=failed", {"If-None-Match": first.headers["ETag"]}

    drawn = api.client.get(path, headers=headers)
    api.now += 1
    same = other.get(path, headers=headers)

    assert same.headers["ETag"] == drawn.headers["ETag"]
    assert as_of(same.text) == as_of(drawn.text)
    own, others = form_token(second.text), form_token(first.text)
    assert own != others
    assert same.text == drawn.text.replace(others, own)
    differing = {"Date", "Content-Length"}
    assert {k: v for k, v in same.headers if k not in differing} == {
        k: v for k, v in drawn.headers if k not in differing
    }
    assert as_of(other.get(path).text) > as_of(drawn.text), "who comes by a link sees what is now"
    stranger = api.client.application.test_client().get(path, headers=headers)
    assert form_token(stranger.text) not in (own, others)
    assert "Set-Cookie" in stranger.headers


def test_a_page_is_not_drawn_for_who_may_do_more_or_less(guarded: Api) -> None:
    other = guarded.client.application.test_client()
    for client, name, scope in ((guarded.client, "look", Scope.READ), (other, "act", Scope.SUBMIT)):
        wanted = NewToken(name=name, scopes=frozenset({scope}))
        guarded.store.add_token(wanted, sha256_of(f"secret {name}"), now=guarded.now)
        client.post("/login", data={"token": f"secret {name}"})
    headers = {"If-None-Match": '"older"'}

    offered = ["New job" in client.get("/jobs", headers=headers).text for client in (guarded.client, other)]

    assert offered == [False, True]
