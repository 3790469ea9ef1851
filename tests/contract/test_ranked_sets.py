"""Image sets under rankings: a set is one entry, on every database."""

import random
from collections import defaultdict
from typing import Any

import pytest

from haste_core.pipelines import Pipeline
from haste_core.tier_limits import TierLimits
from haste_server.store.sql import SqlStore
from tests.contract.store_bench import NOW, spec, submitted
from tests.contract.test_image_sets import SETS, Bench, on_one_database
from tests.contract.test_ranked_preview import AUDIT, placed, shifts
from tests.contract.test_revising import BUDGET, TOP, settle

PAIRS = {"group_by": ["well", "site"], "expected": 2, "combine": "max", "group_timeout_s": 60}
SIZE = 100


def ranked(policy: dict[str, Any]) -> Pipeline:
    return Pipeline.parse(SETS.to_json() | {"image_set": PAIRS, "policy": policy})


class Sites(Bench):
    """A stream of sets of two images, whose better one speaks for the set."""

    def add(self, site: int, *scores: float | None, names: str = "AB") -> list[int]:
        """Let images of a site come, as many as there are scores."""
        by_name = dict(zip(names, scores, strict=False))
        jobs = self.submit(*by_name, site=site)
        self.score(by_name, site=site)
        self.decide()
        return list(jobs.values())

    def features(self, score: float | None) -> dict[str, Any]:
        return super().features(score) | {"size_bytes": SIZE}

    def at(self) -> dict[int, str]:
        """Return the tier of each site; several if its images lie in several."""
        found = defaultdict(set)
        for number, (tier, _) in placed(self.store).items():
            found[int(self.store.job(number).spec.metadata["site"])].add(tier)
        return {site: "+".join(sorted(tiers)) for site, tiers in found.items()}

    def settle(self) -> dict[int, str]:
        self.decide()
        settle(self.store)
        return self.at()

    def check(self, pipeline: Pipeline) -> None:
        """Compare what a preview says with what applying does, object by object."""
        before, expected = placed(self.store), self.store.preview("s", pipeline).shifts
        self.store.set_policy("s", pipeline)
        self.settle()
        assert expected == shifts(before, placed(self.store)), pipeline.policy
        again = self.store.preview("s", pipeline).shifts
        assert all(shift.before == shift.after for shift in again), pipeline.policy


def test_the_best_sets_are_kept_whole(store: SqlStore) -> None:
    bench = Sites(store, ranked(TOP | {"k": 2}))
    bench.add(1, 0.5, 0.1)
    bench.add(2, 0.2, 0.4)
    assert bench.at() == {1: "hot", 2: "hot"}
    bench.add(3, 0.1, 0.3)
    assert bench.at() == {1: "hot", 2: "hot", 3: "cold"}
    jobs = bench.add(4, 0.45, 0.9)
    assert bench.settle() == {1: "hot", 2: "cold", 3: "cold", 4: "hot"}
    bench.add(5, 0.5, 0.5)  # of equals, the first one
    assert bench.settle() == {1: "hot", 2: "cold", 3: "cold", 4: "hot", 5: "cold"}
    [decision] = store.decisions_about(jobs[0])
    assert decision.score == 0.9
    assert decision.reason.endswith("is 0.9000, which is among the best 2 so far, so it goes to hot")


@on_one_database
def test_a_share_counts_sets(store: SqlStore) -> None:
    bench = Sites(store, ranked(TOP | {"k": None, "percent": 25}))
    for site in range(1, 9):
        bench.add(site, site / 10, 0)
    assert {site for site, tier in bench.settle().items() if tier == "hot"} == {7, 8}


@on_one_database
def test_a_set_takes_the_bytes_of_all_its_images(store: SqlStore) -> None:
    budgets = [{"tier": "hot", "bytes": 2 * SIZE + 50}, {"tier": "warm", "bytes": 3 * SIZE}]
    bench = Sites(store, ranked(BUDGET | {"budgets": budgets}))
    bench.add(1, 0.5, 0.5)
    bench.add(2, 0.6, 0.6)
    assert bench.settle() == {2: "hot", 1: "warm"}
    bench.submit("A", "B", "C", "D", site=3)  # larger than any budget: it is passed over
    bench.score(dict.fromkeys("ABCD", 1.0), site=3)
    assert bench.settle() == {2: "hot", 1: "warm", 3: "cold"}
    submitted(
        store,
        spec(
            {"taskSequential": ["focus-score", "tier"]}, source_id="s9/X", stream_id="s", metadata={"site": 9}
        ),
    )
    bench.score({"X": 0.7}, site=9)  # it has no well, so it ranks alone
    assert bench.settle() == {9: "hot", 2: "warm", 1: "cold", 3: "cold"}


