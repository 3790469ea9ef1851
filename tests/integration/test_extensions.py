"""Functions and policies of users: of installed packages, and of modules that a pipeline file names."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from haste_core.decisions import Decision
from haste_core.errors import InvalidError
from haste_core.interestingness import ScoredObject
from haste_core.lifecycle import Rules
from haste_core.pipelines import Pipeline
from haste_core.undecided import Answer, Undecidable, Undecided
from haste_server.bootstrap import build
from haste_server.engine.evaluator_child import EvaluatorChild
from haste_server.engine.pipeline_check import check_own_parts
from haste_server.extensions import registered, registered_policy
from haste_server.settings import ServerSettings
from haste_server.store.database import Database
from haste_server.store.migrate import upgrade
from haste_server.store.sql import SqlStore
from tests.contract.store_bench import PIPELINE
from tests.integration.api.conftest import Api

MODULE = """
print("users print where they like")
made = []

def by_length(feature, most=10):
    made.append(feature)
    return lambda scored: min(len(scored.features[feature]) / most, 1)

class ByCount:
    def __init__(self, least: int):
        self.least = int(least)
        self.calls = 0
    def __call__(self, scored):
        self.calls += 1
        return 0.1 * self.calls

class Weekday:
    def __init__(self, border=0.5):
        self.border = border
    def tier_for(self, score, scored):
        if scored.metadata.get("day") == "sunday":
            return "moon"
        if scored.metadata.get("day") == "monday":
            raise KeyError("coffee")
        return "hot" if score >= self.border else "cold"

def nothing():
    return None

