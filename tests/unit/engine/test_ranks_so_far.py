"""Ranks among a stream's other objects against going through all of them; each decision is loaded once."""

import random
from collections.abc import Iterator

import pytest

from haste_core.decisions import Decision
from haste_core.interestingness import ScoredObject, StreamObject, quantile
from haste_core.pipelines import Pipeline
from haste_core.undecided import Decided, Undecided
from haste_server.engine import evaluation
from haste_server.engine.evaluation import StreamsSoFar, evaluate
from haste_server.engine.evaluator_child import OthersWanted

QUANTILE = {"feature": "plls", "tiers": 4, "min_objects": 3}
RANKED = Pipeline.parse(
    {
        "name": "ranked",
        "description": "Rank",
        "tasks": "tier",
        "interestingness": {"function": "quantile", "features_from": "score", "parameters": QUANTILE},
        "policy": {"intervals": [{"lo": 0, "hi": 1, "tier": "hot"}], "undefined": "empty"},
    }
)


def history(chance: random.Random) -> list[Decided]:
    """Make decisions about some objects, about most of them more than once; some have no value."""
    return [
        Decided(
            2 * number,
            StreamObject(
                chance.choice("abcdefghijkl"),
                {"plls": chance.choice([-3.0, -2.0, -1.0, 0.5]), "n": number} if number % 7 else {},
                0.5,
                "hot",
            ),
        )
        for number in range(1, 60)
    ]


def counted(decisions: list[Decided], source_id: str, value: float, seen: int) -> float:
    latest = {one.object.source_id: one.object for one in decisions if one.decision_id <= seen}
    others = [other for name, other in latest.items() if name != source_id]
    scored = ScoredObject(features={"plls": value}, metadata={}, others=lambda: others)
    return quantile(feature="plls", tiers=4, min_objects=3)(scored)


@pytest.mark.parametrize("kept", [1_000_000, 1], ids=["all kept", "one stream kept"])
def test_ranks_are_those_among_all_others(monkeypatch: pytest.MonkeyPatch, kept: int) -> None:
    monkeypatch.setattr(evaluation, "VALUES_KEPT", kept)
    chance = random.Random(3)
    streams = {name: history(chance) for name in ("s", "t")}
    loaded: list[tuple[str, int]] = []

    def load(wanted: OthersWanted) -> Iterator[list[Decided]]:
        for one in streams[wanted.stream_id]:
            if wanted.after < one.decision_id <= wanted.up_to:
                loaded.append((wanted.stream_id, one.decision_id))
                yield [one]

    so_far = StreamsSoFar(load)
    for seen in (0, 3, 8, 60, 61, 120, 119, 90, 120):
        for name, decisions in streams.items():
            source_id, value = chance.choice("abcxy"), chance.choice([-3.5, -2.0, 0.0])
            scored = ScoredObject(features={"plls": value}, metadata={})
            answer = evaluate(Undecided(1, 1, name, source_id, RANKED, scored, seen=seen), so_far)
            assert isinstance(answer, Decision)
            assert (answer.score, answer.seen) == (counted(decisions, source_id, value, seen), seen)
    assert {*loaded} == {(name, one.decision_id) for name in streams for one in streams[name]}
    assert (len(loaded) == len({*loaded})) is (kept > 1)
