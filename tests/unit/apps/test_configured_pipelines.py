from pathlib import Path

import pytest
import yaml

from haste_core.pipelines import Pipeline
from haste_core.policies import IntervalPolicy
from haste_core.tasktree import leaves

CONFIG = Path(__file__).parents[3] / "config"
PIPELINES = sorted((CONFIG / "pipelines").glob("*.yaml"))
EXAMPLES = sorted((CONFIG / "examples").glob("*.yaml"))


@pytest.mark.parametrize("path", [*PIPELINES, *EXAMPLES], ids=lambda path: path.stem)
def test_each_pipeline_loads_under_its_files_name(path: Path) -> None:
    pipeline = Pipeline.parse(yaml.safe_load(path.read_text(encoding="utf-8")))
    assert pipeline.name == path.stem
    assert set(pipeline.parameters) <= {task.task_key for task in leaves(pipeline.tasks)}


def test_the_pipelines_do_what_their_names_say() -> None:
    steps = {
        path.stem: [
            (task.task_key, task.optional)
            for task in leaves(Pipeline.parse(yaml.safe_load(path.read_text(encoding="utf-8"))).tasks)
        ]
        for path in PIPELINES
    }
    assert steps["focus-tier"] == [("focus-score", False), ("tier", False)]
    assert steps["edge"] == [("preprocess", True), ("upload", False)]
    assert steps["full"] == [(key, False) for key in ("preprocess", "upload", "focus-score", "tier")]


def test_all_tiering_pipelines_have_the_papers_policy() -> None:
    paper = IntervalPolicy.model_validate(yaml.safe_load((CONFIG / "policies/paper.yaml").read_text()))
    assert [paper.tier_for(score) for score in (0, 0.25, 0.5, 0.75, 1, None)] == [
        "tierD", "tierC", "tierB", "tierA", "tierA", "empty"
    ]  # fmt: skip
    for path in PIPELINES:
        policy = Pipeline.parse(yaml.safe_load(path.read_text(encoding="utf-8"))).policy
        assert policy in (None, paper)
