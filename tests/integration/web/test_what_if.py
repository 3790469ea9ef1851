"""Trying another policy on a stream's page, and giving the stream one."""

import re

import pytest

from haste_server.api.sessions import FORM_FIELD
from tests.integration.api.conftest import Api
from tests.integration.web.conftest import elements, form_token, look, measure, seen

PLLS = {"A01": -2.6, "A02": -1.9, "A03": -1.3, "A04": -0.9, "A05": -0.8}
AS_JSON = {"Accept": "application/json"}


def form_of(page: str) -> dict[str, str | list[str]]:
    """Return what the form of the policy holds."""
    fields: dict[str, str | list[str]] = {FORM_FIELD: form_token(page)}
    (present,) = elements(page, lambda element: element.attributes.get("name") == "present")
    borders = elements(page, lambda element: element.attributes.get("name") == "border")
    fields["present"] = str(present.attributes["value"])
    fields["border"] = [str(one.attributes["value"]) for one in borders]
    return fields


def test_another_border_is_tried_and_applied(api: Api) -> None:
    measure(api, PLLS)
    form = form_of(look(api, "/stream/plate7"))
    assert form["border"] == ["0.25", "0.5", "0.75"]
    form["border"] = ["0.05", "0.5", "0.93"]

    told = api.client.post("/stream/plate7/policy/preview", data=form, headers=AS_JSON)

    assert told.status_code == 200, told.text
    assert told.json == {
        "tiers": {"tierA": [1, 1000], "tierB": [2, 2000], "tierC": [1, 1000], "tierD": [1, 1000]},
        "moving": 2,
        "moving_bytes": 2000,
    }

    page = api.client.post("/stream/plate7/policy/preview", data=form).text
    assert "2 images (2.0 kB) would be in another tier" in seen(page)
    assert "1 from tierA to tierB" in seen(page)
    again = {name: page_values(page, name) for name in ("present", "border")}
    applied = api.client.post("/stream/plate7/policy", data={FORM_FIELD: form_token(page)} | again)
    assert (applied.status_code, applied.headers["Location"]) == (303, "/stream/plate7#tiers")
    assert form_of(look(api, "/stream/plate7"))["border"] == ["0.05", "0.5", "0.93"]
    assert api.wakes


def page_values(page: str, name: str) -> list[str]:
    found = elements(page, lambda element: element.attributes.get("name") == name)
    return [str(one.attributes["value"]) for one in found]


@pytest.mark.parametrize(
    ("borders", "said"),
    [
        (["0.5", "0.25", "0.75"], "empty"),
        (["0.5"], "should be given 3 times"),
        (["0.1", "nan", "0.75"], "finite number"),
        (["0.1", "<b>", "0.75"], "is no number"),
        (["-1", "0.5", "2"], "0"),
    ],
)
def test_borders_that_cannot_be_are_refused(api: Api, borders: list[str], said: str) -> None:
    measure(api, PLLS)
    form = form_of(look(api, "/stream/plate7")) | {"border": borders}

    for path in ("policy/preview", "policy"):
        refused = api.client.post(f"/stream/plate7/{path}", data=form)
        assert refused.status_code == 400
        assert said in seen(refused.text)
    assert form_of(look(api, "/stream/plate7"))["border"] == ["0.25", "0.5", "0.75"]


def test_nobody_changes_another_policy_than_they_saw(api: Api) -> None:
    measure(api, PLLS)
    old = form_of(look(api, "/stream/plate7"))
    api.client.post("/stream/plate7/policy", data=old | {"border": ["0.1", "0.5", "0.75"]})

    refused = api.client.post("/stream/plate7/policy", data=old | {"border": ["0.2", "0.5", "0.75"]})

    assert refused.status_code == 409
    assert "was changed after this page was opened" in refused.text
    assert form_of(look(api, "/stream/plate7"))["border"] == ["0.1", "0.5", "0.75"]


def test_a_change_that_no_page_asked_for_is_refused(api: Api) -> None:
    measure(api, PLLS)
    form = form_of(look(api, "/stream/plate7"))
    del form[FORM_FIELD]

    for path in ("policy/preview", "policy", "mode"):
        assert api.client.post(f"/stream/plate7/{path}", data=form).status_code == 403


RANKED = [
    ({"type": "top-k", "tier": "tierA", "rest": "tierD", "k": 2}, "k", ["2"], ["3"], 3),
    ({"type": "top-k", "tier": "tierA", "rest": "tierD", "percent": 20}, "percent", ["20"], ["75"], 4),
    (
        {"type": "budget", "budgets": [{"tier": "tierA", "bytes": "2 kB"}], "rest": "tierD"},
        "bytes",
        ["2 KB"],
        ["4000 B"],
        4,
    ),
]


@pytest.mark.parametrize(("policy", "name", "now", "wanted", "held"), RANKED)
def test_rankings_have_a_number_to_change_and_no_borders(
    api: Api, policy: dict[str, object], name: str, now: list[str], wanted: list[str], held: int
) -> None:
    measure(api, PLLS)
    changed = {"policy": policy | {"undefined": "tierD"}}
    assert api.client.post("/HASTE/stream/plate7/policy", json=changed).status_code == 200
    page = look(api, "/stream/plate7")
    assert page_values(page, name) == now
    assert elements(page, lambda element: element.attributes.get("class") == "between") == []
    assert "has no borders at certain scores" in seen(page)

    form = form_of(page) | {name: wanted}
    told = api.client.post("/stream/plate7/policy/preview", data=form, headers=AS_JSON)

    assert told.status_code == 200, told.text
    assert told.json["tiers"]["tierA"][0] == held


def test_examples_stand_for_all_of_a_tier(api: Api) -> None:
    measure(api, {f"A{number:03}": -1.15 + number * 0.01 for number in range(60)})

    page = look(api, "/stream/plate7")

    shown = re.findall(r'<li data-tier="(\w+)" data-score="([\d.]+)"', page)
    values = [float(score) for tier, score in shown if tier == "tierA"]
    assert len(shown) == len(values) == 6
    assert values == sorted(values, reverse=True)
    assert values[0] > 0.97
    assert values[-1] < 0.78


def test_it_is_said_what_would_move_before_a_stream_enforces(api: Api) -> None:
    measure(api, PLLS)

    asked = look(api, "/stream/plate7/mode")
    assert "5 images (5.0 kB) would move now" in seen(asked)
    assert "the originals stay where they are" in seen(asked)
    form = {FORM_FIELD: form_token(asked), "mode": "enforce"}
    assert api.client.post("/stream/plate7/mode", data=form | {"mode": "destroy"}).status_code == 400
    assert api.client.post("/stream/plate7/mode", data=form).status_code == 303

    assert "enforces: images go to their tiers" in seen(look(api, "/stream/plate7"))
    assert "Only observe?" in seen(look(api, "/stream/plate7/mode"))
    assert "there is no stream" in look(api, "/stream/none/mode", status=404)
