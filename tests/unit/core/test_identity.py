"""Hashes that are stored, and what they are made of: no release may change one of these literals.

A model may get a new field with a default. It may not get another default: what is stored would be taken for
something else.
"""

import hashlib
from typing import Any

import pytest
from pydantic import BaseModel, TypeAdapter

from haste_core.alert_rules import AlertRule
from haste_core.decisions import fingerprint
from haste_core.image_sets import ImageSetSpec
from haste_core.interestingness import ScoredObject
from haste_core.pipelines import InterestingnessSpec, Pipeline
from haste_core.policies import IntervalPolicy, policy_adapter

SPEC = {
    "function": "logistic",
    "features_from": "focus-score",
    "parameters": {"feature": "plls", "k": 4.5, "x0": -1.4},
}
INTERVALS = {
    "intervals": [{"lo": 0, "hi": 0.5, "tier": "b"}, {"lo": 0.5, "hi": 1, "tier": "a"}],
    "undefined": "b",
}
TASKS = {"taskSequential": [{"Task": {"task_key": "preprocess", "optional": True}}, "focus-score", "tier"]}
TOP = {"type": "top-k", "k": 10, "tier": "a", "rest": "b", "undefined": "b"}
BUDGET = {"type": "budget", "budgets": [{"tier": "a", "bytes": 1000}], "rest": "b", "undefined": "b"}
OWN = {"type": "own", "policy": "lab", "tiers": ["a", "b"], "undefined": "b"}
SETS = {"group_by": ["well"], "channel": "DAPI", "expected": {"channels": ["DAPI", "GFP"]}}
SCORED = ScoredObject(
    features={"plls": -1.25, "empty": False, "size_bytes": 1000},
    metadata={"channel": "DAPI"},
    timestamp=1_790_000_000.0,
    location=(3.0, 1.0),
    substream_id="A01",
)


def pipeline(**more: Any) -> dict[str, Any]:
    return {
        "name": "p",
        "description": "d",
        "tasks": TASKS,
        "interestingness": SPEC,
        "policy": INTERVALS,
        **more,
    }


PIPELINES = {
    "upload": (
        {"name": "p", "description": "d", "tasks": "upload"},
        "3126290a29ebb13fe82a96411d12998caaf84145add15c3887a32906e872df55",
    ),
    "intervals": (pipeline(), "cbee7638039040ebe5f56d4ead9e45899e85303d83d38cd4217fdcc4f610f42a"),
    "move": (
        pipeline(policy={**INTERVALS, "move": True}),
        "af4e829c265a44d37670666f71e9d3d3bb2ba3f3e45d7a78e1d362f71b967bbf",
    ),
    "top-k": (pipeline(policy=TOP), "fd44f1a060b73d6eb2f414da0161d12fc2dc1b2be4ca328a38eda667bc05e4e4"),
    "budget": (pipeline(policy=BUDGET), "e229a5379cb8c75510f64aea6ffa2c23cda399765192963fc0a81c5f6a9fcd5d"),
    "own": (pipeline(policy=OWN), "572e8c1a63e61697a475e4e46ee04a8a9fc4c916a4308a09c523093e568c373c"),
    "audit": (
        pipeline(policy={**INTERVALS, "audit": {"fraction": 0.05, "tier": "kept"}}),
        "2de66a9975c270333b677a54742ad16414e4dfc39cc22bad13616b6161f53ebe",
    ),
    "parameters": (
        pipeline(parameters={"focus-score": {"channel": "DAPI"}}),
        "a1c0dcef81354e6c05b3fa8a78d11eef94d4edf3fcb756d3b7dbe2916446f749",
    ),
    "sets": (pipeline(image_set=SETS), "73a59ecec2c48d2c6d2c405587992e3ee4df779857785bb407615588b30f38d6"),
    "alerts": (
        pipeline(alerts=[{"rule": "finished"}, {"rule": "silence", "for_s": 60}]),
        "72121870068a0e8fecc72e80ee6ffcd86ae1aa6f6785f5bfa7d165b8afce95c8",
    ),
}


@pytest.mark.parametrize("name", PIPELINES)
def test_a_pipeline_has_this_hash_for_ever(name: str) -> None:
    written, sha256 = PIPELINES[name]
    read = Pipeline.parse(written)
    assert read.sha256 == sha256
    assert Pipeline.parse(read.to_json()).sha256 == sha256, "as it is stored, with its defaults"


def test_the_hash_is_that_of_canonical_json_without_defaults() -> None:
    text = b'{"description":"d","name":"p","tasks":"upload"}'
    assert hashlib.sha256(text).hexdigest() == PIPELINES["upload"][1]


