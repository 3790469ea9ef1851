"""Which tasks may run, for all kinds of trees."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haste_core.readiness import Plan
from haste_core.states import TaskState as S
from haste_core.tasktree import parse_tasks

OPTIONAL = {"Task": {"task_key": "pre", "optional": True}}


def plan(tasks: Any) -> Plan:
    return Plan(parse_tasks(tasks))


def startable(tree: Any, *states: S, **responses: Any) -> list[int]:
    return sorted(plan(tree).readiness(states, responses).startable)


def test_a_sequence_starts_one_after_the_other() -> None:
    tree = {"taskSequential": ["a", "b", "c"]}
    assert startable(tree, S.REGISTERED, S.REGISTERED, S.REGISTERED) == [0]
    assert startable(tree, S.RUNNING, S.REGISTERED, S.REGISTERED) == []
    assert startable(tree, S.DONE, S.REGISTERED, S.REGISTERED) == [1]
    assert startable(tree, S.DONE, S.SKIPPED, S.REGISTERED) == [2]
    assert startable(tree, S.ERROR, S.REGISTERED, S.REGISTERED) == []


def test_parallel_tasks_start_together_and_hold_what_follows() -> None:
    tree = {"taskSequential": [{"taskParallel": ["a", {"taskSequential": ["b", "c"]}]}, "d"]}
    assert startable(tree, *[S.REGISTERED] * 4) == [0, 1]
    assert startable(tree, S.DONE, S.DONE, S.REGISTERED, S.REGISTERED) == [2]
    assert startable(tree, S.DONE, S.DONE, S.DONE, S.REGISTERED) == [3]


def test_a_failure_in_a_parallel_lets_the_others_end() -> None:
    tree = {"taskSequential": [{"taskParallel": ["a", "b"]}, "c"]}
    found = plan(tree).readiness([S.ERROR, S.REGISTERED, S.REGISTERED], {})
    assert (sorted(found.startable), found.job_state) == ([1], S.REGISTERED)
    found = plan(tree).readiness([S.ERROR, S.DONE, S.REGISTERED], {})
    assert (sorted(found.startable), found.job_state) == ([], S.ERROR)


def test_an_optional_task_and_what_may_overtake_it_are_both_startable() -> None:
    tree = {"taskSequential": [OPTIONAL, OPTIONAL, {"taskParallel": ["up", "log"]}, "end"]}
    found = plan(tree).readiness([S.REGISTERED] * 5, {})
    assert {position: task.overtakes for position, task in found.startable.items()} == {
        0: frozenset(),
        1: {0},
        2: {0, 1},
        3: {0, 1},
    }


@pytest.mark.parametrize(
    ("state", "expected"),
    [(S.RUNNING, []), (S.DONE, [1]), (S.SKIPPED, [1]), (S.BAD_INPUT, [1]), (S.RESET, [])],
)
def test_a_claimed_optional_task_holds_its_successor_until_it_ends(state: S, expected: list[int]) -> None:
    assert startable({"taskSequential": [OPTIONAL, "up"]}, state, S.REGISTERED) == expected


def test_a_failed_optional_task_does_not_spoil_the_job() -> None:
    found = plan({"taskSequential": [OPTIONAL, "up"]}).readiness([S.ERROR, S.DONE], {})
    assert found.job_state is S.DONE


def test_conditions_look_at_the_answers() -> None:
    tree = {"taskSequential": ["score", {"Task": {"task_key": "tier", "when": "score.signal > 0"}}, "end"]}
    states = [S.DONE, S.REGISTERED, S.REGISTERED]
    assert startable(tree, *states, score={"signal": 0.2}) == [1]
    found = plan(tree).readiness(states, {"score": {"signal": 0}})
    assert sorted(found.startable) == [2]
    assert "score.signal > 0" in found.skipped[1]
    found = plan(tree).readiness(states, {"score": {}})
    assert sorted(found.skipped) == [1]


def test_a_condition_that_cannot_be_computed_is_an_error() -> None:
    tree = {"taskSequential": ["a", {"Task": {"task_key": "b", "when": "a.x + 1 > 0"}}]}
    found = plan(tree).readiness([S.DONE, S.REGISTERED], {"a": {"x": "text"}})
    assert "a.x + 1 > 0" in found.refused[1]
    assert found.job_state is S.ERROR


def test_a_condition_on_an_optional_task_waits_for_its_answer() -> None:
    tree = {"taskSequential": [OPTIONAL, {"Task": {"task_key": "up", "when": "pre.ok"}}, "end"]}
    assert startable(tree, *[S.REGISTERED] * 3) == [0]


def test_an_optional_task_is_not_needed_when_what_follows_is_not() -> None:
    tree = {"taskSequential": ["a", OPTIONAL, {"Task": {"task_key": "up", "when": "a.n > 0"}}]}
    found = plan(tree).readiness([S.DONE, S.REGISTERED, S.REGISTERED], {"a": {"n": 0}})
    assert found.job_state is S.DONE
    assert sorted(found.skipped) == [1, 2]
    assert found.startable == {}


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ([S.DONE, S.SKIPPED], S.DONE),
        ([S.DONE, S.RUNNING], S.RUNNING),
        ([S.DONE, S.REGISTERED], S.REGISTERED),
        ([S.RESET, S.REGISTERED], S.RESET),
        ([S.SOURCE_MISSING, S.REGISTERED], S.SOURCE_MISSING),
        ([S.CANCELLED, S.REGISTERED], S.CANCELLED),
    ],
)
def test_the_state_of_a_job(states: list[S], expected: S) -> None:
    assert plan({"taskSequential": ["a", "b"]}).readiness(states, {}).job_state is expected


def test_followers_are_what_comes_later_in_a_sequence() -> None:
    tree = plan({"taskSequential": ["a", {"taskParallel": ["b", {"taskSequential": ["c", "d"]}]}, "e"]})
    assert [sorted(tree.followers(position)) for position in range(5)] == [
        [1, 2, 3, 4],
        [4],
        [3, 4],
        [4],
        [],
    ]


_trees = st.recursive(
    st.just("a"),
    lambda inner: st.builds(
        lambda name, children: {name: children},
        st.sampled_from(["taskSequential", "taskParallel"]),
        st.lists(inner, min_size=1, max_size=3),
    ),
    max_leaves=10,
)


@given(tree=_trees, choices=st.randoms(use_true_random=False))
def test_every_tree_can_be_worked_off_to_its_end(tree: Any, choices: Any) -> None:
    tasks = plan(tree)
    states = [S.REGISTERED] * len(tasks.tasks)
    for _ in states:
        found = tasks.readiness(states, {})
        assert found.job_state is S.REGISTERED
        states[choices.choice(sorted(found.startable))] = S.DONE
    assert tasks.readiness(states, {}).job_state is S.DONE
