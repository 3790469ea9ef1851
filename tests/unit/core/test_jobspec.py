"""Job specs: a fixture of verdicts, and laws that hold for all."""

import math
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from haste_core.errors import InvalidError
from haste_core.jobspec import JobSpec, parse_job_spec
from haste_core.tasktree import MAX_DEPTH, MAX_TASKS, leaves, parse_tasks

FIXTURE = yaml.safe_load(Path(__file__).with_name("job_specs.yaml").read_text(encoding="utf-8"))


def _laid_over_base(spec: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in (FIXTURE["base"] | spec).items() if value is not None}


def test_the_fixture_holds_all_verdicts() -> None:
    assert len(FIXTURE["accepted"]) + len(FIXTURE["refused"]) == 32


@pytest.mark.parametrize("case", FIXTURE["accepted"], ids=lambda case: case["name"])
def test_accepted(case: dict[str, Any]) -> None:
    spec = parse_job_spec(_laid_over_base(case["spec"]))
    assert spec.to_json()["tasks"] == case["tasks"]
    assert spec.priority == float(case["spec"].get("priority", 1))


@pytest.mark.parametrize("case", FIXTURE["refused"], ids=lambda case: case["name"])
def test_refused_with_every_problem(case: dict[str, Any]) -> None:
    with pytest.raises(InvalidError) as caught:
        parse_job_spec(_laid_over_base(case["spec"]))
    assert sorted(problem.where for problem in caught.value.problems) == sorted(case["problems"])
    assert all(problem.what for problem in caught.value.problems)


@pytest.mark.parametrize("value", [None, [], "text", 3, True])
def test_what_is_no_object_is_refused(value: object) -> None:
    with pytest.raises(InvalidError, match="JSON object"):
        parse_job_spec(value)


@pytest.mark.parametrize("priority", [math.nan, math.inf, -math.inf])
def test_priorities_are_finite(priority: float) -> None:
    with pytest.raises(InvalidError, match="finite"):
        parse_job_spec({**FIXTURE["base"], "priority": priority})


@pytest.mark.parametrize("field", ["metadata", "response"])
@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_numbers_that_json_does_not_have_are_refused(field: str, number: float) -> None:
    with pytest.raises(InvalidError, match=f"{field}: may not hold"):
        parse_job_spec({**FIXTURE["base"], field: {"deep": [{"x": number}]}})


@pytest.mark.parametrize(
    "url",
    [
        "root://nas/plate#7/a.tif",
        "file:///data/a?.tif",
        "root://nas/a\\b.tif",
        "http://127.0.0.1\\@images.example/a.tif",
        "https://me:secret@images.example/a.tif",
        "gopher://x/a",
        "root://nas/a\x00.tif",
        "",
    ],
)
def test_urls_that_could_be_taken_for_another_place_are_refused(url: str) -> None:
    with pytest.raises(InvalidError) as caught:
        parse_job_spec({**FIXTURE["base"], "source_url": url})
    assert [problem.where for problem in caught.value.problems] == ["source_url"]


def test_trees_are_bounded() -> None:
    deep: Any = "a"
    for _ in range(MAX_DEPTH + 1):
        deep = {"taskSequential": [deep]}
    for tasks in (deep, {"taskParallel": ["a"] * (MAX_TASKS + 1)}):
        with pytest.raises(InvalidError, match="at most"):
            parse_job_spec({**FIXTURE["base"], "tasks": tasks})


_keys = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,9}", fullmatch=True)
_tasks = st.recursive(
    _keys,
    lambda inner: st.builds(
        lambda name, children: {name: children},
        st.sampled_from(["taskSequential", "taskParallel"]),
        st.lists(inner, min_size=1, max_size=4),
    ),
    max_leaves=12,
)
_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(
    tasks=_tasks,
    metadata=st.dictionaries(st.text(), _json, max_size=3),
    priority=st.floats(-1e9, 1e9),
    index=st.none() | st.integers(0, 2**40),
    location=st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=3),
)
def test_a_spec_survives_the_round_trip(
    tasks: Any, metadata: dict[str, Any], priority: float, index: int | None, location: list[float]
) -> None:
    spec = parse_job_spec(
        {
            **FIXTURE["base"],
            "tasks": tasks,
            "metadata": metadata,
            "priority": priority,
            "index": index,
            "location": location,
        }
    )
    assert parse_job_spec(spec.to_json()) == spec
    assert JobSpec.model_validate_json(spec.model_dump_json(by_alias=True)) == spec


@given(_tasks)
def test_a_tree_keeps_its_tasks_in_their_order(tasks: Any) -> None:
    def keys(node: Any) -> list[str]:
        if isinstance(node, str):
            return [node]
        [children] = node.values()
        return [key for child in children for key in keys(child)]

    assert [task.task_key for task in leaves(parse_tasks(tasks))] == keys(tasks)


@pytest.mark.parametrize("field", ["metadata", "response"])
def test_what_json_cannot_hold_is_refused(field: str) -> None:
    with pytest.raises(InvalidError) as refused:
        parse_job_spec({"source_url": "root://nas/a", "source_id": "a", "tasks": "t", field: {"x": {1, 2}}})
    assert [(item.where, "only what JSON can" in item.what) for item in refused.value.problems] == [
        (field, True)
    ]


@pytest.mark.parametrize("timestamp", [1790000000000, -1e11, 1.79e18])
def test_a_timestamp_that_is_not_in_seconds_is_refused(timestamp: float) -> None:
    with pytest.raises(InvalidError, match="timestamp: should be seconds since 1970, not milliseconds"):
        parse_job_spec({**FIXTURE["base"], "timestamp": timestamp})
    assert parse_job_spec({**FIXTURE["base"], "timestamp": 1e11}).timestamp == 1e11