FINGERPRINTS = {
    "intervals": (INTERVALS, "0ba3d3c46b567378937817b41a4f8f04037790c7cc7abcf788feb43c145f9c87"),
    "top-k": (TOP, "e942dd8eb386761e039295d6d8c7db1f1f0fb413c062f951184e7b19dba37b56"),
    "budget": (BUDGET, "28d7a6f273d9b4a18cf00fd0232d0f54f1956236c7c5e2e0790edce7a12c02d9"),
    "own": (OWN, "1d951f22e6894e2086413627bd33f7f98a3a45a8c0500388b7a0e75ecc50f01f"),
}


@pytest.mark.parametrize("name", FINGERPRINTS)
def test_the_input_of_a_decision_has_this_hash_for_ever(name: str) -> None:
    policy, sha256 = FINGERPRINTS[name]
    spec = InterestingnessSpec.model_validate(SPEC)
    read = policy_adapter.validate_python(policy)
    assert fingerprint(SCORED, spec, read) == sha256
    stored = policy_adapter.validate_python(read.model_dump(mode="json", by_alias=True))
    assert fingerprint(SCORED, InterestingnessSpec.model_validate(spec.model_dump()), stored) == sha256


class LaterPipeline(Pipeline):
    """As a later release may have it."""

    added: int = 3


class LaterSpec(InterestingnessSpec):
    """As a later release may have it."""

    added: str | None = None


class LaterPolicy(IntervalPolicy):
    """As a later release may have it."""

    added: bool = False


def test_a_field_that_is_added_later_changes_no_hash() -> None:
    later = LaterPipeline.parse(pipeline())
    assert later.to_json()["added"] == 3
    assert later.sha256 == PIPELINES["intervals"][1]
    assert LaterPipeline.parse(pipeline(added=4)).sha256 != PIPELINES["intervals"][1]
    spec, policy = LaterSpec.model_validate(SPEC), LaterPolicy.model_validate(INTERVALS)
    assert fingerprint(SCORED, spec, policy) == FINGERPRINTS["intervals"][1]
    other = LaterPolicy.model_validate({**INTERVALS, "added": True})
    assert fingerprint(SCORED, spec, other) != FINGERPRINTS["intervals"][1]


_rules: TypeAdapter[Any] = TypeAdapter(AlertRule)
DEFAULTS: list[tuple[BaseModel, dict[str, Any]]] = [
    (
        Pipeline.parse({"name": "p", "description": "d", "tasks": "upload"}),
        {"parameters": {}, "interestingness": None, "policy": None, "image_set": None, "alerts": []},
    ),
    (
        InterestingnessSpec(function="rest", features_from="a", parameters={"url": "http://a/b"}),
        {"undefined_if": None},
    ),
    (policy_adapter.validate_python(INTERVALS), {"type": "intervals", "move": False, "audit": None}),
    (policy_adapter.validate_python(TOP), {"move": False, "audit": None, "percent": None}),
    (policy_adapter.validate_python(BUDGET), {"move": False, "audit": None}),
    (policy_adapter.validate_python(OWN), {"move": False, "audit": None, "parameters": {}}),
    (
        policy_adapter.validate_python({**INTERVALS, "audit": {"fraction": 0.05, "tier": "kept"}}),
        {"audit": {"fraction": 0.05, "tier": "kept", "seed": 0}},
    ),
    (
        ImageSetSpec.model_validate(SETS),
        {
            "expected": {"channels": ["DAPI", "GFP"], "planes": 1},
            "combine": "reference",
            "z": "best",
            "group_timeout_s": 600.0,
        },
    ),
    (
        ImageSetSpec.model_validate({"group_by": ["well"], "expected": 2, "combine": "max"}),
        {"channel": None},
    ),
    (
        _rules.validate_python({"rule": "well-below", "below": 0.5, "percent": 50}),
        {"min_images": 4, "field": "well", "count_undefined": False},
    ),
    (
        _rules.validate_python({"rule": "low-scores", "below": 0.5, "consecutive": 5}),
        {"count_undefined": False},
    ),
    (_rules.validate_python({"rule": "finished"}), {"settle_s": 60.0}),
    (_rules.validate_python({"rule": "tier-nearly-full", "tier": "a"}), {"percent": 90.0}),
]


@pytest.mark.parametrize(("model", "defaults"), DEFAULTS)
def test_a_default_never_changes(model: BaseModel, defaults: dict[str, Any]) -> None:
    written = model.model_dump(mode="json", by_alias=True)
    assert {name: written[name] for name in defaults} == defaults
