"""The client and the command that follow what happens, at a server in this process."""

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from itertools import islice

import pytest
from werkzeug.wrappers import Response

from haste_apps.following import show_events
from haste_client import AlertAnswer, HasteClient, InvalidError, NotFoundError, OutageError, StreamEvent
from haste_client.errors import ServerUnreachableError
from haste_server.api import events, watching
from haste_server.api.services import services
from tests.e2e.haste_command import environment
from tests.integration.api.conftest import LIMITS, Api
from tests.integration.api.test_alerts import raise_alerts
from tests.services.wsgi import serving
from tests.waiting import PATIENCE_S, wait_for

Event = StreamEvent | AlertAnswer


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "EVERY_S", 0.02)
    monkeypatch.setattr(watching, "_TIMES_AS_LONG", 0.0)
    monkeypatch.setattr(events, "SILENCE_S", 0.05)  # who is gone is noticed then


@pytest.fixture
def client(api: Api) -> Iterator[HasteClient]:
    """Return a client of the API."""
    with serving(api.client.application) as url, HasteClient(url, retry_for_s=0.2) as made:
        yield made


def heard(told: Iterator[Event], count: int) -> list[Event]:
    return list(islice(told, count))


def test_the_present_state_comes_first_then_changes_and_alerts(api: Api, client: HasteClient) -> None:
    raise_alerts(api)
    told = client.events()
    (first,) = heard(told, 1)
    assert isinstance(first, StreamEvent)
    assert (first.stream_id, first.open, first.done, first.last_end_at) == ("plate7", 0, 1, api.now)

    api.submit(source_id="B01", stream_id="other")
    (change,) = heard(told, 1)
    assert isinstance(change, StreamEvent)
    assert (change.stream_id, change.open, change.last_end_at) == ("other", 1, None)
    api.run("focus-score")
    assert [event.stream_id for event in heard(told, 1)] == ["other"]
    raise_alerts(api)
    alert = next(event for event in told if isinstance(event, AlertAnswer))
    assert (alert.alert_id, alert.stream_id, alert.rule) == (2, "plate7", "finished")


def test_one_stream_is_followed_by_itself_and_an_unknown_one_is_refused(
    api: Api, client: HasteClient
) -> None:
    raise_alerts(api, times=2)
    api.submit(source_id="B01", stream_id="other")
    told = client.events(stream_id="plate7", after_alert_id=0)
    kinds = [(type(event), event.stream_id) for event in heard(told, 3)]
    assert kinds == [(AlertAnswer, "plate7"), (AlertAnswer, "plate7"), (StreamEvent, "plate7")]
    with pytest.raises(NotFoundError):
        next(client.events(stream_id="none"))


def test_after_a_break_only_what_is_new_is_told(
    api: Api, client: HasteClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "RECONNECT_MS", 10)
    monkeypatch.setattr(events, "LONGEST_S", 0.01)  # each connection tells how streams stand, and ends
    breaks: list[float] = []

    def pause(seconds: float) -> None:
        breaks.append(seconds)
        if len(breaks) == 3:
            raise_alerts(api)

    raise_alerts(api)
    told = client.events(pause=pause)
    assert [event.stream_id for event in heard(told, 1)] == ["plate7"]
    news = heard(told, 1)
    while not isinstance(news[-1], AlertAnswer):  # the first look may come between job and alert
        news += heard(told, 1)
    assert [event.alert_id for event in news if isinstance(event, AlertAnswer)] == [2]
    assert len(breaks) >= 3
    assert set(breaks) == {0.01}


def test_a_server_without_a_place_says_what_to_do(api: Api, client: HasteClient) -> None:
    taken = [api.client.get("/HASTE/events", buffered=False) for _ in range(LIMITS.event_streams)]
    with pytest.raises(OutageError, match="every few seconds instead"):
        next(client.events())
    for answer in taken:
        answer.close()
    api.submit(source_id="B01", stream_id="other")
    assert heard(client.events(), 1)


def test_what_is_no_haste_server_is_told() -> None:
    with (
        serving(Response("a page", mimetype="text/html")) as url,
        HasteClient(url) as client,
        pytest.raises(InvalidError, match="is this a HASTE server"),
    ):
        next(client.events())


def test_a_server_that_stays_away_is_told(api: Api) -> None:
    api.submit(source_id="B01", stream_id="other")
    with serving(api.client.application) as url:
        client = HasteClient(url, retry_for_s=0.05)
        told = client.events(outage_s=0.0, pause=lambda _: None)
        heard(told, 1)
        with api.client.application.app_context():
            services().following.end()
    with pytest.raises(ServerUnreachableError):
        next(told)
    client.close()


def test_events_are_shown_as_lines(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    raise_alerts(api)
    stop = threading.Event()
    lines: list[str] = []

    def take(line: str) -> None:
        lines.append(line)
        stop.set()

    monkeypatch.setattr("haste_apps.following.print_line", take)
    with serving(api.client.application) as url, HasteClient(url, retry_for_s=0.2) as client:
        show_events(client, None, as_json=False, stop=stop)
        with api.client.application.app_context():
            services().following.end()
    (line,) = lines
    assert line.endswith("plate7: 0 open (0 running), 1 done, 0 failed, observes, 1 open alerts")
    # What was stopped does not go on to look for a server that is gone.
    wait_for(lambda: "follow" not in {thread.name for thread in threading.enumerate()}, timeout_s=20)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signal")
def test_the_command_follows_until_ctrl_c(api: Api, client: HasteClient) -> None:
    raise_alerts(api)
    command = subprocess.Popen(
        [sys.executable, "-m", "haste_apps.cli", "events", "plate7", "--json"],
        env=environment(client.url, {}),
        stdout=subprocess.PIPE,
        text=True,
    )
    with command:
        assert command.stdout is not None
        told = json.loads(command.stdout.readline())
        command.send_signal(signal.SIGINT)
        assert command.wait(PATIENCE_S) == 0
    assert (told["event"], told["stream_id"], told["done"]) == ("stream", "plate7", 1)
