"""Emptying a trash over REST."""

import sqlalchemy as sa

from haste_client.answers import DecisionAnswer
from haste_client.verification import verify
from haste_core.decisions import Decision
from haste_core.messages import Place
from haste_core.routing import Route
from haste_core.trashes import DAY_S
from haste_server.store.schema import decisions
from tests.contract.store_bench import result_of
from tests.integration.api.conftest import NOW, Api
from tests.integration.api.test_objects import redecide_all

FEATURES = {"size_bytes": 7, "empty": False, "noise_lift": 0, "speck_lift": 0}


def thrown_away(api: Api, *names: str) -> list[int]:
    """Let objects go to the tier ``archive``, which is a trash with a grace of 30 days."""
    api.client.post(
        "/HASTE/stream/", json={"stream_id": "plate7", "pipeline": "focus-tier", "mode": "enforce"}
    )
    jobs = [
        api.submit(
            stream_id="plate7",
            source_id=name,
            tasks="tier",
            response={"focus-score": {**FEATURES, "plls": -1.0 - number}},
        )
        for number, name in enumerate(names)
    ]
    items = api.store.undecided(limit=100, now=NOW)
    made = [(item, Decision(0.1, "archive", "why", "f" * 64, item.scored.features)) for item in items]
    api.store.record_decisions(made, now=NOW)
    carry_out(api, now=NOW)
    return [job["job_id"] for job in jobs]


def carry_out(api: Api, *, now: float) -> None:
    """Do as a worker does: put objects to the trash, find that they may be deleted, delete them."""
    api.store.start_moves(limit=100, now=now)
    while messages := api.store.claim(Route("tier", "default"), 100, now=now, lease_s=30):
        answers = []
        for message in messages:
            name = message.job["source_id"]
            place = Place(url=f"file:///bin/{name}", site="default", sha256="a" * 64)
            deletes = message.decision is not None and message.decision.deletes
            more = {"leaving": place} if deletes and message.leaving is None else {}
            response = {"tier": "archive", "moved": True}
            if message.leaving is not None:
                response["deleted"] = place.url
            answers.append(result_of(message, place=place, response=response, ended_at=now, **more))
        api.store.record(answers, now=now)


def test_a_trash_is_emptied_when_asked(api: Api) -> None:
    first, pinned = thrown_away(api, "A01", "A02")
    api.client.post(f"/HASTE/job/{pinned}/pin", json={"tier": "archive", "reason": "figure 2"})
    early = api.client.post("/HASTE/tier/archive/empty", json={})
    assert early.json == {"tier": "archive", "count": 0, "size_bytes": 0, "more": False}

    api.now = NOW + 30 * DAY_S + 1
    told = api.client.post("/HASTE/tier/archive/empty?dry_run=true", json={}).json
    assert told == {"tier": "archive", "count": 1, "size_bytes": 7, "more": False}
    listed = api.client.get("/HASTE/tier/archive/images").json
    assert (listed["grace_days"], listed["next"]) == (30, None)
    assert [(one["job_id"], one["pinned"], one["marked"], one["expires_at"]) for one in listed["images"]] == [
        (first, False, False, NOW + 30 * DAY_S),
        (pinned, True, False, NOW + 30 * DAY_S),
    ]
    assert api.client.post("/HASTE/tier/archive/empty", json={"by": "eva"}).json == told
    assert api.client.get("/HASTE/tier/archive/images").json["images"][0]["marked"] is True
    carry_out(api, now=api.now)

    shown = {
        one["job_id"]: one for one in api.client.get("/HASTE/stream/plate7/images?order=job").json["images"]
    }
    assert (shown[first]["place"], shown[first]["deleted_at"]) == (None, api.now)
    assert (shown[first]["origin"], shown[first]["tier"]) == ("deletion", "archive")
    assert shown[pinned]["deleted_at"] is None
    stream = api.client.get("/HASTE/stream/plate7").json
    assert stream["deleted"] == {"count": 1, "size_bytes": 7}
    assert stream["tiers"]["archive"]["count"] == 1
    job = api.client.get(f"/HASTE/job/{first}").json
    assert (job["state"], job["place"], job["deleted_at"]) == (200, None, api.now)


