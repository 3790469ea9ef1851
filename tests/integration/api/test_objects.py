"""Images, what-if, policies, pins and decisions through the API."""

from typing import Any

import pytest

from haste_core.decisions import Decision, decide
from haste_core.interestingness import built_in
from haste_server.engine.evaluation import StreamsSoFar, evaluate
from tests.integration.api.conftest import NOW, Api

PLLS = {"A01": -2.6, "A02": -1.9, "A03": -1.5, "A04": -1.3, "A05": -0.9}
INTERVALS = [{"lo": 0, "hi": 0.5, "tier": "tierD"}, {"lo": 0.5, "hi": 1, "tier": "tierA"}]


@pytest.fixture
def plate(api: Api) -> Api:
    """Return the API with five images and an empty one decided about."""
    api.client.post("/HASTE/stream/", json={"stream_id": "plate7", "pipeline": "focus-tier"})
    tasks = {"taskSequential": ["focus-score", "tier"]}
    for number, name in enumerate([*PLLS, "A06"]):
        api.submit(source_id=name, stream_id="plate7", tasks=tasks, index=number, location=[number, 1.5])
    for name in [*PLLS, "A06"]:
        features = {"plls": PLLS.get(name, -1.0), "empty": name == "A06", "noise_lift": 0, "speck_lift": 0}
        facts = {"position_um": [1.0, 2.0]}
        api.run("focus-score", **features, size_bytes=1000, facts=facts)
    decide_all(api)
    return api


def decide_all(api: Api) -> None:
    answered = []
    for item in api.store.undecided(limit=100, now=NOW):
        spec, policy = item.pipeline.interestingness, item.pipeline.policy
        assert spec is not None
        assert policy is not None
        answered.append((item, decide(item.scored, spec=spec, policy=policy, build=built_in)))
    api.store.record_decisions(answered, now=NOW)


def images(api: Api, query: str = "") -> list[dict[str, Any]]:
    answer = api.client.get(f"/HASTE/stream/plate7/images{query}")
    assert answer.status_code == 200, answer.text
    return answer.json["images"]


def names(api: Api, query: str = "") -> list[str]:
    return [image["source_id"] for image in images(api, query)]


def test_images_are_listed_by_score_and_as_submitted(plate: Api) -> None:
    assert names(plate) == ["A05", "A04", "A03", "A02", "A01", "A06"]
    assert names(plate, "?order=score") == ["A06", "A01", "A02", "A03", "A04", "A05"]
    assert names(plate, "?order=job") == [*PLLS, "A06"]


def test_images_are_chosen_by_tier_and_score(plate: Api) -> None:
    assert names(plate, "?tier=tierA") == ["A05"]
    assert names(plate, "?tier=empty") == ["A06"]
    assert names(plate, "?max=0.5") == ["A03", "A02", "A01"]
    assert names(plate, "?min=0.3&max=0.9") == ["A04", "A03"]
    assert names(plate, "?min=0") == ["A05", "A04", "A03", "A02", "A01"]


