"""Functions and policies stand in a report in the words of a pipeline file."""

from typing import Any

import pytest

from haste_apps.reporting.provenance import function_text, policy_text
from haste_core.policies import policy_adapter
from tests.unit.apps.reporting.streams import POLICY

AUDIT = {"fraction": 0.05, "tier": "kept"}
TOP = {"type": "top-k", "k": 3, "tier": "hot", "rest": "cold", "undefined": "empty"}
BUDGET = {
    "type": "budget",
    "budgets": [{"tier": "hot", "bytes": "5 GB"}],
    "rest": "cold",
    "undefined": "empty",
}
OWN = {"type": "own", "policy": "lab", "tiers": ["hot", "cold"], "undefined": "cold"}
INTERVALS = "tierA from 0.75, tierB from 0.5, tierC from 0.25, tierD from 0, undefined: empty"


@pytest.mark.parametrize(
    ("policy", "text"),
    [
        (POLICY, INTERVALS),
        (POLICY | {"move": True}, f"{INTERVALS}, move: true"),
        (POLICY | {"audit": AUDIT}, f"{INTERVALS}, audit: {{fraction: 0.05, tier: kept}}"),
        (TOP, "type: top-k, undefined: empty, rest: cold, tier: hot, k: 3"),
        (
            BUDGET,
            "type: budget, undefined: empty, rest: cold, budgets: [{tier: hot, bytes: 5000000000}]",
        ),
        (OWN, "type: own, undefined: cold, policy: lab, tiers: [hot, cold]"),
    ],
)
def test_a_policy_says_what_was_said_and_no_defaults(policy: dict[str, Any], text: str) -> None:
    recorded = policy_adapter.validate_python(policy).model_dump(mode="json", by_alias=True)
    assert policy_text(recorded) == text


def test_a_policy_of_a_later_version_is_written_as_it_is() -> None:
    assert policy_text({"type": "later", "much": True, "less": None}) == "type: later, much: true"
    assert policy_text(None) == "-"


def test_a_function_is_a_call() -> None:
    spec = {"function": "expression", "parameters": {"expression": "plls + 3", "clip": True, "of": None}}
    assert function_text(spec) == "expression(expression=plls + 3, clip=true, of=null)"