def test_what_was_deleted_says_so_whatever_is_asked_of_it(api: Api) -> None:
    (job_id,) = thrown_away(api, "A01")
    api.now = NOW + 31 * DAY_S
    api.client.post("/HASTE/tier/archive/empty", json={})
    carry_out(api, now=api.now)
    for address, body in (
        ("recall", {}),
        ("pin", {"tier": "archive", "reason": "x"}),
        ("unpin", {"reason": "x"}),
    ):
        refused = api.client.post(f"/HASTE/job/{job_id}/{address}", json=body)
        assert (refused.status_code, "was deleted from the trash" in refused.json["detail"]) == (409, True)
    task_id = api.client.get(f"/HASTE/job/{job_id}").json["tasks"]["Task"]["task_id"]
    assert api.client.post(f"/HASTE/task/{task_id}/forceretry").status_code == 409
    policy = {"intervals": [{"lo": 0, "hi": 1, "tier": "tierA"}], "undefined": "empty"}
    preview = api.client.post("/HASTE/stream/plate7/policy/preview", json={"policy": policy}).json
    assert (preview["count"], preview["deleted"]) == (0, {"count": 1, "size_bytes": 7})


def test_only_trashes_are_emptied(api: Api) -> None:
    for ask in (
        lambda tier: api.client.post(f"/HASTE/tier/{tier}/empty", json={}),
        lambda tier: api.client.get(f"/HASTE/tier/{tier}/images"),
    ):
        no_trash, unknown = ask("tierA"), ask("moon")
        assert (no_trash.status_code, "is no trash" in no_trash.json["detail"]) == (409, True)
        assert (unknown.status_code, "trashes: archive" in unknown.json["detail"]) == (404, True)
    wrong = api.client.post("/HASTE/tier/archive/empty?dry_run=perhaps", json={})
    assert wrong.status_code == 400
    assert api.client.get("/HASTE/tier/archive/empty").status_code == 405


def test_others_are_ranked_among_what_was_deleted_when_tried_and_when_applied(api: Api) -> None:
    names = ["A01", "A02", "A03", "A04"]
    thrown_away(api, *names)
    for number in (2, 3):  # the two best are deleted, the third and fourth are pinned meanwhile
        api.client.post(f"/HASTE/job/{number + 1}/pin", json={"tier": "archive", "reason": "x"})
    api.now = NOW + 31 * DAY_S
    assert api.client.post("/HASTE/tier/archive/empty", json={}).json["count"] == 2
    carry_out(api, now=api.now)
    for number in (2, 3):
        api.client.post(f"/HASTE/job/{number + 1}/unpin", json={"reason": "x"})
    spec = {"function": "quantile", "features_from": "focus-score"}
    spec |= {"parameters": {"feature": "plls", "tiers": 4, "min_objects": 2}}
    quarters = [{"lo": n / 4, "hi": (n + 1) / 4, "tier": f"tier{'DCBA'[n]}"} for n in range(4)]
    body = {"interestingness": spec, "policy": {"intervals": quarters, "undefined": "empty"}}
    preview = api.client.post("/HASTE/stream/plate7/policy/preview", json=body).json
    assert api.client.post("/HASTE/stream/plate7/policy", json=body).status_code == 200
    redecide_all(api)
    tiers = api.client.get("/HASTE/stream/plate7").json["tiers"]
    assert {name: tier["count"] for name, tier in tiers.items()} == {"tierC": 1, "tierD": 1}
    assert {name: tier["count"] for name, tier in preview["tiers"].items()} == {"tierC": 1, "tierD": 1}


def test_a_changed_record_of_a_deletion_is_found(api: Api) -> None:
    thrown_away(api, "A01", "A02")
    api.now = NOW + 31 * DAY_S
    api.client.post("/HASTE/tier/archive/empty", json={"by": "eva"})

    def found() -> list[str]:
        told = api.client.get("/HASTE/stream/plate7/decisions").json["decisions"]
        records = [DecisionAnswer.model_validate(one) for one in told]
        deletions = {record.decision_id for record in records if record.origin == "deletion"}
        verdict = verify("plate7", lambda: records)
        assert verdict.origins["deletion"] == 2
        return [one.what for one in verdict.differences if one.decision_id in deletions]

    before = "; ".join(found())  # only that these decisions' hashes were made up
    for change, said in (({"score": 0.9}, "its score is 0.9"), ({"tier": "tierA"}, "its tier is tierA")):
        with api.store.database.engine.begin() as connection:
            connection.execute(sa.update(decisions).where(decisions.c.origin == "deletion").values(change))
        assert said not in before
        assert said in "; ".join(found())
