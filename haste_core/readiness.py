"""Which tasks of a job may run now.

Everything here is arithmetic on the tree of a job spec and on the states of its tasks, by position.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from haste_core.expressions import Expression, ExpressionError, parse_expression
from haste_core.states import TaskState
from haste_core.tasktree import Parallel, Sequential, Task, leaves

REMEMBERED = 100
"""Combinations of states that a plan keeps the answer for: the jobs of a stream go the same way."""


@dataclass(frozen=True)
class Startable:
    """A task that may be handed out.

    Attributes
    ----------
    position : int
    overtakes : frozenset of int
        Optional tasks, not claimed yet, that end as skipped when this one is claimed.
    """

    position: int
    overtakes: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Readiness:
    """What follows from the states of a job's tasks.

    Attributes
    ----------
    startable : mapping of int to Startable
        By position.
    skipped : mapping of int to str
        Tasks whose `when` is false, with the reason; they end as 204.
    refused : mapping of int to str
        Tasks whose `when` cannot be computed, with the reason; they end as 500.
    job_state : TaskState
        200 when nothing is left to do; 102 or 201 while something runs or may run; 205 when it waits for
        somebody to retry a reset task; else the code of the first failure.
    """

    startable: Mapping[int, Startable]
    skipped: Mapping[int, str]
    refused: Mapping[int, str]
    job_state: TaskState


@dataclass(frozen=True)
class _Branch:
    in_order: bool
    children: tuple[_Branch | int, ...]
    span: range


class Plan:
    """A job's tree of tasks with its positions.

    Parameters
    ----------
    tasks : Task or Sequential or Parallel
        The tree of a job spec.
    """

    def __init__(self, tasks: Task | Sequential | Parallel) -> None:
        self.tasks: tuple[Task, ...] = tuple(leaves(tasks))
        self.conditions: dict[int, Expression] = {
            position: parse_expression(task.when) for position, task in enumerate(self.tasks) if task.when
        }
        self.root = _number(tasks, 0)
        self._seen: dict[tuple[TaskState, ...], Readiness] = {}

    def readiness(self, states: Sequence[TaskState], responses: Mapping[str, Any]) -> Readiness:
        """Tell which tasks may run, given the state of each task and the answers so far.

        Parameters
        ----------
        states : sequence of TaskState
            By position.
        responses : mapping
            Answers by task key, as `when` expressions see them.
        """
        if self.conditions:
            return self._survey(states, responses)
        key = tuple(states)
        if (found := self._seen.get(key)) is None:
            found = self._survey(states, responses)
            if len(self._seen) < REMEMBERED:
                self._seen[key] = found
        return found

    def _survey(self, states: Sequence[TaskState], responses: Mapping[str, Any]) -> Readiness:
        survey = _Survey(self, list(states), responses)
        passed = survey.visit(self.root, frozenset())
        return Readiness(survey.startable, survey.skipped, survey.refused, survey.job_state(passed=passed))

    def followers(self, position: int) -> frozenset[int]:
        """Find the tasks that depend on one: all that come later in a sequence around it."""
        found: set[int] = set()
        node = self.root
        while isinstance(node, _Branch):
            inside = next(i for i, child in enumerate(node.children) if position in _span(child))
            if node.in_order:
                found.update(p for child in node.children[inside + 1 :] for p in _span(child))
            node = node.children[inside]
        return frozenset(found)


def _number(node: Task | Sequential | Parallel, start: int) -> _Branch | int:
    if isinstance(node, Task):
        return start
    children: list[_Branch | int] = []
    position = start
    for child in node.tasks:
        children.append(_number(child, position))
        position = _span(children[-1]).stop
    return _Branch(isinstance(node, Sequential), tuple(children), range(start, position))


def _span(node: _Branch | int) -> range:
    return node.span if isinstance(node, _Branch) else range(node, node + 1)


@dataclass
class _Survey:
    plan: Plan
    states: list[TaskState]
    responses: Mapping[str, Any]
    startable: dict[int, Startable] = field(default_factory=dict)
    skipped: dict[int, str] = field(default_factory=dict)
    refused: dict[int, str] = field(default_factory=dict)

    def visit(self, node: _Branch | int, overtakes: frozenset[int]) -> bool:
        """Look at a part of the tree; True if what comes after it may run."""
        if isinstance(node, int):
            return self._visit_task(node, overtakes)
        if not node.in_order:
            passed = [self.visit(child, overtakes) for child in node.children]  # each must be looked at
            return all(passed)
        passed_by: set[int] = set()
        for child in node.children:
            if self.visit(child, overtakes | passed_by):
                continue
            if not self._can_be_overtaken(child):
                return False
            passed_by.update(_span(child))
        for position in passed_by:  # all that follows is done or not needed, so nobody waits for these
            del self.startable[position]
            self.states[position] = TaskState.SKIPPED
            self.skipped[position] = "not needed: what it was to prepare for is not"
        return True

    def job_state(self, *, passed: bool) -> TaskState:
        if passed:
            return TaskState.DONE
        if TaskState.RUNNING in self.states:
            return TaskState.RUNNING
        if self.startable:
            return TaskState.REGISTERED
        if TaskState.RESET in self.states:
            return TaskState.RESET
        return next(
            state
            for task, state in zip(self.plan.tasks, self.states, strict=True)
            if state.failed and not task.optional
        )

    def _visit_task(self, position: int, overtakes: frozenset[int]) -> bool:
        state = self.states[position]
        if state is TaskState.REGISTERED and self._condition_holds(position, overtakes):
            self.startable[position] = Startable(position, overtakes)
        return self._passed(position)

    def _passed(self, position: int) -> bool:
        state = self.states[position]
        return state.succeeded or (state.failed and self.plan.tasks[position].optional)

    def _can_be_overtaken(self, node: _Branch | int) -> bool:
        return isinstance(node, int) and node in self.startable and self.plan.tasks[node].optional

    def _condition_holds(self, position: int, overtakes: frozenset[int]) -> bool:
        """Judge the task's `when`; a false one ends the task as skipped, a broken one as an error."""
        condition = self.plan.conditions.get(position)
        if condition is None:
            return True
        asked = {name.split(".")[0] for name in condition.names}
        if asked & {self.plan.tasks[earlier].task_key for earlier in overtakes}:
            return False  # the answer that it asks about may still come
        try:
            if condition.evaluate(self.responses):
                return True
        except ExpressionError as error:
            self.states[position] = TaskState.ERROR
            self.refused[position] = str(error)
        else:
            self.states[position] = TaskState.SKIPPED
            self.skipped[position] = f"not needed: {condition.text} is false"
        return False
