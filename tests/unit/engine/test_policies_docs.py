"""What docs/policies.md shows works as it says."""

import re
import sys
from pathlib import Path

import pytest
import yaml

from haste_core.decisions import Decision
from haste_core.interestingness import ScoredObject
from haste_core.pipelines import Pipeline
from haste_core.policies import BudgetPolicy, IntervalPolicy, OwnPolicy, TopPolicy
from haste_core.undecided import Undecided
from haste_server.engine.evaluation import StreamsSoFar, evaluate
from haste_server.extensions import FUNCTIONS, POLICIES

DOCS = Path(__file__).resolve().parents[3] / "docs"
PAGE = (DOCS / "policies.md").read_text()
SHOWN = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


def pipeline(shown: str) -> Pipeline:
    spec = {"function": "precomputed", "features_from": "a", "parameters": {"field": "score"}}
    given = {"name": "p", "description": "p", "tasks": "tier", "interestingness": spec}
    return Pipeline.parse({**given, **yaml.safe_load(shown)})


def decision(shown: Pipeline, score: float, *, name: str = "A01", **metadata: str) -> Decision:
    scored = ScoredObject({}, {"score": score, **metadata})
    made = evaluate(Undecided(1, 1, "s", name, shown, scored), StreamsSoFar(lambda _: []))
    assert isinstance(made, Decision), made
    return made


def test_all_types_are_shown() -> None:
    types = [IntervalPolicy, TopPolicy, BudgetPolicy, OwnPolicy, IntervalPolicy]
    assert [type(pipeline(shown).policy) for shown in SHOWN] == types
    budget = pipeline(SHOWN[2]).policy
    assert isinstance(budget, BudgetPolicy)
    assert [one.bytes for one in budget.budgets] == [500 * 10**9, 4 * 10**12]


def test_the_share_for_audit() -> None:
    shown = pipeline(SHOWN[4])
    made = [decision(shown, 0.2, name=f"{number}.tif") for number in range(4000)]
    kept = [one for one in made if one.tier == "audited"]
    assert 15 < len(kept) < 75  # 40, give or take what chance does
    assert {one.tier for one in made} == {"audited", "trash"}
    assert {one.reason.partition("; ")[2] for one in kept} == {
        "but it is one of the 1 % of trash that are kept in audited for audit"
    }
    again = [decision(shown, 0.4, name=f"{number}.tif").tier == "audited" for number in range(300)]
    assert again == [one.tier == "audited" for one in made[:300]]
    assert {decision(shown, 0.6, name=f"{number}.tif").tier for number in range(300)} == {"hot"}


def test_the_example_of_an_own_policy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "lab_policies.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    shown = pipeline(SHOWN[3].replace("by-weekday", "lab_policies:ByWeekday"))
    try:
        assert [decision(shown, score).tier for score in (0.2, 0.5)] == ["cold", "hot"]
        assert decision(shown, 0.2, weekday="sunday").tier == "hot"
    finally:
        sys.modules.pop("lab_policies", None)


def test_the_groups_of_entry_points_are_told() -> None:
    assert f'[project.entry-points."{POLICIES}"]' in PAGE
    assert f'[project.entry-points."{FUNCTIONS}"]' in (DOCS / "interestingness.md").read_text()
