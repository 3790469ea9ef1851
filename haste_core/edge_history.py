"""What a microscope's computer did with a stream, image by image, and what it expected meanwhile.

Found out afterwards from the jobs alone, as a server shows them: the same estimates follow from the same
results, so nothing is written down while the computer works.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Literal, TypeAlias

from haste_core.edge_images import EDGE_KEYS, PREPROCESS, UPLOAD, EdgeImage, EdgeTask
from haste_core.edge_scheduling import EdgeSchedule
from haste_core.estimators import Expectation
from haste_core.states import Phase, TaskState

Way: TypeAlias = Literal["searched", "exploited", "skipped", "open"]


@dataclass(frozen=True)
class ImageHistory:
    """One image.

    Attributes
    ----------
    job_id : int
    number : int
        Its place in the stream, from 0.
    way : str
        ``exploited``: it was preprocessed since it was expected to save most per CPU second of all that
        waited; ``searched``: it was preprocessed though another was, to learn what is about it; ``skipped``:
        it was sent as it is; ``open``: neither yet.
    raw_bytes : int
    saved_bytes, cpu_s : float, optional
        What preprocessing saved, and for how long it took a core.
    expected_bytes, expected_sd_bytes : float
        What it was expected to save when it was chosen, or was handed to the link, or else in the end; and
        the standard deviation of that.
    """

    job_id: int
    number: int
    way: Way
    raw_bytes: int
    saved_bytes: float | None
    cpu_s: float | None
    expected_bytes: float
    expected_sd_bytes: float


class _Event(IntEnum):
    ARRIVED = 0
    PREPROCESSED = 1
    SEND = 2
    PREPROCESS = 3


def edge_history(jobs: Iterable[Mapping[str, Any]]) -> list[ImageHistory]:
    """Tell what was done with a stream's images, by their places in the stream.

    Parameters
    ----------
    jobs : iterable of mapping
        As ``GET /HASTE/job/ID`` shows them, all of one stream. Those without a known size are left out.
    """
    images = [image for image in map(_image, jobs) if image.raw_bytes is not None]
    images.sort(key=lambda image: (math.inf if image.index is None else image.index, image.job_id))
    replay = _Replay(images)
    for _, event, number in sorted(_events(images)):
        replay.take(event, number)
    return replay.told()


class _Replay:
    """A schedule that is told once more what happened; `EdgeSchedule` chooses nothing here."""

    def __init__(self, images: Sequence[EdgeImage]) -> None:
        self._images = images
        self._schedule = EdgeSchedule(cores=1)
        self._ways: dict[int, tuple[Way, Expectation]] = {}

    def take(self, event: _Event, number: int) -> None:
        schedule, image = self._schedule, self._images[number]
        if event is _Event.ARRIVED:
            schedule.arrived(number, image.raw_bytes or 0, image.arrived_at)
        elif event is _Event.PREPROCESSED:
            saving = image.saving
            schedule.preprocessing_ended(
                number,
                saved_bytes=None if saving is None else saving.saved_bytes,
                cpu_s=0.0 if saving is None else saving.cpu_s,
            )
        elif number not in self._ways:  # else it was preprocessed before it is sent
            expected = schedule.expected(number)
            if event is _Event.SEND:
                self._ways[number] = "skipped", expected
                schedule.withdrawn(number, 0.0)
            else:
                is_best = expected.saved_per_s >= schedule.highest_expected_per_s() * (1 - 1e-9)
                self._ways[number] = ("exploited" if is_best else "searched"), expected
                schedule.preprocessing_started(number)

    def told(self) -> list[ImageHistory]:
        return [self._told(number, image) for number, image in enumerate(self._images)]

    def _told(self, number: int, image: EdgeImage) -> ImageHistory:
        if number in self._ways:
            way, expected = self._ways[number]
        else:
            way, expected = "open", self._schedule.expected(number)
        saving = image.saving
        return ImageHistory(
            job_id=image.job_id,
            number=number,
            way=way,
            raw_bytes=image.raw_bytes or 0,
            saved_bytes=None if saving is None else saving.saved_bytes,
            cpu_s=None if saving is None else saving.cpu_s,
            expected_bytes=expected.saved_bytes,
            expected_sd_bytes=expected.saved_sd_bytes,
        )


def _events(images: Sequence[EdgeImage]) -> Iterator[tuple[float, _Event, int]]:
    for number, image in enumerate(images):
        yield image.arrived_at, _Event.ARRIVED, number
        task, upload = image.preprocess, image.upload
        if task is not None and task.started_at is not None and image.was_preprocessed:
            yield max(task.started_at, image.arrived_at), _Event.PREPROCESS, number
            yield max(task.ended_at or task.started_at, image.arrived_at), _Event.PREPROCESSED, number
        if upload is not None and upload.started_at is not None:
            yield max(upload.started_at, image.arrived_at), _Event.SEND, number


def _image(job: Mapping[str, Any]) -> EdgeImage:
    tasks = {task["task_key"]: task for task in _tasks(job["tasks"]) if task["task_key"] in EDGE_KEYS}
    return EdgeImage(
        job_id=job["job_id"],
        stream_id=job["stream_id"],
        index=job.get("index"),
        source_version=job.get("source_version"),
        arrived_at=job["created_at"],
        preprocess=_task(tasks.get(PREPROCESS), job["response"].get(PREPROCESS)),
        upload=_task(tasks.get(UPLOAD), job["response"].get(UPLOAD)),
    )


def _task(task: Mapping[str, Any] | None, response: Mapping[str, Any] | None) -> EdgeTask | None:
    if task is None:
        return None
    state = TaskState(task["task_state"])
    return EdgeTask(
        task["task_id"],
        state,
        Phase.ENDED if state.ended else Phase.READY,
        started_at=task["started_at"],
        ended_at=task["ended_at"],
        response=response,
    )


def _tasks(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    if "Task" in node:
        yield node["Task"]
    for child in (*node.get("taskSequential", ()), *node.get("taskParallel", ())):
        yield from _tasks(child)
