"""A preview of a ranking says what applying it does, on every database."""

import random
from collections import Counter
from typing import Any

import pytest

from haste_core.decisions import Decision
from haste_core.objects import ObjectFilter, Shift
from haste_core.pipelines import Pipeline
from haste_server.engine.evaluation import StreamsSoFar, evaluate
from haste_server.store import revising
from haste_server.store.sql import SqlStore
from tests.contract.store_bench import NOW
from tests.contract.test_revising import BUDGET, TOP, add, settle, with_policy

AUDIT = {"fraction": 0.5, "seed": 1, "tier": "audited"}
INTERVALS = {
    "intervals": [{"lo": 0, "hi": 0.5, "tier": "cold"}, {"lo": 0.5, "hi": 1, "tier": "nvme"}],
    "undefined": "none",
}
POLICIES: list[dict[str, Any]] = [
    TOP,
    TOP | {"k": 9, "audit": AUDIT},
    INTERVALS,
    TOP | {"k": None, "percent": 20, "audit": AUDIT | {"seed": 2}},
    BUDGET,
    BUDGET | {"budgets": [{"tier": "hot", "bytes": 1500}], "audit": AUDIT},
    TOP | {"k": 100},
]


@pytest.fixture(autouse=True)
def _narrow_borders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revising, "BORDER", 3)


def placed(store: SqlStore) -> dict[int, tuple[str, int]]:
    """Return by job where each object that is there is, and its size."""
    page = store.objects("s", ObjectFilter(), order="job", cursor=None, limit=1000)
    there = [item for item in page.items if item.deleted_at is None]
    return {item.job.job_id: (item.decision.tier, item.size_bytes) for item in there}


def apply(store: SqlStore, pipeline: Pipeline) -> None:
    """Give the stream a policy, and wait until all is where it belongs."""
    store.set_policy("s", pipeline)
    while due := store.to_redecide(limit=100):
        answers = [(item, evaluate(item, StreamsSoFar(lambda _: []))) for item in due]
        store.redecided(
            [(item, answer if isinstance(answer, Decision) else None) for item, answer in answers], now=NOW
        )
    settle(store)


def shifts(before: dict[int, tuple[str, int]], after: dict[int, tuple[str, int]]) -> list[Shift]:
    """Count what changed its place, object by object."""
    number: Counter[tuple[str, str]] = Counter()
    size: Counter[tuple[str, str]] = Counter()
    for job_id, (tier, size_bytes) in before.items():
        number[tier, after[job_id][0]] += 1
        size[tier, after[job_id][0]] += size_bytes
    return [Shift(*way, number[way], size[way]) for way in sorted(number)]


def check(store: SqlStore, pipeline: Pipeline) -> None:
    """Compare what a preview says with what applying does, object by object."""
    before, expected = placed(store), store.preview("s", pipeline).shifts
    apply(store, pipeline)
    assert expected == shifts(before, placed(store)), pipeline.policy


def nothing_moves(store: SqlStore, pipeline: Pipeline) -> bool:
    return all(shift.before == shift.after for shift in store.preview("s", pipeline).shifts)


def test_a_preview_of_a_ranking_says_what_applying_it_does(store: SqlStore) -> None:
    chance = random.Random(8)
    store.create_stream("s", with_policy(TOP), "observe", now=NOW)
    ids = add(
        store,
        *(
            (chance.choice([None, 0.2, 0.4, 0.4, 0.6, chance.random()]), chance.choice([100, 300, 2000]))
            for _ in range(40)
        ),
    )
    settle(store)
    store.pin(ids[3], "hot", reason="mine", made_by="eva", now=NOW)
    store.pin(ids[4], "elsewhere", reason="mine", made_by="eva", now=NOW)
    for job_id, tier in ((ids[5], "hot"), (ids[6], "cold"), (ids[7], "audited"), (ids[8], "nvme")):
        store.recall(job_id, tier, reason="look", made_by="eva", now=NOW)
    for policy in [*POLICIES, *POLICIES[::-1]]:
        check(store, with_policy(policy))
        assert nothing_moves(store, with_policy(policy)), policy


def other(policy: dict[str, Any], expression: str) -> Pipeline:
    """Make a pipeline with another function, which fails for objects that are too small."""
    by = {"function": "expression", "features_from": "focus-score", "parameters": {"expression": expression}}
    return Pipeline.parse(with_policy(policy).to_json() | {"interestingness": by})


def test_a_preview_of_a_ranking_with_another_function_says_what_applying_it_does(store: SqlStore) -> None:
    chance = random.Random(9)
    store.create_stream("s", with_policy(INTERVALS), "observe", now=NOW)
    objects = [(chance.choice([None, 0.4, 0.6, chance.random()]), chance.randint(1, 1000)) for _ in range(40)]
    ids = add(store, (0.9, 100), *objects)
    store.pin(ids[3], "hot", reason="mine", made_by="eva", now=NOW)
    for job_id in ids[4:12]:
        store.recall(job_id, "hot", reason="look", made_by="eva", now=NOW)
    # Those below 150 cannot be scored, and stay even in a tier that the policy does not know.
    check(store, other(TOP, "(size_bytes - 150) / 1000"))
    assert placed(store)[ids[0]][0] == "nvme"
    for policy, expression in (
        (TOP, "size_bytes / 1000"),
        (BUDGET, "(size_bytes - 150) / 1000"),
        (TOP | {"k": 9, "rest": "warm", "tier": "cold"}, "1 - size_bytes / 1000"),
        (TOP | {"k": None, "percent": 20, "audit": AUDIT}, "size_bytes / 1000"),
    ):
        check(store, other(policy, expression))
        assert nothing_moves(store, other(policy, expression)), policy


def test_what_is_kept_for_audit_comes_back_if_it_ranks_among_the_best(store: SqlStore) -> None:
    audited = with_policy(TOP | {"k": 1, "audit": AUDIT | {"fraction": 1}})
    store.create_stream("s", audited, "observe", now=NOW)
    best, second, _ = add(store, (0.9, 1), (0.8, 1), (0.7, 1))
    settle(store)
    assert [tier for tier, _ in placed(store).values()] == ["hot", "audited", "audited"]
    store.delete(best)
    settle(store)
    assert [tier for tier, _ in placed(store).values()] == ["hot", "audited"]
    assert placed(store)[second][0] == "hot"


def test_what_was_recalled_while_a_stream_observed_stays_once_it_enforces(store: SqlStore) -> None:
    pipeline = with_policy(TOP | {"k": 1})
    store.create_stream("s", pipeline, "observe", now=NOW)
    low, best = add(store, (0.1, 1), (0.9, 1))
    store.recall(low, "hot", reason="look", made_by="eva", now=NOW)
    settle(store)
    store.set_mode("s", "enforce")
    check(store, pipeline)
    assert [placed(store)[job_id][0] for job_id in (low, best)] == ["hot", "cold"]
    *_, again = store.decisions_about(low)
    assert (again.mode, again.origin, again.made_by) == ("enforce", "recall", "eva")
    assert again.reason == "recalled to hot: look"
