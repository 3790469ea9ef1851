"""A preview says exactly what applying the same function and policy does, on every database."""

from collections import Counter
from typing import Any

import pytest

from haste_core.decisions import Decision
from haste_core.objects import ObjectFilter, Shift
from haste_core.pipelines import Pipeline
from haste_server.engine.evaluation import StreamsSoFar, evaluate
from haste_server.store import recorded as reading
from haste_server.store.sql import SqlStore
from tests.contract.store_bench import NOW, PIPELINE, spec, submitted

FEATURES: list[dict[str, Any]] = [
    {"plls": -2.5, "other": 0.1},
    {"plls": -1.4, "other": 0.35},
    {"plls": -1.4, "other": 1, "nested": {"plls": 0.5, "deep": {"x": 0.7}}},
    {"nested": {"plls": -0.9}, "plls": -1.0, "other": True, "tags": ["a", "b"]},
    {"plls": -0.8, "other": "0.9", "name": 'a "quoted", odd \\ name: µ'},
    {"plls": -0.1, "other": None, "tags": []},
    {"plls": -1.1, "other": 10**400, "odd name": 0.8},
    {"undefined": "it is constant", "other": 0.6},
    {"plls": -1.2, "other": 0.0, "empty": True, "odd name": 0.2},
    {"plls": -1.3, "other": 0.30000000000000004},
]
AUDIT = {"fraction": 0.5, "seed": 3, "tier": "kept"}
TRIED: list[tuple[str, dict[str, Any], Any]] = [
    ("logistic", {"feature": "plls", "k": 3.0, "x0": -1.0}, None),
    ("logistic", {"feature": "other", "k": -3.0, "x0": 0.4}, None),
    ("logistic", {"feature": "odd name", "k": 3.0, "x0": 0.4}, "empty"),
    ("logistic", {"feature": "metadata", "k": 3.0, "x0": 0.4}, None),
    ("expression", {"expression": "(plls + 3) / 3"}, None),
    ("expression", {"expression": "other * 2 - 0.3", "clip": True}, "empty or plls < -2"),
    ("expression", {"expression": "nested.deep.x"}, {"why": "nested.plls > 0.6 or other == true"}),
    ("expression", {"expression": "metadata.rank * 0.9"}, None),
    ("expression", {"expression": "timestamp / 100", "clip": True}, "'b' in tags"),
    ("expression", {"expression": "0.3 / other", "clip": True}, "plls - other < -2.5"),
    ("precomputed", {"field": "rank"}, None),
    ("precomputed", {"field": "share"}, "other > 0.9"),
    ("quantile", {"feature": "plls", "min_objects": 2}, None),
    ("quantile", {"feature": "other", "tiers": 2, "min_objects": 0}, "empty"),
    ("quantile", {"feature": "plls", "min_objects": 27}, None),  # one more than each has others
]


def pipeline(
    function: str = "logistic",
    parameters: dict[str, Any] | None = None,
    undefined_if: Any = None,
    *,
    audit: dict[str, Any] | None = None,
) -> Pipeline:
    intervals = [
        {"lo": 0.0, "hi": 0.3, "tier": "t0"},
        {"lo": 0.3, "hi": 0.7, "tier": "t1"},
        {"lo": 0.7, "hi": 1.0, "tier": "t2"},
    ]
    asked = {
        "function": function,
        "features_from": "focus-score",
        "parameters": parameters or {"feature": "plls", "k": 4.5, "x0": -1.4},
        "undefined_if": undefined_if,
    }
    policy = {"intervals": intervals, "undefined": "t0", "audit": audit}
    return Pipeline.parse(PIPELINE.to_json() | {"interestingness": asked, "policy": policy})