def exits():
    import os
    os._exit(3)
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Install a distribution as pip does: its module, and beside it what it declares."""
    site = tmp_path / "site"
    declared = site / "lab_scores-1.0.dist-info"
    declared.mkdir(parents=True)
    (site / "lab_scores.py").write_text(MODULE)
    (declared / "METADATA").write_text("Metadata-Version: 2.1\nName: lab-scores\nVersion: 1.0\n")
    (declared / "entry_points.txt").write_text(
        "[haste.interestingness]\nby-length = lab_scores:by_length\nlogistic = lab_scores:nothing\n"
        "[haste.policies]\nweekday = lab_scores:Weekday\n"
    )
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")]))
    yield site
    sys.modules.pop("lab_scores", None)


@pytest.fixture
def child(package: Path) -> Iterator[EvaluatorChild]:
    child = EvaluatorChild(time_limit_s=10, pages=lambda _: [])
    yield child
    child.close()


def pipeline(
    function: str = "by-length", policy: dict[str, Any] | None = None, **parameters: Any
) -> Pipeline:
    spec = {"function": function, "features_from": "focus-score", "parameters": parameters}
    own = PIPELINE.to_json() | {"interestingness": spec}
    return Pipeline.parse(own if policy is None else own | {"policy": policy})


def weekday(policy: str = "weekday", **parameters: Any) -> dict[str, Any]:
    tiers = ["hot", "cold"]
    return {"type": "own", "policy": policy, "parameters": parameters, "tiers": tiers, "undefined": "none"}


def ask(child: EvaluatorChild, used: Pipeline, name: str = "abc", **metadata: Any) -> Answer:
    return child.ask(Undecided(1, 1, "s", "A01", used, ScoredObject({"name": name}, metadata)))


def test_a_function_of_an_installed_package_has_a_name(child: EvaluatorChild) -> None:
    answer = ask(child, pipeline("by-length", feature="name"))
    assert isinstance(answer, Decision)
    assert answer.score == 0.3
    assert "by-length(feature=name) gave 0.3000" in answer.reason


def test_a_class_of_a_module_is_made_once_with_its_parameters(child: EvaluatorChild) -> None:
    counting = pipeline("lab_scores:ByCount", least=3)
    scores = [answer.score for _ in range(3) if isinstance(answer := ask(child, counting), Decision)]
    assert scores == pytest.approx([0.1, 0.2, 0.3])


def test_a_built_in_name_cannot_be_taken_over(child: EvaluatorChild) -> None:
    answer = ask(child, pipeline("logistic", feature="name", k=1, x0=0))
    assert answer == Undecidable("the object has no number 'name' (it is 'abc')")


@pytest.mark.parametrize("name", ["weekday", "lab_scores:Weekday"])
def test_an_own_policy_decides(child: EvaluatorChild, name: str) -> None:
    used = pipeline("by-length", weekday(name, border=0.6), feature="name")
    hot, cold = ask(child, used, "abcdef"), ask(child, used, "abc")
    assert isinstance(hot, Decision)
    assert isinstance(cold, Decision)
    assert (hot.tier, cold.tier) == ("hot", "cold")
    assert hot.reason.endswith(f"which the policy {name} puts in hot")
    assert ask(child, used, "abc", day="sunday") == Undecidable(
        f"policy {name!r} answered 'moon', which is none of its tiers (hot, cold)"
    )
    assert ask(child, used, "abc", day="monday") == Undecidable(f"policy {name!r} raised KeyError: 'coffee'")


def test_what_cannot_be_made_is_told_when_the_pipelines_are_read(package: Path) -> None:
    wrong = {
        "a": pipeline("missing", feature="name"),
        "b": pipeline("lab_scores:missing"),
        "c": pipeline("no_such_module:x"),
        "d": pipeline("by-length", length=3),
        "e": pipeline("lab_scores:ByCount", least="many"),
        "f": pipeline("lab_scores:nothing"),
        "g": pipeline("by-length", weekday(edge=1), feature="name"),
        "h": pipeline("by-length", weekday("lab_scores:ByCount", least=1), feature="name"),
        "good": pipeline("by-length", weekday(border=0.1), feature="name"),
    }
    with pytest.raises(InvalidError) as caught:
        check_own_parts(wrong)
    told = {problem.where: problem.what for problem in caught.value.problems}
    assert told.keys() == {f"{name}: interestingness" for name in "abcdef"} | {"g: policy", "h: policy"}
    assert "none of this name (of installed packages: by-length, logistic)" in told["a: interestingness"]
    assert "no attribute 'missing'" in told["b: interestingness"]
    assert "No module named 'no_such_module'" in told["c: interestingness"]
    assert "unexpected keyword argument 'length'" in told["d: interestingness"]
    assert "invalid literal for int" in told["e: interestingness"]
    assert "makes None of its parameters, which is not a function" in told["f: interestingness"]
    assert "unexpected keyword argument 'edge'" in told["g: policy"]
    assert "which is not an object with a method tier_for" in told["h: policy"]


def test_a_server_does_not_start_with_a_pipeline_whose_function_breaks(package: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pipelines"
    folder.mkdir()
    (folder / "own.yaml").write_text(yaml.safe_dump(pipeline("lab_scores:exits").to_json()))
    settings = ServerSettings(data_dir=tmp_path / "data", pipelines_dir=folder)
    with pytest.raises(InvalidError, match=r"focus-tier: .*ended by itself with exit code 3"):
        build(settings)
    assert "lab_scores" not in sys.modules  # nobody's code is loaded into the server


def test_which_names_clients_may_use(package: Path) -> None:
    names = ["logistic", "expression", "by-length", "rest", "lab_scores:by_length", "weekday", "missing"]
    assert [name for name in names if registered(name)] == ["logistic", "expression", "by-length"]
    assert [name for name in names if registered_policy(name)] == ["weekday"]


def test_a_client_cannot_give_a_stream_what_cannot_be_made(package: Path, tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/haste.db")
    upgrade(database)
    api = Api(SqlStore(database, Rules(), PIPELINE), tmp_path, try_own_parts=check_own_parts)
    api.client.post("/HASTE/stream/", json={"stream_id": "s", "pipeline": "focus-tier"})
    before = api.client.get("/HASTE/stream/s").json["pipeline"]

    def give(**parameters: Any) -> Any:
        spec = {"function": "by-length", "features_from": "focus-score", "parameters": parameters}
        return api.client.post("/HASTE/stream/s/policy", json={"interestingness": spec})

    refused = give(length=3)
    assert refused.status_code == 400
    assert "unexpected keyword argument 'length'" in refused.json["problems"][0]["what"]
    assert api.client.get("/HASTE/stream/s").json["pipeline"] == before
    assert give(feature="name").status_code == 200
    database.close()
