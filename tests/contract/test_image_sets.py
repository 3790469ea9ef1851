"""Image sets on every database: who belongs to one, who waits, and what is decided about all of it."""

import time
from typing import Any

import pytest

from haste_core.decisions import Decision, decide
from haste_core.interestingness import InterestingnessError, built_in
from haste_core.messages import TaskMessage
from haste_core.pipelines import Pipeline
from haste_core.states import TaskState
from haste_core.undecided import Answer, Postponed, Undecidable, Undecided
from haste_server.engine.evaluation import tier_chooser
from haste_server.engine.evaluator import Evaluator
from haste_server.store.sql import SqlStore
from tests.contract.store_bench import NOW, PIPELINE, claim, result_of, spec, submitted

CHANNELS = ["DAPI", "GFP", "Cy5"]
SETS = Pipeline.parse(
    PIPELINE.to_json()
    | {
        "interestingness": {
            "function": "expression",
            "features_from": "focus-score",
            "parameters": {"expression": "score"},
        },
        "policy": {
            "intervals": [{"lo": 0, "hi": 0.5, "tier": "warm"}, {"lo": 0.5, "hi": 1, "tier": "hot"}],
            "undefined": "cold",
        },
        "image_set": {
            "group_by": ["well", "site"],
            "expected": {"channels": CHANNELS},
            "channel": "DAPI",
            "group_timeout_s": 60,
        },
    }
)
COOLER = Pipeline.parse(
    SETS.to_json() | {"policy": {"intervals": [{"lo": 0, "hi": 1, "tier": "warm"}], "undefined": "cold"}}
)


# What makes no other statements than the rest; a database of MariaDB takes a second to make.
on_one_database = pytest.mark.parametrize("store", ["sqlite"], indirect=True)


class Bench:
    """A stream of image sets, and an evaluator whose clock stands still."""

    def __init__(self, store: SqlStore, pipeline: Pipeline = SETS) -> None:
        self.store = store
        self.now = NOW
        self.asked: list[str] = []
        self.is_away = self.is_silent = False
        self.pause_s = 0.0
        self._claimed: dict[str, TaskMessage] = {}
        self.evaluator = Evaluator(store=store, released=lambda: None, time_limit_s=1, clock=lambda: self.now)
        self.evaluator._judge._child = self  # type: ignore[assignment]
        store.create_stream("s", pipeline, "enforce", now=NOW)

    def ask(self, item: Undecided) -> Answer:
        self.asked.append(item.source_id)
        function, policy = item.pipeline.interestingness, item.pipeline.policy
        assert function is not None
        assert policy is not None
        if item.scored.features.get("score") == "broken":
            return Undecidable("the function broke")
        if self.is_away:
            return Postponed("the service is away", silent=self.is_silent)
        time.sleep(self.pause_s)
        tier_for = tier_chooser(item, policy)
        try:
            return decide(item.scored, spec=function, policy=policy, build=built_in, tier_for=tier_for)
        except InterestingnessError as error:
            return Undecidable(str(error))

    def submit(self, *names: str, site: int = 1) -> dict[str, int]:
        specs = [
            spec(
                {"taskSequential": ["focus-score", "tier"]},
                source_id=f"s{site}/{name}",
                stream_id="s",
                metadata={"well": "A01", "site": site, "channel": name.partition(" ")[0], "share": site / 4},
            )
            for name in names
        ]
        return dict(zip(names, submitted(self.store, *specs, now=self.now), strict=True))

    def score(self, scores: dict[str, Any], *, site: int = 1) -> None:
        """Let features come: a score, None where it is undefined, or a failure."""
        claimed = claim(self.store, "focus-score", now=self.now)
        self._claimed |= {message.job["source_id"]: message for message in claimed}
        for name, score in scores.items():
            state = TaskState.BAD_INPUT if score == "failed" else TaskState.DONE
            features = self.features(score)
            message = self._claimed.pop(f"s{site}/{name}")
            result = result_of(message, state, response=features, started_at=self.now, ended_at=self.now)
            self.store.record([result], now=self.now)

    def features(self, score: Any) -> dict[str, Any]:
        return {"undefined": "empty"} if score is None else {"score": score}

    def decide(self) -> None:
        while self.evaluator._decide_batch() or self.evaluator._redecide_batch():
            pass

    def tiers(self, *, site: int = 1) -> dict[str, tuple[str, float | None]]:
        """Return what was last decided about each image of a site."""
        decided = self.store.decided("s", after=0, up_to=2**62, limit=1000)
        found = {one.object.source_id: (one.object.tier, one.object.score) for one in decided}
        start = f"s{site}/"
        return {name.removeprefix(start): it for name, it in found.items() if name.startswith(start)}

    def reasons(self) -> list[str]:
        """Return why all tasks that may run now were decided so."""
        notes = [message.decision for message in claim(self.store, "tier", now=self.now)]
        return [note.reason for note in notes if note is not None]


