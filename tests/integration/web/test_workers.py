"""The page of workers and queues, and the banner of alerts."""

import re

import pytest

from haste_core.dead_letters import DeadLetter, DeadLetters
from haste_core.errors import TransientError
from haste_core.messages import HeldAttempt, Presence
from haste_core.routing import Route
from haste_server.api.sessions import FORM_FIELD
from haste_server.web.workers import WORKERS_SHOWN
from tests.integration.api.conftest import NOW, Api
from tests.integration.api.test_alerts import raise_alerts
from tests.integration.web.conftest import form_token, look, seen


def test_an_empty_server_says_that_nobody_is_there(api: Api) -> None:
    text = seen(look(api, "/workers"))

    assert "Nothing waits, and no worker is there." in text
    assert "No worker is alive." in text


def test_workers_show_what_they_run_and_queues_what_waits(api: Api) -> None:
    for name in ("A01", "A02", "A03"):
        api.submit(source_id=name, stream_id="plate7")
    api.submit(source_id="B01", tasks="count-cells")
    (message,) = api.store.claim(Route("focus-score", "default"), 1, now=NOW, lease_s=30)
    held = HeldAttempt(task_id=message.task_id, attempt=1, started_at=NOW - 4, fraction=0.25, note="reading")
    presence = Presence(
        worker_id="w1",
        host="pc",
        pid=7,
        keys=("focus-score", "tier"),
        site="default",
        slots=2,
        held=(held,),
        tasks_per_s={"focus-score": 2.5},
        sent_at=NOW,
    )
    api.store.save_presence([presence], now=NOW)
    api.now = NOW + 90
    api.store.save_presence([presence], now=api.now)

    text = seen(look(api, "/workers"))

    assert "w1 pc, process 7 default focus-score, tier 1 of 2 2.5/s" in text
    assert "A01 for 1 min 34 s, 25.0% reading 0 s ago" in text
    assert "focus-score default 1 2 1 min 30 s 1 0 2.5/s" in text
    assert "count-cells default none 1 1 min 30 s 0 0 -" in text
    assert "No worker for key 'count-cells' at site 'default': 1 waiting task." in text
    assert "tier default 1 0 - 0 0 -" in text
    assert api.client.get("/HASTE/workers/").json["workers"][0]["tasks_per_s"] == {"focus-score": 2.5}


def test_a_part_that_is_away_is_told_before_workers_are_missed(api: Api) -> None:
    assert "is in trouble" not in look(api, "/workers")
    api.readiness["broker"] = "not connected: no RabbitMQ answers"

    text = seen(look(api, "/workers"))

    assert "The broker of the server is in trouble: not connected: no RabbitMQ answers." in text


def test_an_outage_says_what_becomes_of_what_was_accepted(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> None:
        raise TransientError("the database is away")

    monkeypatch.setattr(api.store.database, "read", fail)

    page = look(api, "/workers", status=503)

    assert "the database is away What was accepted is stored" in seen(page)
    assert 'href="/readyz"' in page


def taking_tiers(worker_id: str, **tiers: str) -> Presence:
    return Presence(
        worker_id=worker_id,
        host="nas-1",
        pid=7,
        keys=("tier",),
        site="lab1",
        slots=1,
        tiers=tiers,
        sent_at=NOW,
    )


def test_tiers_show_who_cannot_write_to_them_and_what_to_do(api: Api) -> None:
    away = "the folder /mnt/<b>A</b> is not there"
    crowd = [taking_tiers(f"c{number}", tierA="", tierB="disk full") for number in range(WORKERS_SHOWN + 2)]
    api.store.save_presence(
        [taking_tiers("w1", tierA=away, tierC=""), taking_tiers("w2", tierA="", tierC=""), *crowd], now=NOW
    )

    page = look(api, "/workers")

    text = seen(page)
    assert f"tierA cannot be written to by w1 (nas-1, at lab1): {away}. Put that right there" in text
    assert "c7 (nas-1, at lab1) and 2 more: disk full" in text
    assert "tierA 11 1" in text
    assert "tierB 0 10" in text
    assert "tierC 2 0" in text
    assert re.search(r"No live worker knows [^.]*\btierD\b[^.]*, or has tried it yet", text)
    assert not re.search(r"No live worker knows [^.]*tier[ABC]", text)
    assert "/jobs?key=tier&amp;state=failed" in page


def test_without_workers_that_put_images_to_tiers_it_is_said_that_nothing_is_known(api: Api) -> None:
    api.attend("focus-score")

    text = seen(look(api, "/workers"))

    assert "No live worker puts images to tiers" in text
    assert "tierA" not in text


def test_messages_that_nobody_could_read_are_told(api: Api) -> None:
    api.dead_letters = DeadLetters(3, (DeadLetter("haste.a.lab1", "it is not JSON", "x", NOW),))

    assert "3 messages could not be read" in seen(look(api, "/workers"))


def test_open_alerts_stand_above_every_page_until_they_are_acknowledged(api: Api) -> None:
    raise_alerts(api)
    for path in ("/", "/jobs", "/workers", "/jobs/new", "/job/1"):
        assert "The one image has ended" in seen(look(api, path)), path
    page = look(api, "/alerts")
    assert "plate7 : The one image has ended" in seen(page).replace("plate7:", "plate7 :")

    address, token = "/alerts/plate7/1/acknowledge", form_token(page)
    assert api.client.post(address).status_code == 403
    assert api.client.post(address, data={FORM_FIELD: token}).status_code == 303

    assert "No alert is open. A stream raises them by the rules under alerts: in its pipeline" in seen(
        look(api, "/alerts")
    )
    assert "All 1 image" not in look(api, "/jobs")


def test_who_has_not_logged_in_sees_no_alert(guarded: Api) -> None:
    assert "live-banner" in look(guarded, "/login")
    assert "Open alerts" not in look(guarded, "/login")
    for path in ("/jobs", "/workers", "/alerts", "/jobs/new"):
        assert guarded.client.get(path).status_code == 303
