"""Decisions of all origins are made once more from what the server tells; a changed record is found."""

import random
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from haste_client.answers import DecisionAnswer
from haste_client.verification import Verdict, scored_object, verify
from haste_core.decisions import Decision, fingerprint
from haste_core.lifecycle import Rules
from haste_core.pipelines import InterestingnessSpec
from haste_core.policies import IntervalPolicy
from haste_core.undecided import Undecided
from haste_server.catalogue import load_pipelines
from haste_server.engine.evaluation import StreamsSoFar, evaluate
from haste_server.engine.evaluator import OthersWanted
from haste_server.store import migrate
from haste_server.store.database import Database
from haste_server.store.schema import decisions
from haste_server.store.sql import SqlStore
from tests.integration.api.conftest import NOW, Api

QUANTILE = {"function": "quantile", "parameters": {"feature": "plls", "tiers": 4, "min_objects": 3}}
EXPRESSION = {"function": "expression", "parameters": {"expression": "metadata.weight / 10"}}
BEST = {"type": "top-k", "k": 4, "tier": "tierA", "rest": "tierB", "undefined": "empty"}
BEST |= {"audit": {"fraction": 0.5, "tier": "tierC"}}
TASKS = {"taskSequential": ["focus-score", "tier"]}


def decide(api: Api) -> None:
    """Do what the evaluator does until nothing is left, a few objects at a time."""
    so_far = StreamsSoFar(lambda wanted: _decided(api, wanted))
    while waiting := api.store.undecided(limit=4, now=NOW):
        answered = _answers(waiting, so_far)
        api.store.record_decisions(answered[::-1], now=NOW)
    while waiting := api.store.to_redecide(limit=4):
        answered = _answers(waiting, so_far)
        api.store.redecided(
            [(item, answer if isinstance(answer, Decision) else None) for item, answer in answered], now=NOW
        )


def _answers(waiting: list[Undecided], so_far: StreamsSoFar) -> list[tuple[Undecided, Any]]:
    return [(item, evaluate(item, so_far)) for item in waiting]


def _decided(api: Api, wanted: OthersWanted) -> Iterator[Any]:
    yield api.store.decided(wanted.stream_id, after=wanted.after, up_to=wanted.up_to, limit=1000)


def apply(api: Api, *, policy: dict[str, Any] | None = None, **changes: Any) -> None:
    present = api.client.get("/HASTE/stream/plate7").json["pipeline"]["interestingness"]
    more = {} if policy is None else {"policy": policy}
    answer = api.client.post(
        "/HASTE/stream/plate7/policy", json={"interestingness": {**present, **changes}, **more}
    )
    assert answer.status_code == 200, answer.text


@pytest.fixture(scope="module")
def plate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """Return the API with decisions of all kinds about a dozen images."""
    folder = tmp_path_factory.mktemp("api")
    database = Database(f"sqlite:///{folder / 'haste.sqlite3'}")
    migrate.upgrade(database)
    store = SqlStore(database=database, rules=Rules(), default_pipeline=load_pipelines()["focus-tier"])
    api = Api(store, folder)
    _fill(api)
    yield api
    database.close()


def _fill(api: Api) -> None:
    api.client.post("/HASTE/stream/", json={"stream_id": "plate7", "pipeline": "focus-tier"})
    generator = random.Random(7)
    jobs = []
    for number in range(12):
        if number == 4:
            apply(api, **QUANTILE)
        metadata = {"well": f"A{number}"} | ({"weight": number / 2} if number else {})
        more = {"location": [number, 1], "metadata": metadata, "timestamp": NOW + number / 3}
        jobs.append(api.submit(source_id=f"{number}.tif", stream_id="plate7", tasks=TASKS, **more)["job_id"])
        plls = round(generator.uniform(-3, 0), 1)
        api.run("focus-score", plls=plls, empty=number == 5, noise_lift=0, speck_lift=0, size_bytes=1000)
        if number % 3 == 2:
            decide(api)
    for job_id in (jobs[0], jobs[5]):
        pin = {"tier": "archive", "reason": "figure 2", "by": "eva"}
        assert api.client.post(f"/HASTE/job/{job_id}/pin", json=pin).status_code == 200
    apply(api, **EXPRESSION)  # the first image has no weight: its decision is kept
    decide(api)
    assert api.client.post(f"/HASTE/job/{jobs[0]}/unpin", json={"reason": "no"}).status_code == 200
    api.client.post("/HASTE/stream/plate7/mode", json={"mode": "enforce"})
    decide(api)
    intervals = api.client.get("/HASTE/stream/plate7").json["pipeline"]["policy"]
    apply(api, policy=BEST, function="logistic", parameters={"feature": "plls", "k": 4.5, "x0": -1.4})
    decide(api)
    assert api.store.revise("plate7", now=NOW) > 0
    api.client.post("/HASTE/stream/plate7/mode", json={"mode": "observe"})
    recall = {"tier": "tierA", "reason": "figure 3", "by": "eva"}
    assert api.client.post(f"/HASTE/job/{jobs[3]}/recall", json=recall).status_code == 200
    api.client.post("/HASTE/stream/plate7/mode", json={"mode": "enforce"})  # what was recalled stays so
    decide(api)
    apply(api, policy=intervals, **QUANTILE)
    decide(api)


def history(api: Api) -> Iterator[DecisionAnswer]:
    for decision in api.client.get("/HASTE/stream/plate7/decisions?limit=1000").json["decisions"]:
        yield DecisionAnswer.model_validate(decision)


def verdict_of(api: Api) -> Verdict:
    return verify("plate7", lambda: history(api))