@on_one_database
def test_late_images_join_their_set_where_it_is_and_may_lift_it(store: SqlStore) -> None:
    bench = Sites(store, ranked(TOP | {"k": 1}))
    bench.add(1, 0.5, 0.5)
    bench.add(2, 0.4)
    bench.now += 61
    assert bench.settle() == {1: "hot", 2: "cold"}
    bench.add(2, 0.3, names="B")
    assert bench.settle() == {1: "hot", 2: "cold"}
    bench.add(2, 0.5, names="D")  # of equals the one with the first image of all
    bench.add(1, 0.1, names="C")
    assert bench.settle() == {1: "hot", 2: "cold"}
    bench.add(2, 0.9, names="C")
    assert bench.at() == {1: "hot", 2: "cold"}
    assert bench.settle() == {1: "cold", 2: "hot"}


@on_one_database
def test_a_set_whose_score_comes_late_goes_where_it_ranks(store: SqlStore) -> None:
    bench = Sites(store, ranked(TOP | {"k": 1}))
    bench.add(1, 0.5, 0.5)
    bench.add(2, None, None)
    assert bench.settle() == {1: "hot", 2: "none"}
    bench.add(2, 0.9, names="C")
    assert bench.at() == {1: "hot", 2: "hot"}
    assert bench.settle() == {1: "cold", 2: "hot"}


@on_one_database
def test_pinned_and_recalled_images_stay_and_the_rest_of_their_set_takes_no_other_place(
    store: SqlStore,
) -> None:
    bench = Sites(store, ranked(TOP | {"k": 2}))
    ids = {site: bench.add(site, site / 10, 0) for site in (1, 2, 3, 4)}
    store.pin(ids[4][0], "hot", reason="mine", made_by="eva", now=NOW)
    assert bench.settle() == {1: "cold", 2: "cold", 3: "hot", 4: "hot"}
    store.recall(ids[1][0], "hot", reason="look", made_by="eva", now=NOW)
    assert bench.settle() == {1: "cold+hot", 2: "cold", 3: "cold", 4: "hot"}
    bench.add(1, 0.05, names="C")  # its set keeps its score
    assert bench.settle() == {1: "cold+hot", 2: "cold", 3: "cold", 4: "hot"}
    bench.add(1, 0.15, names="D")  # another score: all of the set is decided about anew
    assert bench.settle() == {1: "cold", 2: "cold", 3: "hot", 4: "hot"}


@on_one_database
def test_an_audit_keeps_sets_as_one(store: SqlStore) -> None:
    policy = TOP | {"k": 1, "audit": AUDIT}
    bench = Sites(store, ranked(policy))
    for site in range(1, 21):
        bench.add(site, site / 100, 0)
    drawn = ranked(policy).policy
    assert drawn is not None
    assert bench.settle() == {
        site: "hot"
        if site == 20
        else "audited"
        if drawn.takes_for_audit("s", f'["A01", "{site}"]')
        else "cold"
        for site in range(1, 21)
    }
    assert 3 < list(bench.at().values()).count("audited") < 16


def test_a_preview_of_ranked_sets_says_what_applying_it_does(store: SqlStore) -> None:
    chance = random.Random(3)
    bench = Sites(store, ranked(TOP))
    jobs = [
        bench.add(site, chance.choice([None, 0.4, 0.6, chance.random()]), chance.choice([None, 0.4, 0.1]))
        for site in range(15)
    ]
    bench.settle()
    for tier, following in {"hot": "cold", "cold": "archive"}.items():
        store.start_moves(limit=1000, now=NOW)
        assert store.pass_on(tier, TierLimits(following, 4 * SIZE), now=NOW, limit=100)
    store.pin(jobs[1][0], "hot", reason="mine", made_by="eva", now=NOW)
    store.recall(jobs[2][1], "hot", reason="look", made_by="eva", now=NOW)
    bench.add(3, 0.8, names="C")
    bench.settle()
    halves = [{"lo": 0, "hi": 0.5, "tier": "cold"}, {"lo": 0.5, "hi": 1, "tier": "nvme"}]
    for policy in (
        TOP | {"k": 3},
        TOP | {"k": 7, "audit": AUDIT},
        BUDGET,
        {"intervals": halves, "undefined": "none"},
        TOP | {"k": None, "percent": 30, "audit": AUDIT | {"seed": 4}},
        BUDGET | {"audit": AUDIT},
    ):
        bench.check(ranked(policy))


