"""What is wrong with a pipeline is told by the path that its author wrote, whatever the form of a part."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from haste_core.errors import InvalidError
from haste_core.pipelines import Pipeline

CONFIG = Path(__file__).resolve().parents[3] / "config"
PIPELINE: dict[str, Any] = yaml.safe_load((CONFIG / "pipelines/focus-tier.yaml").read_text())
FUNCTION, POLICY = PIPELINE["interestingness"], PIPELINE["policy"]
INTERVALS = {"intervals": [{"lo": 0, "hi": 1, "tier": "tierA"}]}
TOP = {"type": "top-k", "tier": "tierA", "rest": "tierB", "undefined": "empty"}
GIVEN = "interestingness.parameters"
BUDGET = {"type": "budget", "rest": "b", "undefined": "c"}
NAME = "at most 100 letters, digits, '-' and '_', a letter or digit first"


def function(**changes: Any) -> dict[str, Any]:
    return {"interestingness": {**FUNCTION, **changes}}


def policy(given: Any) -> dict[str, Any]:
    return {"policy": given}


def alert(**given: Any) -> dict[str, Any]:
    return {"alerts": [{"rule": "finished"}, given]}


def a_set(expected: Any) -> dict[str, Any]:
    return {"image_set": {"group_by": ["well"], "combine": "max", "expected": expected}}


def tasks(*given: Any) -> dict[str, Any]:
    return {"tasks": {"taskSequential": [*given, "tier"]}}


WRONG: list[tuple[dict[str, Any], list[str]]] = [
    (policy(INTERVALS), ["policy.undefined"]),
    (policy({**POLICY, "undefined": "a b"}), ["policy.undefined"]),
    (policy({**POLICY, "foo": 1}), ["policy.foo"]),
    (policy({**POLICY, "audit": {"fraction": 2, "tier": "kept"}}), ["policy.audit.fraction"]),
    (
        policy({"undefined": "a", "intervals": [{"lo": "x", "hi": 1, "tier": "a"}]}),
        ["policy.intervals[0].lo"],
    ),
    (policy({"undefined": "a", "intervals": []}), ["policy.intervals"]),
    (policy({**TOP, "k": 0}), ["policy.k"]),
    (
        policy({**BUDGET, "budget": 3}),
        ["policy.budgets", "policy.budget"],
    ),
    (
        policy(
            {"type": "budget", "budgets": [{"tier": "a", "bytes": "much"}], "rest": "b", "undefined": "c"}
        ),
        ["policy.budgets[0].bytes"],
    ),
    (policy({"type": "own", "policy": "p", "tiers": ["a", 1], "undefined": "a"}), ["policy.tiers[1]"]),
    (policy("paper"), ["policy"]),
    (policy({"type": "best"}), ["policy"]),
    (function(undefined_if=3), ["interestingness.undefined_if"]),
    (function(undefined_if={"dim": 3}), ["interestingness.undefined_if.dim"]),
    (
        function(parameters={"feature": 3, "k": 1, "x": 2}),
        [f"{GIVEN}.{one}" for one in ("feature", "x0", "x")],
    ),
    (function(function="rest", parameters={"url": "http://a", "fields": []}), [f"{GIVEN}.fields"]),
    (function(function="expression", parameters={"expression": "plls +"}), [GIVEN]),
    (alert(rule="low-scores", below=3, consecutive=3), ["alerts[1].below"]),
    (alert(rule="silence", for_s="long", by="mail"), ["alerts[1].for_s", "alerts[1].by"]),
    (alert(rule="tier-nearly-full", tier="a b"), ["alerts[1].tier"]),
    (alert(rule="noise"), ["alerts[1]"]),
    (alert(), ["alerts[1]"]),
    (a_set(0), ["image_set.expected"]),
    (a_set("many"), ["image_set.expected"]),
    (a_set({"channels": []}), ["image_set.expected.channels"]),
    ({"parameters": {"BAD KEY": {}, "upload": 3}}, ["parameters.BAD KEY", "parameters.upload"]),
    (tasks("bad!"), ["tasks.taskSequential[0]"]),
    (tasks({"Task": {"task_key": "#"}}), ["tasks.taskSequential[0].Task.task_key"]),
    (tasks({"taskParallel": ["a", {"Task": {}}]}), ["tasks.taskSequential[0].taskParallel[1].Task.task_key"]),
    ({"tasks": "bad!"}, ["tasks"]),
]


@pytest.mark.parametrize(("wrong", "where"), WRONG)
def test_a_path_is_the_one_that_was_written(wrong: dict[str, Any], where: list[str]) -> None:
    with pytest.raises(InvalidError) as caught:
        Pipeline.parse({**PIPELINE, **wrong})
    assert [problem.where for problem in caught.value.problems] == where


@pytest.mark.parametrize(
    ("wrong", "what"),
    [
        (policy({**POLICY, "undefined": "a b"}), f"'a b' is not the name of a tier: {NAME}"),
        (alert(rule="tier-nearly-full", tier="-"), f"'-' is not the name of a tier: {NAME}"),
        ({"name": "A b"}, "'A b' is not the name of a pipeline: at most 100 small letters, digits"),
        (tasks("bad!"), f"'bad!' is not a name: {NAME}"),
        (alert(rule="noise"), "the rule of an alert is low-scores, well-below, silence, finished or"),
        (
            function(parameters={"feature": "plls", "k": 1, "x0": 0, "x": 2}),
            "is not a field that is known here",
        ),
        (policy({**TOP, "type": "budget", "budgets": [{"tier": "c", "bytes": "x"}]}), "such as 500 GB"),
    ],
)
def test_a_form_is_told_in_words(wrong: dict[str, Any], what: str) -> None:
    with pytest.raises(InvalidError) as caught:
        Pipeline.parse({**PIPELINE, **wrong})
    said = [problem.what for problem in caught.value.problems]
    assert any(what in one for one in said), said
    assert not any("[A-Za-z" in one or "^" in one for one in said)


def test_all_forms_are_written_and_read_again() -> None:
    everything = {
        **PIPELINE,
        **function(undefined_if={"dim": "plls < -2"}),
        **policy(
            {"type": "budget", "budgets": [{"tier": "a", "bytes": "5 GB"}], "rest": "b", "undefined": "c"}
        ),
        **a_set({"channels": ["DAPI"], "planes": 2}),
        "alerts": [{"rule": "finished"}, {"rule": "tier-nearly-full", "tier": "a"}],
        **tasks("focus-score", {"taskParallel": ["a", {"Task": {"task_key": "b", "priority": 2}}]}),
    }
    pipeline = Pipeline.parse(everything)
    assert Pipeline.parse(pipeline.to_json()) == pipeline
