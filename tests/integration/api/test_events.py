"""Events as they happen, from what is in the database."""

import json
import select
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import TestResponse

from haste_core.errors import TransientError
from haste_core.jobspec import parse_job_spec
from haste_core.tokens import NewToken, Scope, sha256_of
from haste_server.api import events, watching
from haste_server.api.credentials import KEPT_S
from haste_server.api.services import services
from haste_server.store.sql import SqlStore
from tests.integration.api.conftest import LIMITS, Api, spec
from tests.integration.api.test_alerts import raise_alerts

Told = tuple[str, dict[str, Any]]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "EVERY_S", 0.02)
    monkeypatch.setattr(watching, "_TIMES_AS_LONG", 0.0)
    monkeypatch.setattr(events, "SILENCE_S", 0.1)


class Followed:
    """An answer that goes on, read event by event."""

    def __init__(self, api: Api, query: str = "", **headers: str) -> None:
        self.answer: TestResponse = api.client.get(f"/HASTE/events{query}", headers=headers, buffered=False)
        assert self.answer.status_code == 200, self.answer.text
        self.chunks = iter(self.answer.iter_encoded())
        self.head = next(self.chunks).decode()
        self._events = self._read()

    def __enter__(self) -> "Followed":
        return self

    def __exit__(self, *_: object) -> None:
        self.answer.close()

    def next(self) -> Told:
        return next(self._events)

    def silent(self) -> bool:
        return next(self.chunks) == b":\n\n"

    def _read(self) -> Iterator[Told]:
        for chunk in self.chunks:
            for block in chunk.decode().split("\n\n"):
                fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
                if "data" in fields:
                    yield fields["event"], json.loads(fields["data"])


def test_the_present_state_comes_first_then_what_changes(api: Api) -> None:
    first = api.submit(source_id="A01", stream_id="plate7")
    api.submit(source_id="B01", stream_id="other")
    with Followed(api) as followed:
        assert followed.head == "retry: 3000\nid: 0\n\n"
        assert followed.answer.content_type == "text/event-stream; charset=utf-8"
        told = [followed.next()[1] for _ in range(2)]
        assert {event["stream_id"]: event["open"] for event in told} == {"plate7": 1, "other": 1}
        assert followed.silent()

        api.run("focus-score")
        kind, event = followed.next()

    assert (kind, event["stream_id"]) == ("stream", "plate7")
    assert (event["open"], event["done"], event["failed"], event["running"]) == (0, 1, 0, 0)
    assert (event["last_job_id"], event["last_end_at"]) == (first["job_id"], api.now)
    assert (event["mode"], event["completed_at"], event["open_alerts"]) == ("observe", None, 0)


def test_what_happens_in_other_projects_is_not_told(store: SqlStore, tmp_path: Path) -> None:
    api = Api(store, tmp_path / "landing", token="a token of some length")
    header = {}
    for project in ("a", "b"):
        secret = f"the secret of {project}"
        store.add_token(NewToken(project, (Scope.SUBMIT,), (project,)), sha256_of(secret), now=api.now)
        header[project] = {"Authorization": f"Bearer {secret}"}

    def submit(project: str, stream_id: str) -> None:
        answer = api.client.post("/HASTE/job/", json=spec(stream_id=stream_id), headers=header[project])
        assert answer.status_code == 201, answer.text

    submit("a", "theirs")
    submit("b", "ours")
    with Followed(api, **header["b"]) as followed:
        assert followed.next()[1]["stream_id"] == "ours"
        submit("a", "theirs-too")
        submit("b", "ours-too")
        assert followed.next()[1]["stream_id"] == "ours-too"
    refused = api.client.get("/HASTE/events?stream_id=theirs", headers=header["b"])
    assert refused.status_code == 404


def expire(api: Api) -> None:
    api.now += 60


def revoke_elsewhere(api: Api) -> None:
    api.store.revoke_token("pc", now=api.now)
    api.now += KEPT_S


