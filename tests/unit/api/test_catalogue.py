"""The pipelines that streams may name."""

from pathlib import Path

import pytest
import yaml

from haste_core.errors import InvalidError
from haste_server.catalogue import check_tiers, load_pipelines, named_tiers


def test_the_shipped_pipelines_are_there() -> None:
    pipelines = load_pipelines()

    assert {"focus-tier", "edge", "full"} <= set(pipelines)
    assert {"tierA", "tierB", "tierC", "tierD"} <= named_tiers(pipelines)


def test_a_sites_own_pipeline_joins_them_or_replaces_one(tmp_path: Path) -> None:
    own = {"name": "count", "description": "Count cells", "tasks": "count-cells"}
    (tmp_path / "count.yaml").write_text(yaml.safe_dump(own))
    (tmp_path / "edge.yml").write_text(yaml.safe_dump(own | {"name": "edge"}))
    (tmp_path / "notes.txt").write_text("no pipeline")

    pipelines = load_pipelines(tmp_path)

    assert pipelines["count"].description == "Count cells"
    assert pipelines["edge"].description == "Count cells"
    assert "focus-tier" in pipelines


def test_all_files_that_are_wrong_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("name: [")
    (tmp_path / "b.yaml").write_text("name: b\ntasks: {taskSequential: []}")
    (tmp_path / "c.yaml").write_text("")

    with pytest.raises(InvalidError) as caught:
        load_pipelines(tmp_path)

    told = str(caught.value)
    assert all(name in told for name in ("a.yaml", "b.yaml", "c.yaml", "description"))


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidError, match="pipelines_dir"):
        load_pipelines(tmp_path / "none")


def test_a_tier_that_nobody_named_is_refused_once_some_are_named(tmp_path: Path) -> None:
    policy = {"intervals": [{"lo": 0, "hi": 1, "tier": "tireA"}], "undefined": "Cold"}
    given = load_pipelines()["focus-tier"].to_json() | {"name": "ours", "policy": policy}
    (tmp_path / "ours.yaml").write_text(yaml.safe_dump(given))
    pipelines = load_pipelines(tmp_path)
    check_tiers(pipelines, [])
    check_tiers(pipelines, ["tireA", "Cold"])
    check_tiers(load_pipelines(), ["other"])
    with pytest.raises(InvalidError) as caught:
        check_tiers(pipelines, ["cold"])
    told = str(caught.value)
    assert "pipeline ours: there is no tier 'tireA'; did you mean tierA? Known are cold, " in told
    assert "there is no tier 'Cold'; did you mean cold?" in told
