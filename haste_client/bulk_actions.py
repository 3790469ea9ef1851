"""Retry, reset and cancel, of many jobs or tasks at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypedDict

from haste_client.answers import Answer

IDS_PER_CALL = 1000


class TaskChoice(TypedDict, total=False):
    """Which tasks are meant; what is left out or None does not matter."""

    stream_id: str | None
    task_key: str | None
    site: str | None
    state: str | int | None


class ActionResult(Answer):
    """What became of one job or task that something was asked of.

    Attributes
    ----------
    status : int
        200 done; 404 not there; 409 it does not fit its state, see `detail`.
    """

    id: int
    status: int
    detail: str | None = None


class BulkActionAnswer(Answer):
    """How often an action was done; `results` has one entry for each number that was given."""

    changed: int
    refused: int
    results: tuple[ActionResult, ...] | None = None
    next: str | None = None


_Post = Callable[[str, Any], Any]


def act_on_many(
    post: _Post, path: str, ids_name: str, ids: Sequence[int] | None, chosen_by: TaskChoice
) -> BulkActionAnswer:
    """Apply an action to jobs or tasks, by their numbers or by a choice, in as many calls as needed.

    Parameters
    ----------
    post : callable
        Posts a body to a path; it knows whether that may be repeated.
    ids_name : str
        ``job_ids`` or ``task_ids``.
    """
    given = {name: value for name, value in chosen_by.items() if value is not None}
    if ids is None or given:
        both = {} if ids is None else {ids_name: list(ids)}  # the server says what is wrong with that
        return _sweep(post, path, {**given, **both})
    answers = [
        _ask(post, path, {ids_name: list(ids[start : start + IDS_PER_CALL])})
        for start in range(0, len(ids), IDS_PER_CALL)
    ]
    return _sum(answers)


def _sweep(post: _Post, path: str, body: dict[str, Any]) -> BulkActionAnswer:
    answers = [_ask(post, path, body)]
    while answers[-1].next is not None:
        answers.append(_ask(post, path, {**body, "cursor": answers[-1].next}))
    return _sum(answers)


def _ask(post: _Post, path: str, body: dict[str, Any]) -> BulkActionAnswer:
    return BulkActionAnswer.model_validate(post(path, body))


def _sum(answers: Sequence[BulkActionAnswer]) -> BulkActionAnswer:
    results: tuple[ActionResult, ...] = sum((answer.results or () for answer in answers), ())
    return BulkActionAnswer(
        changed=sum(answer.changed for answer in answers),
        refused=sum(answer.refused for answer in answers),
        results=results,
    )