@pytest.fixture
def bench(store: SqlStore) -> Bench:
    return Bench(store)


def test_a_set_is_decided_as_one_when_all_of_it_is_there(bench: Bench) -> None:
    jobs = bench.submit(*CHANNELS)
    bench.submit(*CHANNELS, site=2)
    bench.score({"GFP": 0.1, "DAPI": 0.9})
    bench.decide()
    assert bench.tiers() == {}
    assert bench.store.undecided(limit=10, now=NOW + 59) == []
    bench.score({"Cy5": 0.2})
    bench.decide()
    assert bench.tiers() == dict.fromkeys(CHANNELS, ("hot", 0.9))
    assert bench.tiers(site=2) == {}
    assert bench.asked == ["s1/DAPI"]
    (decision,) = bench.store.decisions_about(jobs["GFP"])
    assert decision.members == (jobs["DAPI"],)
    said = (
        "image set well A01 site 1: channels DAPI, GFP, Cy5; complete; expression: channel DAPI gave 0.9000, "
        "which the policy puts in hot"
    )
    assert bench.reasons() == [said] * 3


@on_one_database
def test_after_the_time_out_it_is_decided_without_what_is_missing(bench: Bench) -> None:
    bench.submit("DAPI", "GFP")
    bench.score({"DAPI": 0.9})
    bench.now += 30
    bench.score({"GFP": 0.2})
    bench.decide()
    bench.now += 29.9
    bench.decide()
    assert bench.tiers() == {}
    bench.now += 0.2
    bench.decide()
    assert bench.tiers() == {"DAPI": ("hot", 0.9), "GFP": ("hot", 0.9)}
    assert all("incomplete (channel Cy5 missing)" in reason for reason in bench.reasons())


@on_one_database
def test_an_image_that_comes_late_joins_its_set(bench: Bench) -> None:
    bench.submit("DAPI", "GFP")
    bench.score({"DAPI": 0.9, "GFP": 0.2})
    bench.decide()
    bench.now += 61
    bench.decide()
    before = bench.store.decided("s", after=0, up_to=2**62, limit=100)
    bench.submit("Cy5")
    bench.score({"Cy5": 0.1})
    bench.decide()
    assert bench.tiers() == dict.fromkeys(CHANNELS, ("hot", 0.9))
    after = bench.store.decided("s", after=0, up_to=2**62, limit=100)
    assert len(after) == len(before) + 1


def test_a_reference_that_comes_late_changes_the_others_decisions(bench: Bench) -> None:
    bench.submit("GFP", "Cy5")
    bench.score({"GFP": 0.2, "Cy5": 0.1})
    bench.now += 61
    bench.decide()
    assert bench.tiers() == {"GFP": ("cold", None), "Cy5": ("cold", None)}
    for message in claim(bench.store, "tier", now=bench.now):
        assert message.decision is not None
        assert "no score: there are no features of channel DAPI" in message.decision.reason
        bench.store.record([result_of(message)], now=bench.now)
    bench.submit("DAPI")
    bench.score({"DAPI": 0.9})
    bench.decide()
    assert bench.tiers() == dict.fromkeys(CHANNELS, ("hot", 0.9))
    assert len(bench.store.start_moves(limit=10, now=bench.now)) == 2


def test_a_failed_image_is_not_waited_for(bench: Bench) -> None:
    bench.submit(*CHANNELS)
    bench.score({"DAPI": 0.9, "GFP": 0.2})
    bench.decide()
    bench.score({"Cy5": "failed"})
    bench.decide()
    assert bench.tiers() == {"DAPI": ("hot", 0.9), "GFP": ("hot", 0.9)}
    assert all("incomplete (channel Cy5 failed)" in reason for reason in bench.reasons())


@on_one_database
def test_an_image_whose_function_fails_is_left_out(store: SqlStore) -> None:
    image_set = {"group_by": ["site"], "expected": 3, "combine": "max"}
    bench = Bench(store, Pipeline.parse(SETS.to_json() | {"image_set": image_set}))
    jobs = bench.submit(*CHANNELS)
    bench.score({"DAPI": 0.3, "GFP": 0.4, "Cy5": "broken"})
    bench.decide()
    assert bench.tiers() == {"DAPI": ("warm", 0.4), "GFP": ("warm", 0.4)}
    assert store.job(jobs["Cy5"]).state is TaskState.ERROR
    assert "incomplete (channel Cy5 failed); expression: the max of" in bench.reasons()[0]


