"""The pages of streams, with real rows."""

import html
import re

import pytest

from haste_core.messages import Outcome, TaskResult
from haste_core.routing import Route
from haste_core.states import TaskState
from haste_server.api.sessions import FORM_FIELD
from haste_server.web.pages import NOTICES_SHOWN
from haste_server.web.stream import IMAGES_SHOWN
from haste_server.web.streams import STREAMS_SHOWN
from tests.integration.api.conftest import NOW, Api
from tests.integration.api.test_alerts import raise_alerts
from tests.integration.web.conftest import elements, form_token, look, measure, seen

PLLS = {"A01": -2.6, "A02": -1.9, "A03": -1.3, "A04": -0.9, "A05": -0.8}


def test_an_empty_server_says_how_to_begin(api: Api) -> None:
    page = seen(look(api, "/"))

    assert "There is no stream yet" in page
    assert "haste submit FOLDER --stream my-plate --server http://localhost" in page


def test_the_first_command_names_the_address_that_the_browser_asks(api: Api) -> None:
    behind = {"X-Forwarded-Proto": "https", "Host": "localhost:8443"}

    page = api.client.get("/", headers=behind).text

    assert "--server https://localhost:8443<" in page
    assert "--server http://localhost<" in look(api, "/")


def test_streams_are_listed_with_their_progress_and_tiers(api: Api) -> None:
    measure(api, PLLS)
    api.submit(source_id="B01", stream_id="plate7", tasks="focus-score")
    api.submit(source_id="B02", stream_id="other", tasks="focus-score")

    page = look(api, "/")

    (bar,) = elements(page, lambda element: element.attributes.get("class") == "bar")
    assert bar.attributes["aria-label"] == "tierA 2, tierB 1, tierD 2"
    text = seen(page)
    assert "tierA 2, tierB 1, tierD 2" in text
    assert "observes" in text
    assert text.index("other") < text.index("plate7")
    assert "No worker for key 'focus-score' at site 'default': tasks that wait: 2" in text


def test_a_stream_without_open_jobs_misses_no_worker(api: Api) -> None:
    api.submit(stream_id="other", tasks="count-cells")
    api.client.post("/HASTE/stream/", json={"stream_id": "fresh", "pipeline": "focus-tier"})

    assert "No worker for key 'count-cells'" in seen(look(api, "/stream/other"))
    assert "No worker" not in look(api, "/stream/fresh")


def test_many_queues_without_workers_leave_room_for_streams(api: Api) -> None:
    for number in range(NOTICES_SHOWN + 2):
        api.submit(source_id=f"A{number}", tasks=f"key-{number}")

    for path in ("/", "/workers"):
        page = look(api, path)
        assert page.count("No worker for key") == NOTICES_SHOWN
        assert "2 more queues have no worker" in seen(page)


def test_what_workers_take_is_not_said_to_wait_in_vain(api: Api) -> None:
    api.attend("focus-score", "tier")
    api.submit(stream_id="plate7")

    assert "no worker" not in look(api, "/")


def test_rate_and_time_left_are_those_of_the_last_minutes(api: Api) -> None:
    for number in range(7):
        api.submit(source_id=f"A0{number}", stream_id="plate7")
    for second in range(5):
        api.now = NOW + second * 2
        api.run("focus-score")
    api.now = NOW + 8

    text = seen(look(api, "/stream/plate7"))

    assert "5 of 7 images, running" in text
    assert "rate 30.0 images/min" in text
    assert "left 4 s" in text
    api.now = NOW + 4000
    assert "images, waiting" in seen(look(api, "/stream/plate7"))


def test_streams_are_paged(api: Api) -> None:
    for number in range(STREAMS_SHOWN + 3):
        api.submit(source_id="A01", stream_id=f"plate{number:03}")

    first = look(api, "/")
    assert first.count("<progress") == STREAMS_SHOWN
    following = re.search(r'href="(/\?cursor=[^"]+)" rel="next"', first)
    assert following
    rest = look(api, following[1])

    assert rest.count("<progress") == 3
    assert "First streams" in rest
    assert "plate022" in rest


def test_a_stream_shows_tiers_scores_and_borders(api: Api) -> None:
    measure(api, PLLS)

    page = look(api, "/stream/plate7")

    text = seen(page)
    assert "tierA 0.75 to 1.00 2 40.0% 2.0 kB" in text
    assert "tierC 0.25 to 0.50 0 0.0% 0 B -" in text
    assert "observes: decisions are noted, nothing moves" in text
    assert "0.925 to 0.950: 1 images in tierA" in text
    borders = elements(page, lambda element: element.attributes.get("class") == "border")
    assert len(borders) == 3


def test_a_stream_that_enforces_says_so(api: Api) -> None:
    measure(api, PLLS)
    api.client.post("/HASTE/stream/plate7/mode", json={"mode": "enforce"})

    assert "enforces: images go to their tiers" in seen(look(api, "/stream/plate7"))


