"""Messages at the edge of the server: tasks too large to be sent, results that say what cannot be."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic_core import to_json

from haste_core.messages import Outcome, Place, TaskMessage, TaskResult
from haste_core.routing import MAX_MESSAGE_BYTES, Route, normalise_name
from haste_core.states import TaskState
from haste_runtime import batches

_NAMED_PARTS = 3
_NAMED_CHARACTERS = 60


def encode_tasks(
    messages: Sequence[TaskMessage],
) -> tuple[list[tuple[TaskMessage, bytes]], list[TaskResult]]:
    """Encode tasks for their way to workers.

    Returns
    -------
    list of (TaskMessage, bytes)
        What can be sent.
    list of TaskResult
        The ends of the tasks that are larger than `haste_core.routing.MAX_MESSAGE_BYTES`. Trying again
        cannot help, so it is for the engine to record them.
    """
    encoded = [(message, message.encode()) for message in messages]
    sendable = [(message, body) for message, body in encoded if len(body) <= MAX_MESSAGE_BYTES]
    ended = [_too_large(message, len(body)) for message, body in encoded if len(body) > MAX_MESSAGE_BYTES]
    return sendable, ended


@dataclass(frozen=True, slots=True)
class EncodedBatch:
    """Tasks of one queue that travel together.

    Attributes
    ----------
    attempts : tuple of (task_id, attempt)
    ttl_s : float
    """

    route: Route
    attempts: tuple[tuple[int, int], ...]
    body: bytes
    ttl_s: float


def batches_by_route(sendable: Sequence[tuple[TaskMessage, bytes]], together: int) -> Iterator[EncodedBatch]:
    """Put tasks of the same queue together, at most so many, in their order."""
    by_route: defaultdict[Route, list[tuple[TaskMessage, bytes]]] = defaultdict(list)
    for message, body in sendable:
        by_route[Route(message.task_key, message.site)].append((message, body))
    for route, items in by_route.items():
        bodies = [body for _, body in items]
        for numbers in batches.batches(bodies, together):
            messages = [items[number][0] for number in numbers]
            attempts = tuple((message.task_id, message.attempt) for message in messages)
            body = batches.join([bodies[number] for number in numbers])
            yield EncodedBatch(route, attempts, body, min(message.ttl_s for message in messages))


def read_result(body: bytes) -> TaskResult:
    """Read a result; one that names a place at a site that cannot be ends its task as an error.

    Raises
    ------
    InvalidError
        If it cannot be read.
    """
    result = TaskResult.decode(body)
    if result.place is None:
        return result
    try:
        return result.model_copy(
            update={"place": _at_site(result.place), "leaving": result.leaving and _at_site(result.leaving)}
        )
    except ValueError as error:
        what = f"the handler's answer puts the object at a site that cannot be: {error}"
        refused = {
            "state": TaskState.ERROR,
            "message": what,
            "response": {},
            "place": None,
            "leaving": None,
        }
        return result.model_copy(update=refused)


def _at_site(place: Place) -> Place:
    return place.model_copy(update={"site": normalise_name(place.site)})


def _too_large(message: TaskMessage, size_bytes: int) -> TaskResult:
    parts = sorted(_sizes(message).items(), key=lambda part: part[1], reverse=True)[:_NAMED_PARTS]
    largest = ", ".join(f"{name} with {part_bytes:,}" for name, part_bytes in parts)
    return TaskResult(
        task_id=message.task_id,
        attempt=message.attempt,
        worker_id="",
        outcome=Outcome.ENDED,
        state=TaskState.ERROR,
        message=(
            f"cannot be sent to a worker: its message takes {size_bytes:,} bytes, at most "
            f"{MAX_MESSAGE_BYTES:,} are possible. The largest parts are {largest}. "
            "Put what is large into files and answer their paths"
        ),
    )


def _sizes(message: TaskMessage) -> dict[str, int]:
    """Measure the parts of a task's message that may be large, in bytes."""
    job: dict[str, Any] = message.job
    answers = {
        f"the response of {str(key)[:_NAMED_CHARACTERS]!r}": answer
        for key, answer in (job.get("response") or {}).items()
    }
    parts = {
        "the pipeline's parameters": message.parameters,
        "the object's place": message.place,
        "the rest of the job spec": {name: part for name, part in job.items() if name != "response"},
        **answers,
    }
    return {name: len(to_json(part)) for name, part in parts.items()}
