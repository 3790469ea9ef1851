"""Pages of objects, and what-if, on every database."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from haste_core.decisions import Decision, decide
from haste_core.interestingness import ScoredObject, built_in
from haste_core.objects import ObjectFilter, ObjectOrder, Shift
from haste_core.pipelines import Pipeline
from haste_server.store.sql import SqlStore
from tests.contract.store_bench import NOW, PIPELINE, spec, submitted

PLLS = [-2.5, -1.9, -1.9, -1.4, -1.0, -0.8, None]


@pytest.fixture
def plate(store: SqlStore) -> SqlStore:
    """Return a store with some objects of different scores, one without and two with the same."""
    for stream in ("s", "other"):
        store.create_stream(stream, policy([0.25, 0.5]), "observe", now=NOW)
        specs = [
            spec("tier", source_id=f"A{number}", stream_id=stream, response={"focus-score": features(plls)})
            for number, plls in enumerate(PLLS)
        ]
        submitted(store, *specs)
    answered = []
    for item in store.undecided(limit=100, now=NOW):
        ask, how = item.pipeline.interestingness, item.pipeline.policy
        assert ask is not None
        assert how is not None
        answered.append((item, decide(item.scored, spec=ask, policy=how, build=built_in)))
    store.record_decisions(answered, now=NOW)
    return store


def features(plls: float | None) -> dict[str, Any]:
    return {"size_bytes": 10, **({"plls": plls} if plls is not None else {"undefined": "it is constant"})}


def policy(borders: list[float], **parameters: float | str) -> Pipeline:
    """Make a pipeline with tiers t0, t1, … between borders."""
    edges = [0.0, *borders, 1.0]
    written = PIPELINE.to_json()
    written["policy"]["intervals"] = [
        {"lo": edges[number], "hi": edges[number + 1], "tier": f"t{number}"}
        for number in range(len(edges) - 1)
    ]
    written["interestingness"]["parameters"] |= parameters
    return Pipeline.parse(written)


def listed(store: SqlStore, order: ObjectOrder, limit: int, wanted: ObjectFilter) -> list[str]:
    found, cursor = [], None
    while True:
        page = store.objects("s", wanted, order=order, cursor=cursor, limit=limit)
        found += [item.decision.source_id for item in page.items]
        cursor = page.next
        if cursor is None:
            return found


@pytest.mark.parametrize("limit", [1, 2, 100])
def test_pages_hold_each_object_once_and_in_order(plate: SqlStore, limit: int) -> None:
    everything = ObjectFilter()
    assert listed(plate, "-score", limit, everything) == ["A5", "A4", "A3", "A1", "A2", "A0", "A6"]
    assert listed(plate, "score", limit, everything) == ["A6", "A0", "A1", "A2", "A3", "A4", "A5"]
    assert listed(plate, "job", limit, everything) == [f"A{number}" for number in range(7)]
    assert listed(plate, "-score", limit, ObjectFilter(tier="t0")) == ["A1", "A2", "A0"]
    assert listed(plate, "score", limit, ObjectFilter(lowest=0.0, highest=0.5)) == ["A0", "A1", "A2", "A3"]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    borders=st.lists(st.floats(0.01, 0.99), min_size=1, max_size=3, unique=True).map(sorted),
    k=st.sampled_from([4.5, 1.0, -3.0]),
)
def test_what_the_database_counts_is_what_would_be_decided(
    plate: SqlStore, borders: list[float], k: float
) -> None:
    other = policy(borders, k=k)
    ask, how = other.interestingness, other.policy
    assert ask is not None
    assert how is not None
    ways: dict[tuple[str, str], int] = {}
    for item in plate.objects("s", ObjectFilter(), order="job", cursor=None, limit=100).items:
        scored = ScoredObject(features=item.decision.features, metadata={})
        way = (item.decision.tier, decide(scored, spec=ask, policy=how, build=built_in).tier)
        ways[way] = ways.get(way, 0) + 1
    expected = [Shift(*way, count, 10 * count) for way, count in sorted(ways.items())]
    assert sorted(plate.preview("s", other).shifts, key=lambda shift: (shift.before, shift.after)) == expected


def test_what_a_new_function_cannot_score_is_tried_by_that_function(plate: SqlStore) -> None:
    present = policy([0.25, 0.5], feature="sharpness")
    plate.set_policy("s", present)
    plate.redecided([(item, None) for item in plate.to_redecide(limit=100)], now=NOW)
    tried = plate.preview("s", policy([0.25, 0.5], feature="sharpness", k=-9.0, x0=-5.0)).shifts
    assert tried
    assert {(shift.before, shift.after) for shift in tried if shift.before != shift.after} == set()


def test_another_policy_asks_anew_only_about_what_it_puts_elsewhere(plate: SqlStore) -> None:
    plate.set_policy("s", policy([0.25, 0.4]))
    assert [item.source_id for item in plate.to_redecide(limit=100)] == []
    plate.set_policy("s", policy([0.25, 0.51]))
    assert [item.source_id for item in plate.to_redecide(limit=100)] == ["A3"]
    plate.set_policy("s", policy([0.25, 0.51], k=2.0))
    assert len(plate.to_redecide(limit=100)) == len(PLLS)


def test_the_best_are_sets_and_latest_versions(store: SqlStore) -> None:
    grouped = {"group_by": ["site"], "expected": 2, "combine": "max"}
    store.create_stream("s", Pipeline.parse(PIPELINE.to_json() | {"image_set": grouped}), "observe", now=NOW)

    def decided(name: str, score: float | None, site: int | None, version: str = "1") -> None:
        metadata = {} if site is None else {"site": site}
        more = {"stream_id": "s", "source_version": version, "metadata": metadata}
        submitted(store, spec("tier", source_id=name, response={"focus-score": {}}, **more))
        [item] = store.undecided(limit=10, now=NOW)
        store.record_decisions([(item, Decision(score, "hot", "why", "f" * 64, {}))], now=NOW)

    for channel in "ABC":
        decided(f"1{channel}", 0.9, 1)
        decided(f"2{channel}", 0.8, 2)
    decided("alone", 0.7, None)
    decided("remade", 0.95, None)
    decided("remade", 0.1, None, "2")
    decided("faded", 0.99, None)
    decided("faded", None, None, "2")
    best = store.best("s", number=10)
    assert [(item.decision.source_id, item.decision.score) for item in best] == [
        ("1A", 0.9),
        ("2A", 0.8),
        ("alone", 0.7),
        ("remade", 0.1),
    ]
    assert [item.decision.source_id for item in store.best("s", number=2)] == ["1A", "2A"]
    assert store.best("none", number=2) == []
