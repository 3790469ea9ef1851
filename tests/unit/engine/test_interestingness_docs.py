"""What docs/interestingness.md shows works as it says."""

import re
import sys
from pathlib import Path

import pytest
import yaml

from haste_core.asking import MAX_URL_CHARACTERS, address_of
from haste_core.decisions import Decision
from haste_core.interestingness import BUILT_IN, ScoredObject, StreamObject, built_in
from haste_core.pipelines import Pipeline
from haste_core.undecided import Decided, Undecided
from haste_server.engine.evaluation import StreamsSoFar, evaluate

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "interestingness.md").read_text()
BUILT_IN_SHOWN, REST_SHOWN, OWN_SHOWN = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
POLICY = {"intervals": [{"lo": 0, "hi": 1, "tier": "hot"}], "undefined": "empty"}


def answer(shown: str, features: dict[str, float], others: list[dict[str, float]]) -> object:
    pipeline = Pipeline.parse(
        {"name": "p", "description": "p", "tasks": "tier", "policy": POLICY, **yaml.safe_load(shown)}
    )
    history = [
        Decided(number, StreamObject(f"{number}", of_other, 0.5, "hot"))
        for number, of_other in enumerate(others, start=1)
    ]
    item = Undecided(1, 1, "s", "A01", pipeline, ScoredObject(features, {}), seen=len(history))
    return evaluate(item, StreamsSoFar(lambda wanted: [history]))


def score(shown: str, features: dict[str, float], others: list[dict[str, float]]) -> float | None:
    made = answer(shown, features, others)
    assert isinstance(made, Decision), made
    return made.score


def test_every_function_is_listed() -> None:
    assert set(re.findall(r"^\| `([a-z]+)` \|", PAGE, re.MULTILINE)) == BUILT_IN


def test_the_example_of_a_built_in_function() -> None:
    others = [{"plls": -number / 10} for number in range(40)]
    assert score(BUILT_IN_SHOWN, {"plls": -3.85}, others) == 0.125
    assert score(BUILT_IN_SHOWN, {"plls": 0.0}, others) == 0.875
    assert score(BUILT_IN_SHOWN, {"plls": -3.85}, others[:15]) == 0.875
    assert score(BUILT_IN_SHOWN, {"plls": 0.5, "empty": True}, others) is None


def test_the_example_of_a_service_can_be_read() -> None:
    shown = yaml.safe_load("interestingness:\n  features_from: a\n" + REST_SHOWN)
    parameters = shown["interestingness"]["parameters"]
    address = address_of(parameters["url"], {"plls": -1.2, "metadata": {"well": "A01"}}, parameters["fields"])
    assert f"`GET {address}`" in PAGE
    built_in("rest", parameters)
    assert f"more than {MAX_URL_CHARACTERS} characters" in PAGE


def test_the_example_of_an_own_function(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "crowding.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    try:
        assert score(OWN_SHOWN, {"nuclei": 50}, [{"nuclei": 80}, {}]) == 0.25
        assert score(OWN_SHOWN, {"nuclei": 50}, [{"nuclei": 50.5}]) == 0
        assert score(OWN_SHOWN, {"nuclei": 500}, []) == 1
        assert "KeyError" in str(answer(OWN_SHOWN, {}, []))
    finally:
        sys.modules.pop("crowding", None)