@pytest.mark.parametrize("end", [expire, revoke_elsewhere])
def test_who_follows_hears_no_more_when_the_token_is_good_no_more(
    store: SqlStore, tmp_path: Path, end: Callable[[Api], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "LONGEST_S", 1.0)
    api = Api(store, tmp_path / "landing", token="a token of some length")
    wanted = NewToken("pc", (Scope.READ,), expires_at=api.now + 60)
    store.add_token(wanted, sha256_of("a secret"), now=api.now)
    with Followed(api, Authorization="Bearer a secret") as followed:
        assert followed.silent()
        end(api)
        store.submit([parse_job_spec(spec(stream_id="plate7"))], now=api.now)
        assert [chunk for chunk in followed.chunks if chunk != b":\n\n"] == []


def test_after_an_id_of_another_database_new_alerts_are_told(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "LONGEST_S", 1.0)
    raise_alerts(api, times=1)
    with Followed(api, "?present=false", **{"Last-Event-ID": "500"}) as followed:
        assert followed.head.endswith("id: 1\n\n")
        raise_alerts(api, times=1)
        assert "alert" in [followed.next()[0] for _ in range(2)]


def test_every_kind_of_change_is_told_once(api: Api) -> None:
    job_id = api.submit(source_id="A01", stream_id="plate7", tasks="count-cells")["job_id"]
    later = api.submit(source_id="A02", stream_id="plate7")["job_id"]
    task_id = api.store.job(later).tasks[0].task_id
    with Followed(api, "?present=false") as followed:
        for change, seen in (
            (lambda: api.store.cancel_job(job_id, now=api.now), {"open": 1, "failed": 1}),
            (lambda: api.store.retry_job(job_id, now=api.now), {"open": 2, "failed": 0}),
            (lambda: api.store.reset_task(task_id, now=api.now), {"open": 2}),
            (lambda: api.store.set_mode("plate7", "enforce"), {"mode": "enforce"}),
            (lambda: api.store.complete_stream("plate7", now=api.now), {"completed_at": api.now}),
            (lambda: api.submit(source_id="A03", stream_id="plate7"), {"open": 3, "completed_at": None}),
            (lambda: api.submit(source_id="C01", stream_id="new"), {"stream_id": "new", "open": 1}),
        ):
            change()
            kind, event = followed.next()
            assert kind == "stream"
            assert event | seen == event
        assert followed.silent()


def test_one_stream_is_followed_by_itself(api: Api) -> None:
    api.submit(source_id="A01", stream_id="plate7")
    api.submit(source_id="B01", stream_id="other")
    with Followed(api, "?stream_id=plate7") as followed:
        assert followed.next()[1]["stream_id"] == "plate7"
        api.submit(source_id="B02", stream_id="other")
        assert followed.silent()
        api.submit(source_id="A02", stream_id="plate7")
        assert followed.next()[1]["open"] == 2


def test_alerts_are_told_and_those_of_the_meantime_after_a_break(api: Api) -> None:
    raise_alerts(api, times=1)
    api.submit(source_id="B01", stream_id="other", tasks="count-cells")
    with Followed(api, "?present=false") as followed:
        assert followed.head.endswith("id: 1\n\n")
        raise_alerts(api, times=1)
        told = dict(followed.next() for _ in range(2))
        assert told["alert"]["message"].startswith("All 2 images have ended")
        assert (told["alert"]["alert_id"], told["stream"]["open_alerts"]) == (2, 2)
    raise_alerts(api, times=2)

    with Followed(api, "?present=false&stream_id=plate7", **{"Last-Event-ID": "2"}) as followed:
        assert [followed.next()[1]["alert_id"] for _ in range(2)] == [3, 4]
    with Followed(api, "?present=false", **{"Last-Event-ID": "4"}) as followed:
        assert followed.silent()
    with Followed(api, "?present=false&stream_id=other", **{"Last-Event-ID": "0"}) as followed:
        assert followed.silent()


def test_when_all_places_are_taken_others_are_put_off(api: Api) -> None:
    followers = [Followed(api) for _ in range(LIMITS.event_streams)]

    refused = api.client.get("/HASTE/events")

    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "2")
    assert "ask for what you want to know every few seconds" in refused.json["detail"]
    for follower in followers:
        follower.answer.close()
    assert api.client.head("/HASTE/events").status_code == 200
    for _ in range(3):
        with Followed(api):
            pass


def test_a_follower_who_never_read_gives_the_place_back(api: Api) -> None:
    for _ in range(LIMITS.event_streams + 2):
        answer = api.client.get("/HASTE/events", buffered=False)
        assert answer.status_code == 200
        answer.close()


@pytest.mark.skipif(not hasattr(select, "poll"), reason="the server of Windows shows no connections")
def test_a_follower_who_hangs_up_gives_the_place_back_at_once(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "LONGEST_S", 1.0)
    here, there = socket.socketpair()
    with here, there:
        there.send(b"GET / HTTP/1.1")  # who sends more is still there
        answer = api.client.get("/HASTE/events", buffered=False, environ_overrides={"gunicorn.socket": here})
        chunks = answer.iter_encoded()
        next(chunks)
        api.submit(source_id="A01")
        assert b"event: stream" in next(chunks)
        assert here.recv(100)
        there.close()

        assert list(chunks) == []
        answer.close()


def test_the_end_of_the_server_ends_what_is_followed(api: Api) -> None:
    with api.client.application.app_context():
        following = services().following
    with Followed(api) as followed:
        threading.Timer(0.05, following.end).start()
        assert list(followed.chunks)[-1:] in ([], [b":\n\n"])


def test_an_outage_ends_what_is_followed_and_is_told_who_comes_again(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_stream_id: str | None) -> None:
        raise TransientError("the database is not available")

    with Followed(api) as followed:
        monkeypatch.setattr(type(api.store), "stream_marks", lambda _self, stream_id: away(stream_id))
        assert [chunk for chunk in followed.chunks if chunk != b":\n\n"] == []
    for _ in range(LIMITS.event_streams + 1):
        assert api.client.get("/HASTE/events").status_code == 503


@pytest.mark.parametrize(
    ("query", "identity", "status"),
    [
        ("?stream_id=none", "0", 404),
        ("?stream_id=../x", "0", 400),
        ("?present=perhaps", "0", 400),
        ("?more=1", "0", 400),
        ("", "x", 400),
    ],
)
def test_what_cannot_be_followed_is_explained(api: Api, query: str, identity: str, status: int) -> None:
    answer = api.client.get(f"/HASTE/events{query}", headers={"Last-Event-ID": identity})

    assert answer.status_code == status


def test_nobody_follows_and_nothing_is_asked(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str | None] = []
    monkeypatch.setattr(type(api.store), "stream_marks", lambda _self, name: asked.append(name) or [])
    with Followed(api) as followed:
        assert followed.silent()
        assert len(asked) > 1
    asked.clear()
    threading.Event().wait(0.1)

    assert asked == []