@pytest.mark.parametrize("order", ["score", "-score", "job"])
def test_pages_of_images_hold_each_once(plate: Api, order: str) -> None:
    found: list[str] = []
    cursor = None
    while True:
        query = {"order": order, "limit": 2} | ({"cursor": cursor} if cursor else {})
        page = plate.client.get("/HASTE/stream/plate7/images", query_string=query).json
        found += [image["source_id"] for image in page["images"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert found == names(plate, f"?order={order}")


def test_an_image_is_shown_with_all_that_is_known(plate: Api) -> None:
    (image,) = images(plate, "?tier=tierA")
    assert image["features"]["plls"] == -0.9
    assert image["place"] == {"url": "root://nas/plate7/A01.tif", "site": "default"}
    assert (image["origin"], image["pinned"], image["size_bytes"]) == ("policy", False, 1000)
    assert image["score"] == pytest.approx(1 / (1 + 2.718281828459045 ** (-4.5 * 0.5)))
    assert "tierA" in image["reason"]
    (empty,) = images(plate, "?tier=empty")
    assert empty["score"] is None
    assert "nothing but noise" in empty["reason"]


def test_targets_are_the_best_with_their_positions(plate: Api) -> None:
    found = plate.client.get("/HASTE/stream/plate7/targets?top=2").json["targets"]
    assert [(target["source_id"], target["location"]) for target in found] == [
        ("A05", [4.0, 1.5]),
        ("A04", [3.0, 1.5]),
    ]
    assert found[0]["facts"] == {"position_um": [1.0, 2.0]}
    assert len(plate.client.get("/HASTE/stream/plate7/targets?top=10").json["targets"]) == 5


ASKING = {"function": "rest", "features_from": "focus-score", "parameters": {"url": "http://127.0.0.1/"}}
OWN = {"type": "own", "policy": "os:system", "tiers": ["tierA"], "undefined": "empty"}
TOP = {"type": "top-k", "k": 2, "tier": "tierA", "rest": "tierD", "undefined": "empty"}
BUDGET = {
    "type": "budget",
    "budgets": [{"tier": "tierA", "bytes": 1500}, {"tier": "tierB", "bytes": 2000}],
    "rest": "tierD",
    "undefined": "empty",
}
AUDITED = {"intervals": [{"lo": 0, "hi": 1, "tier": "tierD"}], "undefined": "empty"} | {
    "audit": {"fraction": 0.5, "seed": 4, "tier": "tierC"}
}


def _preview(api: Api, **body: Any) -> dict[str, Any]:
    answer = api.client.post("/HASTE/stream/plate7/policy/preview", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json


def _spec(api: Api, **changes: Any) -> dict[str, Any]:
    present = api.client.get("/HASTE/stream/plate7").json["pipeline"]["interestingness"]
    return present | changes


def test_another_policy_is_tried_without_moving_anything(plate: Api) -> None:
    before = images(plate)
    found = _preview(plate, policy={"intervals": INTERVALS, "undefined": "empty"})
    assert found["tiers"] == {
        "empty": {"count": 1, "size_bytes": 1000},
        "tierA": {"count": 2, "size_bytes": 2000},
        "tierD": {"count": 3, "size_bytes": 3000},
    }
    assert (found["count"], found["moving"]) == (6, 2)
    assert {(move["before"], move["after"]) for move in found["moves"]} == {
        ("tierB", "tierA"),
        ("tierC", "tierD"),
    }
    assert images(plate) == before


def test_a_misspelt_feature_is_told_by_preview_and_policy(plate: Api) -> None:
    body = {"interestingness": _spec(plate, parameters={"feature": "plsl", "k": 4.5, "x0": -1.4})}
    found = _preview(plate, **body)
    assert found["moving"] == 0
    assert found["unscored"] == {"count": 5, "reason": "the object has no number 'plsl'"}
    (warning,) = found["warnings"]
    assert "logistic looks at 'plsl'" in warning
    assert "did you mean 'plls'?" in warning
    answer = plate.client.post("/HASTE/stream/plate7/policy", json=body)
    assert answer.json["warnings"] == [warning]


def test_a_function_that_fits_gives_no_warning(plate: Api) -> None:
    body = {"interestingness": _spec(plate, parameters={"feature": "plls", "k": 4.0, "x0": -1.4})}
    found = _preview(plate, **body)
    assert (found["unscored"], found["warnings"]) == ({"count": 0, "reason": None}, [])
    assert plate.client.post("/HASTE/stream/plate7/policy", json=body).json["warnings"] == []


@pytest.mark.parametrize(
    ("function", "parameters"),
    [
        ("logistic", {"feature": "plls", "k": 4.5, "x0": -1.0}),
        ("logistic", {"feature": "plls", "k": -4.5, "x0": -1.0}),
        ("expression", {"expression": "(plls + 3) / 3"}),
        ("quantile", {"feature": "plls", "tiers": 4, "min_objects": 2}),
    ],
)
def test_a_preview_says_what_then_happens(plate: Api, function: str, parameters: dict[str, Any]) -> None:
    body = {"interestingness": _spec(plate, function=function, parameters=parameters)}
    expected = _preview(plate, **body)

    assert plate.client.post("/HASTE/stream/plate7/policy", json=body).status_code == 200
    redecide_all(plate)

    tiers = plate.client.get("/HASTE/stream/plate7").json["tiers"]
    assert {name: tier["count"] for name, tier in tiers.items()} == {
        name: tier["count"] for name, tier in expected["tiers"].items()
    }


@pytest.mark.parametrize("policy", [TOP, BUDGET, AUDITED], ids=["top-k", "budget", "audit"])
def test_a_preview_says_what_then_happens_with_any_policy(plate: Api, policy: dict[str, Any]) -> None:
    lowest = images(plate, "?order=score")[1]
    plate.store.pin(lowest["job_id"], "tierA", reason="an example", made_by="eva", now=NOW)
    expected = _preview(plate, policy=policy)
    assert expected["moving"] > 0

    answer = plate.client.post("/HASTE/stream/plate7/policy", json={"policy": policy})
    assert answer.json["pipeline"]["policy"]["type"] == policy.get("type", "intervals")
    redecide_all(plate)
    while plate.store.revise("plate7", now=NOW):
        pass

    tiers = plate.client.get("/HASTE/stream/plate7").json["tiers"]
    assert {name: tier["count"] for name, tier in tiers.items()} == {
        name: tier["count"] for name, tier in expected["tiers"].items()
    }


def test_a_ranking_is_tried_with_another_function_as_it_is_applied(plate: Api) -> None:
    body = {
        "interestingness": _spec(plate, function="expression", parameters={"expression": "(3 + plls) / 4"}),
        "policy": TOP,
    }
    expected = _preview(plate, **body)
    assert expected["moving"] > 0
    plate.client.post("/HASTE/stream/plate7/policy", json=body)
    redecide_all(plate)
    while plate.store.revise("plate7", now=NOW):
        pass
    tiers = plate.client.get("/HASTE/stream/plate7").json["tiers"]
    counts = {name: tier["count"] for name, tier in tiers.items()}
    assert counts == {name: tier["count"] for name, tier in expected["tiers"].items()}
    assert _preview(plate, **body)["moves"] == []


def redecide_all(api: Api) -> None:
    due = api.store.to_redecide(limit=100)
    loaded = StreamsSoFar(
        lambda wanted: iter(
            [api.store.decided(wanted.stream_id, after=wanted.after, up_to=wanted.up_to, limit=1000)]
        )
    )
    answers = [(item, evaluate(item, loaded)) for item in due]
    api.store.redecided(
        [(item, answer if isinstance(answer, Decision) else None) for item, answer in answers], now=NOW
    )


def test_another_policy_is_applied_and_the_engine_woken(plate: Api) -> None:
    wakes = plate.wakes
    answer = plate.client.post(
        "/HASTE/stream/plate7/policy", json={"policy": {"intervals": INTERVALS, "undefined": "tierD"}}
    )
    assert answer.json["pipeline"]["policy"]["undefined"] == "tierD"
    assert plate.wakes == wakes + 1
    assert len(plate.store.to_redecide(limit=100)) == 3


@pytest.mark.parametrize(
    ("body", "where", "what"),
    [
        ({}, "", "give an interestingness function"),
        ({"policy": {"intervals": INTERVALS[:1], "undefined": "empty"}}, "policy", "from 0 to 1"),
        ({"policy": {"intervals": INTERVALS, "undefined": "moon"}}, "policy", "no tier 'moon' here (known:"),
        ({"policy": {"intervals": INTERVALS, "undefined": "empty", "move": True}}, "policy.move", "false"),
        ({"interestingness": {"function": "os:system", "features_from": "focus-score"}}, "", "may be named"),
        ({"interestingness": {"function": "logistic", "features_from": "x"}}, "", "is required"),
        ({"interestingness": ASKING}, "", "no function 'rest' that may be named here"),
        ({"policy": OWN}, "policy", "no policy of a package"),
    ],
)
def test_an_unfit_policy_is_refused(plate: Api, body: dict[str, Any], where: str, what: str) -> None:
    for address in ("policy", "policy/preview"):
        answer = plate.client.post(f"/HASTE/stream/plate7/{address}", json=body)
        assert answer.status_code == 400, answer.text
        assert what in answer.text
        assert where in answer.json["problems"][0]["where"]
    assert plate.store.to_redecide(limit=1) == []


def test_a_pin_keeps_an_image_in_its_tier(plate: Api) -> None:
    job_id = images(plate, "?tier=tierA")[0]["job_id"]
    pinned = plate.client.post(
        f"/HASTE/job/{job_id}/pin", json={"tier": "archive", "reason": "figure 2", "by": "eva"}
    )
    assert pinned.status_code == 200, pinned.text
    assert (pinned.json["tier"], pinned.json["pinned"], pinned.json["origin"]) == ("archive", True, "pin")
    body = {"policy": {"intervals": INTERVALS, "undefined": "tierD"}}
    assert _preview(plate, **body)["tiers"]["archive"]["count"] == 1

    assert plate.client.post(f"/HASTE/job/{job_id}/unpin", json={"reason": "done"}).json["pinned"] is False
    redecide_all(plate)
    assert images(plate, "?tier=tierA")[0]["job_id"] == job_id
    again = plate.client.post(f"/HASTE/job/{job_id}/unpin", json={"reason": "done"})
    assert again.status_code == 409

    told = plate.client.get(f"/HASTE/job/{job_id}/decisions").json["decisions"]
    assert [(one["origin"], one["made_by"], one["tier"]) for one in told] == [
        ("policy", None, "tierA"),
        ("pin", "eva", "archive"),
        ("unpin", None, "archive"),
        ("new-policy", None, "tierA"),
    ]
    assert [one["supersedes"] for one in told] == [None, *(one["decision_id"] for one in told[:-1])]


def test_a_pin_needs_a_tier_that_is_there_and_an_image(plate: Api) -> None:
    job_id = images(plate)[0]["job_id"]
    nowhere = plate.client.post(f"/HASTE/job/{job_id}/pin", json={"tier": "moon", "reason": "x"})
    assert (nowhere.status_code, "no tier 'moon'" in nowhere.text) == (400, True)
    nobody = plate.client.post("/HASTE/job/9999/pin", json={"tier": "archive", "reason": "x"})
    assert nobody.status_code == 404


def test_decisions_of_a_stream_are_listed_with_what_they_were_made_from(plate: Api) -> None:
    first = plate.client.get("/HASTE/stream/plate7/decisions?limit=4").json
    rest = plate.client.get(f"/HASTE/stream/plate7/decisions?cursor={first['next']}").json
    listed = first["decisions"] + rest["decisions"]
    assert [one["source_id"] for one in listed] == [*PLLS, "A06"]
    assert rest["next"] is None
    assert listed[0]["interestingness"]["function"] == "logistic"
    assert listed[0]["circumstances"]["location"] == [0.0, 1.5]
    assert len(listed[0]["input_sha256"]) == 64


def test_unknown_streams_have_no_images(api: Api) -> None:
    for address in ("images", "targets", "decisions"):
        assert api.client.get(f"/HASTE/stream/none/{address}").status_code == 404
    body = {"policy": {"intervals": INTERVALS, "undefined": "empty"}}
    assert api.client.post("/HASTE/stream/none/policy", json=body).status_code == 404


def test_an_image_comes_back_to_the_best_tier_or_another(plate: Api) -> None:
    first = images(plate)[2]
    assert first["tier"] != "tierA"
    recall = f"/HASTE/job/{first['job_id']}/recall"
    back = plate.client.post(recall, json={"by": "eva", "reason": "figure 2"}).json
    assert (back["tier"], back["origin"], back["score"]) == ("tierA", "recall", first["score"])
    assert back["reason"] == "recalled to tierA: figure 2"
    assert plate.client.post(recall, json={"tier": "tierB"}).json["tier"] == "tierB"
    made_by = [
        made["made_by"]
        for made in plate.client.get(f"/HASTE/job/{first['job_id']}/decisions").json["decisions"]
    ]
    assert made_by == [None, "eva", None]


def test_an_image_comes_back_to_the_best_tier_of_the_present_policy(plate: Api) -> None:
    lowest = images(plate)[4]
    upper = {"lo": 0.5, "hi": 1, "tier": "archive"}
    policy = {"intervals": [{"lo": 0, "hi": 0.5, "tier": lowest["tier"]}, upper], "undefined": "empty"}
    assert plate.client.post("/HASTE/stream/plate7/policy", json={"policy": policy}).status_code == 200
    back = plate.client.post(f"/HASTE/job/{lowest['job_id']}/recall", json={}).json
    assert back["tier"] == "archive"


def test_what_cannot_come_back(plate: Api) -> None:
    job_id = images(plate)[0]["job_id"]
    assert plate.client.post(f"/HASTE/job/{job_id}/recall", json={"tier": "shelf"}).status_code == 400
    assert plate.client.post("/HASTE/job/999/recall", json={}).status_code == 404
    plate.client.post(f"/HASTE/job/{job_id}/pin", json={"tier": "tierB", "reason": "control"})
    pinned = plate.client.post(f"/HASTE/job/{job_id}/recall", json={})
    assert pinned.status_code == 409
    assert "pinned to tierB; unpin it first" in pinned.json["detail"]


def test_a_pin_that_is_asked_for_twice_is_one_decision(plate: Api) -> None:
    job_id = images(plate)[0]["job_id"]
    pins = [{"tier": "archive", "reason": "figure 2"}] * 2 + [{"tier": "archive", "reason": "figure 3"}]
    answers = [plate.client.post(f"/HASTE/job/{job_id}/pin", json=pin).json for pin in pins]
    assert answers[0]["decision_id"] == answers[1]["decision_id"] < answers[2]["decision_id"]


def test_a_mode_tells_what_is_not_in_its_tier(plate: Api) -> None:
    def unmoved() -> tuple[str, int, int]:
        told = plate.client.get("/HASTE/stream/plate7/mode").json
        return told["mode"], told["unmoved"]["count"], told["unmoved"]["size_bytes"]

    assert unmoved() == ("observe", 6, 6000)
    plate.client.post("/HASTE/stream/plate7/mode", json={"mode": "enforce"})
    redecide_all(plate)
    plate.store.start_moves(limit=4, now=NOW)
    assert unmoved() == ("enforce", 6, 6000)  # none of them is there yet
    for left in (5, 4, 3, 2):
        plate.run("tier")
        assert unmoved() == ("enforce", left, left * 1000)
    plate.store.start_moves(limit=4, now=NOW)
    plate.run("tier")
    plate.run("tier")
    assert unmoved() == ("enforce", 0, 0)
    job_id = images(plate)[0]["job_id"]
    plate.client.post(f"/HASTE/job/{job_id}/pin", json={"tier": "archive", "reason": "figure 2"})
    assert unmoved() == ("enforce", 1, 1000)
    assert plate.client.get("/HASTE/stream/none/mode").status_code == 404


def test_a_number_beyond_all_measure_is_no_value(api: Api) -> None:
    api.client.post("/HASTE/stream/", json={"stream_id": "plate7", "pipeline": "focus-tier"})
    huge = {"plls": -1.0, "n": 10**400, "empty": False, "noise_lift": 0, "speck_lift": 0, "size_bytes": 7}
    api.submit(stream_id="plate7", tasks="tier", response={"focus-score": huge})
    decide_all(api)
    for function, parameters in (
        ("logistic", {"feature": "n", "k": 1, "x0": 0}),
        ("quantile", {"feature": "n"}),
        ("expression", {"expression": "n / plls"}),
    ):
        spec = {"function": function, "features_from": "focus-score", "parameters": parameters}
        assert _preview(api, interestingness=spec)["moving"] == 0
        given = api.client.post("/HASTE/stream/plate7/policy", json={"interestingness": spec})
        assert given.status_code == 200, given.text
        redecide_all(api)
    assert api.store.to_redecide(limit=1) == []


def test_nothing_is_tried_where_nothing_is_decided(api: Api) -> None:
    for stream_id, pipeline in (("new", "focus-tier"), ("sent", "edge")):
        api.client.post("/HASTE/stream/", json={"stream_id": stream_id, "pipeline": pipeline})
    body = {"policy": {"intervals": INTERVALS, "undefined": "empty"}}
    empty = api.client.post("/HASTE/stream/new/policy/preview", json=body).json
    nothing = {"count": 0, "size_bytes": 0}
    assert empty == {
        "tiers": {},
        "moves": [],
        "count": 0,
        "moving": 0,
        "unscored": {"count": 0, "reason": None},
        "deleted": nothing,
        "warnings": [],
    }
    documented = api.client.get("/openapi/openapi.json").json["paths"]
    for address in ("policy/preview", "policy"):
        refused = api.client.post(f"/HASTE/stream/sent/{address}", json=body)
        assert refused.status_code == 409
        assert "409" in documented[f"/HASTE/stream/{{stream_id}}/{address}"]["post"]["responses"]
        assert "has no interestingness function" in refused.json["detail"]