def test_images_are_listed_as_submitted_by_score_and_by_tier(api: Api) -> None:
    measure(api, PLLS)
    api.submit(source_id="B01", stream_id="plate7", tasks="focus-score")

    assert names(api, "") == ["A01", "A02", "A03", "A04", "A05", "B01"]
    assert names(api, "?show=open") == ["A01", "A02", "A03", "A04", "A05", "B01"]
    assert names(api, "?show=best") == ["A05", "A04", "A03", "A02", "A01"]
    assert names(api, "?show=lowest") == ["A01", "A02", "A03", "A04", "A05"]
    assert names(api, "?tier=tierD") == ["A02", "A01"]
    assert names(api, "?tier=none") == []
    assert names(api, "?show=anything") == ["A01", "A02", "A03", "A04", "A05", "B01"]


def names(api: Api, query: str) -> list[str]:
    page = look(api, f"/stream/plate7{query}")
    return re.findall(r'<th scope="row" class="word"><a href="/job/\d+">([^<]+)</a>', page)


@pytest.mark.parametrize("query", ["", "?show=best", "?show=lowest", "?tier=tierD"])
def test_images_are_paged_by_key(api: Api, query: str) -> None:
    measure(api, {f"A{number:03}": -3 + number * 1e-3 for number in range(IMAGES_SHOWN + 7)})

    found, address, pages = [], f"/stream/plate7{query}", 0
    while address:
        page = look(api, address)
        found += re.findall(r'href="/job/\d+">([^<]+)</a></th>', page)
        following = re.search(r'href="([^"]+)" rel="next"', page)
        address, pages = (following[1].replace("&amp;", "&") if following else ""), pages + 1

    assert pages == 2
    wanted = [f"A{number:03}" for number in range(IMAGES_SHOWN + 7)]
    assert found == (wanted if query in ("", "?show=lowest") else wanted[::-1])


def test_failures_with_one_cause_are_told_as_one(api: Api) -> None:
    for number in range(4):
        api.submit(source_id=f"plate7/A0{number}.tif", stream_id="plate7")
    for number in range(3):
        fail(api, f"A0{number}.tif is no image that can be read")
    fail(api, "the disk is full")

    page = look(api, "/stream/plate7")
    text = seen(page)

    assert '<a href="/jobs?stream=plate7&amp;state=failed">Retry some or all of them' in page
    assert "3 focus-score bad image (502) … is no image that can be read plate7/A02.tif" in text
    assert "1 focus-score bad image (502) the disk is full" in text
    assert names(api, "?show=failed") == [f"plate7/A0{number}.tif" for number in range(4)]


def fail(api: Api, message: str) -> None:
    (claimed,) = api.store.claim(Route("focus-score", "default"), 1, now=api.now, lease_s=30)
    result = TaskResult(
        task_id=claimed.task_id,
        attempt=claimed.attempt,
        worker_id="worker",
        outcome=Outcome.ENDED,
        state=TaskState.BAD_INPUT,
        message=message,
    )
    api.store.record([result], now=api.now)


def test_an_alert_stands_above_all_until_it_is_acknowledged(api: Api) -> None:
    raise_alerts(api)
    page = look(api, "/stream/plate7")
    assert "1 alert" in seen(look(api, "/"))
    assert "The one image has ended" in seen(page)
    (form,) = elements(page, lambda element: "acknowledge" in (element.attributes.get("action") or ""))
    address = str(form.attributes["action"])

    assert api.client.post(address).status_code == 403
    assert api.client.post(address, data={FORM_FIELD: form_token(page)}).status_code == 303

    assert "The one image has ended" not in look(api, "/stream/plate7")


def test_an_unknown_stream_is_explained(api: Api) -> None:
    assert "there is no stream" in look(api, "/stream/none", status=404)


@pytest.mark.parametrize("cursor", ["x", "1:", "é", "%00", "9" * 50])
def test_a_cursor_that_was_made_up_is_no_fault_of_the_server(api: Api, cursor: str) -> None:
    measure(api, PLLS)
    for query in ("show=all", "show=best", "tier=tierA"):
        assert api.client.get(f"/stream/plate7?{query}&cursor={cursor}").status_code in (200, 400)


HOSTILE = [
    "<script>alert(1)</script>.tif",
    "\"><img src=x onerror=alert(1)>'.tif",
    "{{ 7 * 7 }}{% raw %}.tif",
    "ü 文 \u202egnp.exe 🔬.tif",
    "a" * 255,
    "javascript:alert(1)",
]


def test_hostile_names_are_shown_as_they_are(api: Api) -> None:
    for number, name in enumerate(HOSTILE):
        api.submit(source_id=name, stream_id="plate7", index=number)
    for name in HOSTILE:
        fail(api, f"{name}: <b>no</b> image & more")

    page = look(api, "/stream/plate7")

    assert names_seen(page) == HOSTILE
    assert "… : <b>no</b> image & more".replace("… ", "…") in seen(page)
    assert elements(page, lambda element: element.name in ("img", "b")) == []
    assert len(elements(page, lambda element: element.name == "script")) == 2
    assert not [
        name
        for element in elements(page, lambda _: True)
        for name in element.attributes
        if name.startswith("on") or name == "style"
    ]


def names_seen(page: str) -> list[str]:
    return [html.unescape(name) for name in re.findall(r'href="/job/\d+">([^<]+)</a></th>', page)]