def test_what_the_server_decides_is_verified(plate: Api) -> None:
    verdict = verdict_of(plate)
    assert verdict.differences == []
    assert set(verdict.not_verified) == {"a policy of type top-k chose the tier"}
    assert verdict.decisions == sum(verdict.origins.values()) > 40
    assert set(verdict.origins) == {"policy", "new-policy", "revision", "recall", "pin", "unpin"}
    assert {one.tier for one in history(plate)} >= {"tierA", "tierB", "tierC", "tierD", "empty", "archive"}


def changed(plate: Api, origin: str, **changes: Any) -> tuple[int, Verdict]:
    """Change what the last record of an origin says; return its number, and what is said of all."""
    records = list(history(plate))
    index = max(number for number, one in enumerate(records) if one.origin == origin)
    records[index] = records[index].model_copy(update=changes)
    return records[index].decision_id, verify("plate7", lambda: records)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"score": 0.99}, "its score is 0.99"),
        ({"tier": "tierX"}, "tierX"),
        ({"reason": "because"}, "its reason is 'because'"),
        ({"features": {"plls": -0.1, "empty": False}}, "input_sha256"),
        ({"circumstances": {"metadata": {"well": "B1"}}}, "input_sha256"),
        ({"input_sha256": "0" * 64}, "input_sha256"),
        ({"supersedes": 10_000}, "supersedes decision 10000"),
        ({"seen": 10_000}, "it has seen decision 10000"),
    ],
)
@pytest.mark.parametrize("origin", ["policy", "new-policy", "pin", "unpin"])
def test_a_record_that_was_changed_is_found(
    plate: Api, origin: str, changes: dict[str, Any], said: str
) -> None:
    decision_id, verdict = changed(plate, origin, **changes)
    found = verdict.differences[0]  # those that supersede it may not fit any more, either
    assert found.decision_id == decision_id
    assert said in found.what


def test_what_is_missing_from_a_record_is_found(plate: Api) -> None:
    for changes in ({"supersedes": None}, {"seen": None}):
        decision_id, verdict = changed(plate, "new-policy", **changes)
        (found,) = verdict.differences
        assert (found.decision_id, "does not say" in found.what) == (decision_id, True)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (
            {"function": "rest", "features_from": "focus-score", "parameters": {"url": "http://a/b"}},
            "asked a service",
        ),
        (
            {"function": "crowding:crowding", "features_from": "focus-score"},
            "crowding:crowding is no function",
        ),
        ({"function": "logistic", "steepness": 3}, "does not understand"),
    ],
)
def test_what_cannot_be_made_here_is_said_and_not_called_wrong(
    plate: Api, spec: dict[str, Any], said: str
) -> None:
    record = next(one for one in history(plate) if one.score is not None)
    scored = record.model_copy(update={"interestingness": spec})
    if said != "does not understand":
        parsed = InterestingnessSpec.model_validate(spec)
        policy = IntervalPolicy.model_validate(record.policy)
        scored = scored.model_copy(
            update={"input_sha256": fingerprint(scored_object(scored), parsed, policy)}
        )
    verdict = verify("plate7", lambda: [scored])
    assert verdict.differences == []
    ((why, count),) = verdict.not_verified.items()
    assert (said in why, count) == (True, 1)


def test_a_decision_about_an_image_set_has_a_tier_that_fits_its_score(plate: Api) -> None:
    record = next(one for one in history(plate) if one.tier == "tierD")
    of_a_set = record.model_copy(update={"members": (1, 2), "score": 0.1, "input_sha256": "0" * 64})
    verdict = verify("plate7", lambda: [of_a_set])
    assert (verdict.differences, sum(verdict.not_verified.values())) == ([], 1)
    (found,) = verify("plate7", lambda: [of_a_set.model_copy(update={"tier": "tierA"})]).differences
    assert "its tier is tierA, that of its score tierD" in found.what


def test_an_image_set_that_is_kept_for_audit_is_as_it_should_be(plate: Api) -> None:
    record = next(one for one in history(plate) if one.tier == "tierD")
    audited = {**(record.policy or {}), "audit": {"fraction": 0.5, "tier": "tierC"}}
    of_a_set = {"members": (1, 2), "score": 0.1, "policy": audited, "tier": "tierC"}
    assert verify("plate7", lambda: [record.model_copy(update=of_a_set)]).differences == []
    high = of_a_set | {"score": 0.9}
    (found,) = verify("plate7", lambda: [record.model_copy(update=high)]).differences
    assert "its tier is tierC, that of its score tierA" in found.what


def test_an_image_of_a_set_whose_new_function_failed_may_keep_its_tier(plate: Api) -> None:
    record = next(one for one in history(plate) if one.tier == "tierD")
    first = record.model_copy(update={"members": (1, 2), "score": 0.1})
    moved = {**(record.policy or {}), "intervals": [{"lo": 0, "hi": 1, "tier": "tierA"}]}
    later = {"decision_id": 900, "supersedes": record.decision_id, "origin": "new-policy", "policy": moved}
    kept = first.model_copy(update=later)
    assert verify("plate7", lambda: [first, kept]).differences == []
    (found,) = verify("plate7", lambda: [first, kept.model_copy(update={"score": 0.2})]).differences
    assert "its tier is tierD, that of its score tierA" in found.what


def test_a_row_that_was_changed_in_the_database_is_found(plate: Api) -> None:
    record = next(one for one in history(plate) if one.tier == "tierD")
    of_it = sa.update(decisions).where(decisions.c.decision_id == record.decision_id)

    def write(tier: str) -> None:
        plate.store.database.write(lambda connection: connection.execute(of_it.values(tier=tier)))

    write("tierA")
    (found,) = verdict_of(plate).differences
    assert (found.decision_id, found.source_id) == (record.decision_id, record.source_id)
    assert found.what.startswith("its tier is tierA, made once more tierD")
    write("tierD")
    assert verdict_of(plate).differences == []