@on_one_database
@pytest.mark.parametrize("combine", ["max", "mean", "reference"])
def test_a_preview_of_ranked_sets_with_another_function(store: SqlStore, combine: str) -> None:
    chance = random.Random(4)
    image_set = PAIRS | {"combine": combine, "channel": "A"}
    bench = Sites(store, Pipeline.parse(ranked(TOP).to_json() | {"image_set": image_set}))
    jobs = [bench.add(site, chance.choice([None, chance.random()]), chance.random()) for site in range(15)]
    bench.settle()
    store.pin(jobs[1][0], "hot", reason="mine", made_by="eva", now=NOW)
    store.recall(jobs[2][1], "cold", reason="look", made_by="eva", now=NOW)
    for policy, expression in ((TOP, "1 - score"), (TOP | {"k": 3}, "score - 0.2"), (BUDGET, "score / 2")):
        function = {"function": "expression", "features_from": "focus-score"}
        by = {"interestingness": function | {"parameters": {"expression": expression}}}
        bench.check(Pipeline.parse(ranked(policy).to_json() | {"image_set": image_set} | by))


@on_one_database
def test_an_image_that_is_deleted_makes_room_for_the_next_set(store: SqlStore) -> None:
    bench = Sites(store, ranked(BUDGET | {"budgets": [{"tier": "hot", "bytes": 3 * SIZE}]}))
    first = bench.add(1, 0.9, 0.9)
    bench.add(2, 0.5, 0.5)
    assert bench.settle() == {1: "hot", 2: "cold"}
    for job_id in first:
        store.delete(job_id)
    assert bench.settle() == {2: "hot"}


def test_a_set_that_a_full_tier_has_passed_on_keeps_its_place(store: SqlStore) -> None:
    bench = Sites(store, ranked(TOP | {"k": 2}))
    for site in (1, 2):
        bench.add(site, site / 10, 0)
    limits = TierLimits(next="archive", quota_bytes=2 * SIZE)
    assert store.pass_on("hot", limits, now=NOW, limit=100) == 2
    assert bench.settle() == {1: "archive", 2: "hot"}
    bench.add(3, 0.05, 0)
    assert bench.settle() == {1: "archive", 2: "hot", 3: "cold"}
    bench.add(4, 0.3, 0)  # in place of the first, which stays: the ranking does not know the archive
    assert bench.settle() == {1: "archive", 2: "hot", 3: "cold", 4: "hot"}
    assert store.pass_on("hot", limits, now=NOW, limit=100) == 2
    late = bench.add(2, 0.1, names="C")  # joins its set in its place, and may be sent on from there
    assert bench.settle() == {1: "archive", 2: "archive+hot", 3: "cold", 4: "hot"}
    assert store.pass_on("hot", limits, now=NOW, limit=100) == len(late)
    for job_id in [number for number in placed(store) if store.job(number).spec.metadata["site"] == 4]:
        store.delete(job_id)
    assert bench.settle() == {1: "hot", 2: "archive", 3: "cold"}


@on_one_database
def test_a_preview_knows_that_only_the_latest_version_of_an_image_counts(store: SqlStore) -> None:
    bench = Sites(store)
    by = {
        "function": "expression",
        "features_from": "focus-score",
        "parameters": {"expression": "score - 0.2"},
    }
    pipeline = Pipeline.parse(SETS.to_json() | {"image_set": PAIRS, "interestingness": by})
    store.set_policy("s", ranked(SETS.to_json()["policy"]))
    bench.add(1, 0.9, 0.3)
    again = {"source_version": "2", "metadata": {"well": "A01", "site": 1, "channel": "A"}}
    submitted(
        store, spec({"taskSequential": ["focus-score", "tier"]}, source_id="s1/A", stream_id="s", **again)
    )
    bench.score({"A": 0.1})  # for which the other function fails
    bench.decide()
    bench.check(pipeline)
    assert bench.at() == {1: "warm"}