def filled(store: SqlStore, present: Pipeline) -> None:
    """Decide about images whose jobs come in turn with those of another stream; two are pinned."""
    for stream in ("s", "other"):
        store.create_stream(stream, present, "observe", now=NOW)
    for number, features in enumerate(FEATURES * 3):
        metadata: dict[str, Any] = {"rank": number / 30}
        metadata |= {"share": "0.5"} if number % 2 else {}
        for stream in ("s", "other"):
            one = spec(
                "tier",
                source_id=f"A'{number} µ",
                stream_id=stream,
                metadata=metadata if number < 28 else {"share": 0.5},
                timestamp=float(number),
                location=[1.0, 2.0],
                response={"focus-score": {**features, "size_bytes": 1000 + number}},
            )
            submitted(store, one)
    alone = StreamsSoFar(lambda _: iter([]))
    waiting = store.undecided(limit=100, now=NOW)
    store.record_decisions([(item, evaluate(item, alone)) for item in waiting], now=NOW)
    for job_id in sorted(tiers(store))[4:6]:
        store.pin(job_id, "archive", reason="an example", made_by="eva", now=NOW)


def tiers(store: SqlStore) -> dict[int, tuple[str, int]]:
    """Return the tier and the size of each image that is there, by job."""
    page = store.objects("s", ObjectFilter(), order="job", cursor=None, limit=100)
    there = [item for item in page.items if item.deleted_at is None]
    return {item.job.job_id: (item.decision.tier, item.size_bytes) for item in there}


def applied(store: SqlStore, changed: Pipeline) -> tuple[list[Shift], int]:
    """Apply it as the engine does, tell what has become of each image, and how many could not be scored."""
    before = tiers(store)
    store.set_policy("s", changed)
    so_far = StreamsSoFar(
        lambda wanted: iter([store.decided("s", after=wanted.after, up_to=wanted.up_to, limit=10_000)])
    )
    due = store.to_redecide(limit=100)
    answers = [(one, evaluate(one, so_far)) for one in due]
    store.redecided(
        [(one, answer if isinstance(answer, Decision) else None) for one, answer in answers], now=NOW
    )
    ways: Counter[tuple[str, str]] = Counter()
    sizes: Counter[tuple[str, str]] = Counter()
    for job_id, (tier, size_bytes) in tiers(store).items():
        ways[before[job_id][0], tier] += 1
        sizes[before[job_id][0], tier] += size_bytes
    failed = sum(not isinstance(answer, Decision) for _, answer in answers)
    return [Shift(*way, ways[way], sizes[way]) for way in sorted(ways)], failed


@pytest.fixture(autouse=True)
def _small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "PAGE", 7)


@pytest.mark.parametrize("audit", [None, AUDIT], ids=["", "audit"])
def test_each_function_is_tried_as_it_is_applied(store: SqlStore, audit: dict[str, Any] | None) -> None:
    filled(store, pipeline())
    moving = 0
    for tried in TRIED:
        changed = pipeline(*tried, audit=audit)
        expected = store.preview("s", changed)
        assert applied(store, changed) == (expected.shifts, expected.unscored), tried
        assert (expected.why_unscored is not None) == (expected.unscored > 0)
        moving += sum(shift.count for shift in expected.shifts if shift.before != shift.after)
        settled = store.preview("s", changed).shifts
        assert all(shift.before == shift.after for shift in settled), tried
        assert sum(shift.count for shift in settled) == 30
    assert moving > 100


@pytest.mark.parametrize("policy", [{}, {"type": "top-k", "k": 2, "tier": "t2", "rest": "t1"}])
def test_what_cannot_be_scored_is_counted_with_the_reason(store: SqlStore, policy: dict[str, Any]) -> None:
    filled(store, pipeline())
    misspelt = pipeline(parameters={"feature": "plsl", "k": 4.5, "x0": -1.4})
    if policy:
        misspelt = Pipeline.parse(misspelt.to_json() | {"policy": {**policy, "undefined": "t0"}})
    found = store.preview("s", misspelt)
    assert found.unscored == 27  # three of thirty have no score, whatever the function
    assert found.why_unscored == "the object has no number 'plsl'"


def test_the_objects_that_were_scored_last_are_examples(store: SqlStore) -> None:
    filled(store, pipeline())
    found = store.scored_last("s")
    assert len(found) == 29  # 27 images, and two decisions more by which they were pinned
    assert all("plls" in one.features and "metadata" in one.circumstances for one in found)
    assert store.scored_last("nobody's") == []