@on_one_database
def test_a_cancelled_job_is_not_waited_for(bench: Bench) -> None:
    jobs = bench.submit(*CHANNELS)
    bench.score({"DAPI": 0.9, "GFP": 0.2})
    bench.decide()
    bench.store.cancel_job(jobs["Cy5"], now=bench.now)
    bench.decide()
    assert bench.tiers() == {"DAPI": ("hot", 0.9), "GFP": ("hot", 0.9)}


@on_one_database
def test_a_function_that_fails_for_the_reference_fails_for_the_set(bench: Bench) -> None:
    jobs = bench.submit(*CHANNELS)
    bench.score({"DAPI": "broken", "GFP": 0.2, "Cy5": 0.2})
    bench.decide()
    assert bench.tiers() == {}
    assert {bench.store.job(job_id).state for job_id in jobs.values()} == {TaskState.ERROR}


@on_one_database
def test_images_that_belong_to_no_set_are_decided_alone(bench: Bench) -> None:
    tree = {"taskSequential": ["focus-score", "tier"]}
    submitted(bench.store, spec(tree, source_id="s1/alone", stream_id="s", metadata={"well": "A01"}))
    bench.score({"alone": 0.7})
    bench.decide()
    assert bench.tiers() == {"alone": ("hot", 0.7)}


@on_one_database
def test_a_later_version_of_an_image_counts_instead_of_the_first(bench: Bench) -> None:
    bench.submit("DAPI", "GFP")
    bench.score({"DAPI": 0.9, "GFP": 0.2})
    bench.submit("DAPI", "Cy5")
    bench.score({"DAPI": 0.1, "Cy5": 0.2})
    bench.decide()
    assert bench.tiers() == dict.fromkeys(CHANNELS, ("warm", 0.1))
    assert len(bench.store.decided("s", after=0, up_to=2**62, limit=100)) == 4


def test_another_policy_decides_about_sets_as_one(bench: Bench) -> None:
    bench.submit(*CHANNELS)
    bench.score({"DAPI": 0.6, "GFP": 0.1, "Cy5": 0.1})
    bench.decide()
    policy = {"intervals": [{"lo": 0, "hi": 1, "tier": "other"}], "undefined": "cold"}
    bench.store.set_policy("s", Pipeline.parse(SETS.to_json() | {"policy": policy}))
    bench.decide()
    assert bench.tiers() == dict.fromkeys(CHANNELS, ("other", 0.6))
    assert bench.store.to_redecide(limit=10) == []


@on_one_database
def test_a_pinned_image_stays_where_it_is_while_its_set_goes(bench: Bench) -> None:
    jobs = bench.submit("GFP", "Cy5")
    bench.score({"GFP": 0.2, "Cy5": 0.1})
    bench.now += 61
    bench.decide()

    def same(decision: Decision) -> Decision:
        return decision

    bench.store.redecide_one(jobs["GFP"], same, origin="pin", made_by="eva", now=NOW, pinned=True)
    bench.submit("DAPI")
    bench.score({"DAPI": 0.9})
    bench.decide()
    assert bench.tiers() == {"GFP": ("cold", 0.9), "Cy5": ("hot", 0.9), "DAPI": ("hot", 0.9)}


@on_one_database
def test_planes(store: SqlStore) -> None:
    image_set = {"group_by": ["site"], "expected": 4, "combine": "mean"}
    bench = Bench(store, Pipeline.parse(SETS.to_json() | {"image_set": image_set}))
    bench.submit("DAPI 1", "DAPI 2", "GFP 1", "GFP 2")
    bench.score({"DAPI 1": 0.2, "DAPI 2": 0.8, "GFP 1": 0.4, "GFP 2": None})
    bench.decide()
    assert {tier for tier, _ in bench.tiers().values()} == {"hot"}
    assert [score for _, score in bench.tiers().values()] == pytest.approx([0.6] * 4)
    assert "DAPI (2 planes), GFP (2 planes); complete" in bench.reasons()[0]


def _asking(function: str, parameters: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"function": function, "features_from": "focus-score", "parameters": parameters, **more}


HALVES = [{"lo": 0, "hi": 0.5, "tier": "cold"}, {"lo": 0.5, "hi": 1, "tier": "hot"}]
AUDITED = {
    "intervals": HALVES,
    "undefined": "cold",
    "audit": {"fraction": 0.5, "seed": 1, "tier": "warm"},
}
OTHERWISE = _asking("expression", {"expression": "1 - score"})
TRIED: list[dict[str, Any]] = [
    {"interestingness": OTHERWISE},
    {"interestingness": OTHERWISE, "policy": AUDITED},
    {"interestingness": OTHERWISE | {"undefined_if": "score > 0.8"}},
    {"interestingness": _asking("precomputed", {"field": "share"})},
    {"policy": AUDITED},
]


