"""`haste explain`: why an image is in its tier, in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from haste_apps.deciding.asking import job_of
from haste_apps.output import print_json, print_line
from haste_client import HasteClient
from haste_client.answers import DecisionAnswer, JobAnswer
from haste_core.errors import NotFoundError
from haste_core.explanations import ExplainedImage, belongs, reasons, story, whereabouts
from haste_core.states import TaskState


def explain(client: HasteClient, words: Sequence[str], *, as_json: bool) -> None:
    """Tell all that was decided about an image, and what from.

    Raises
    ------
    NotFoundError
        If there is no such job, or nothing was decided about its image yet.
    """
    job = client.job(job_of(client, words))
    try:
        decisions = client.decisions_about(job.job_id)
    except NotFoundError as error:
        said = " ".join(_tasks(job))
        raise NotFoundError(f"{error}. {said}".rstrip(". ")) from error
    if as_json:
        shown = {"job": job.model_dump(mode="json")}
        print_json({**shown, "decisions": [decision.model_dump(mode="json") for decision in decisions]})
        return
    for line in sentences(job, decisions):
        print_line(line)


def sentences(job: JobAnswer, decisions: Sequence[DecisionAnswer]) -> Iterator[str]:
    """Say why an image is in its tier.

    Parameters
    ----------
    job : JobAnswer
    decisions : sequence of DecisionAnswer
        About it, the first one first; at least one.
    """
    image, last = _image(job), decisions[-1]
    yield belongs(image, last, _time_text)
    yield ""
    yield from reasons(decisions, _time_text)
    yield ""
    yield whereabouts(image, last)
    yield from _original(job)
    yield from _tasks(job)
    yield ""
    yield "All decisions about it:"
    for decision in decisions:
        yield f"  {story(decision, _time_text)}"


def _image(job: JobAnswer) -> ExplainedImage:
    tiering = job.response.get("tier")
    return ExplainedImage(
        job_id=job.job_id,
        source_id=job.source_id,
        stream_id=job.stream_id,
        url=job.place.url if job.place else job.source_url,
        source_url=job.source_url,
        tiering=tiering if isinstance(tiering, Mapping) else {},
        deleted_at=job.deleted_at,
    )


def _original(job: JobAnswer) -> Iterator[str]:
    """Say that the original is gone, since when, and which task has removed it."""
    place = job.place
    if place is None or not place.moved:
        return
    task = next((task for task in job.task_list() if task.task_key == "tier"), None)
    by = f" by its task tier ({task.task_id})" if task is not None else ""
    when = f" at {_time_text(place.moved_at)}" if place.moved_at is not None else ""
    yield f"The original, {job.source_url}, was removed{by}{when}: the policy says `move: true`."


def _tasks(job: JobAnswer) -> Iterator[str]:
    """Repeat what tasks say of themselves: why one failed, what one waits for, what it left undone."""
    for task in job.task_list():
        state, said = TaskState(task.task_state), task.task_msg.rstrip(". ")
        if state.failed:
            when = f" at {_time_text(task.ended_at)}" if task.ended_at is not None else ""
            yield f"Its task {task.task_key} ({task.task_id}) failed{when} ({state.value}): {said}."
        elif said and not state.ended:
            yield f"Its task {task.task_key} ({task.task_id}) is not done yet: {said}."
        elif said and state is TaskState.DONE:
            yield f"Its task {task.task_key} ({task.task_id}) is done, and says: {said}."


def _time_text(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().isoformat(" ", "seconds")