@pytest.mark.parametrize(
    ("combine", "tried"),
    [("reference", TRIED[0]), ("max", TRIED[0]), *(("mean", one) for one in TRIED)],
    ids=["reference", "max", "mean", "audit", "undefined", "precomputed", "borders"],
)
def test_a_preview_says_what_applying_does(store: SqlStore, combine: str, tried: dict[str, Any]) -> None:
    image_set = {**SETS.to_json()["image_set"], "combine": combine}
    bench = Bench(store, Pipeline.parse(SETS.to_json() | {"image_set": image_set}))
    for site, scores in ((1, (0.2, 0.9, 0.3)), (2, (0.9, 0.1, 0.1)), (3, (None, 0.5, 0.9))):
        bench.submit(*CHANNELS, site=site)
        bench.score(dict(zip(CHANNELS, scores, strict=True)), site=site)
    bench.decide()
    before = store.progress("s").tiers
    pipeline = Pipeline.parse(store.stream("s").pipeline.to_json() | tried)
    shifts = store.preview("s", pipeline).shifts
    store.set_policy("s", pipeline)
    bench.decide()
    after = {tier: found.count for tier, found in store.progress("s").tiers.items() if found.count}
    previewed = {tier: sum(shift.count for shift in shifts if shift.after == tier) for tier in after}
    assert previewed == after
    assert sum(previewed.values()) == 9
    assert {tier: sum(shift.count for shift in shifts if shift.before == tier) for tier in before} == {
        tier: found.count for tier, found in before.items()
    }


@on_one_database
def test_a_set_waits_as_one_for_a_service_that_is_away(bench: Bench) -> None:
    bench.submit(*CHANNELS)
    bench.score({"DAPI": 0.9, "GFP": 0.2, "Cy5": 0.1})
    bench.is_away = True
    bench.decide()
    assert bench.tiers() == {}
    assert bench.store.undecided(limit=10, now=bench.now) == []
    bench.is_away = False
    bench.now += 1000
    bench.decide()
    assert bench.tiers() == dict.fromkeys(CHANNELS, ("hot", 0.9))


@on_one_database
@pytest.mark.parametrize("again", [False, True], ids=["first", "once more"])
def test_sets_do_not_ask_on_where_nobody_answers(bench: Bench, *, again: bool) -> None:
    for site in (1, 2, 3):
        bench.submit(*CHANNELS, site=site)
        bench.score(dict.fromkeys(CHANNELS, 0.9), site=site)
    if again:
        bench.decide()
        bench.store.set_policy("s", COOLER)
    bench.asked.clear()
    bench.is_away = bench.is_silent = True
    if again:
        bench.evaluator._redecide_batch()
        assert len(bench.store.to_redecide(limit=100)) == 9
    else:
        bench.evaluator._decide_batch()
        assert bench.tiers() == {}
    assert len(bench.asked) == 1
    bench.is_away = False
    bench.now += 1000
    bench.decide()
    assert bench.tiers(site=3) == dict.fromkeys(CHANNELS, ("warm" if again else "hot", 0.9))


@on_one_database
@pytest.mark.parametrize("again", [False, True], ids=["first", "once more"])
def test_sets_that_take_long_are_decided_about_in_several_turns(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, *, again: bool
) -> None:
    for site in (1, 2, 3):
        bench.submit(*CHANNELS, site=site)
        bench.score(dict.fromkeys(CHANNELS, 0.9), site=site)
    if again:
        bench.decide()
        bench.store.set_policy("s", COOLER)
    monkeypatch.setattr("haste_server.engine.evaluator.RECORD_EVERY_S", 0.1)
    bench.asked.clear()
    bench.pause_s = 0.15
    if again:
        bench.evaluator._redecide_batch()
        assert len(bench.store.to_redecide(limit=100)) == 6
    else:
        assert bench.evaluator._decide_batch()
    assert bench.asked == ["s1/DAPI"]
    bench.decide()
    assert bench.asked == ["s1/DAPI", "s2/DAPI", "s3/DAPI"]
    assert bench.tiers(site=3) == dict.fromkeys(CHANNELS, ("warm" if again else "hot", 0.9))


@on_one_database
def test_a_set_is_kept_for_audit_as_one(store: SqlStore) -> None:
    policy = {**SETS.to_json()["policy"], "audit": {"fraction": 0.5, "tier": "kept"}}
    bench = Bench(store, Pipeline.parse(SETS.to_json() | {"policy": policy}))
    for site in range(1, 13):
        bench.submit(*CHANNELS, site=site)
        bench.score(dict.fromkeys(CHANNELS, 0.1), site=site)
    bench.decide()
    tiers = [{tier for tier, _ in bench.tiers(site=site).values()} for site in range(1, 13)]
    assert all(len(its) == 1 for its in tiers)
    assert {tier for its in tiers for tier in its} == {"warm", "kept"}
