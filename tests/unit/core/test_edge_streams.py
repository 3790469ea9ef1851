"""What the store says of an image, and what its schedule is told."""

import time

import pytest

from haste_core.edge_images import EdgeImage, EdgeState, EdgeTask, Saving
from haste_core.edge_scheduling import EdgeSchedule
from haste_core.edge_streams import EdgeStream
from haste_core.states import Phase, TaskState

SIZE = 500_000
OPEN = TaskState.REGISTERED


def task(phase: Phase, state: TaskState = OPEN, **more: object) -> EdgeTask:
    return EdgeTask(1, state, phase, **more)  # type: ignore[arg-type]


def image(
    preprocess: EdgeTask | None = None,
    upload: EdgeTask | None = None,
    *,
    job_id: int = 1,
    index: int | None = 0,
    version: str | None = f"{SIZE}-99-0123abcd",
) -> EdgeImage:
    return EdgeImage(job_id, "s", index, version, 0.0, preprocess, upload)


READY, RUNNING, BLOCKED = task(Phase.READY), task(Phase.HANDED_OUT), task(Phase.BLOCKED)
DELAYED, ENDED = task(Phase.DELAYED), task(Phase.ENDED, TaskState.DONE)


@pytest.mark.parametrize(
    ("preprocess", "upload", "edge_state"),
    [
        (READY, READY, EdgeState.WAITING),
        (RUNNING, BLOCKED, EdgeState.PREPROCESSING),
        (DELAYED, READY, EdgeState.PAUSED),  # given back by a worker
        (task(Phase.DELAYED, failures=1), READY, EdgeState.TO_SEND),
        (task(Phase.READY, failures=1), READY, EdgeState.TO_SEND),
        (ENDED, READY, EdgeState.TO_SEND),
        (None, READY, EdgeState.TO_SEND),
        (ENDED, RUNNING, EdgeState.SENDING),
        (ENDED, DELAYED, EdgeState.PAUSED),
        (ENDED, ENDED, EdgeState.SENT),
        (ENDED, task(Phase.ENDED, TaskState.CANCELLED), EdgeState.GONE),
        (READY, BLOCKED, EdgeState.NEEDED),
        (BLOCKED, BLOCKED, EdgeState.GONE),
        (READY, None, EdgeState.NEEDED),
        (RUNNING, None, EdgeState.BUSY),
        (ENDED, None, EdgeState.GONE),
        (None, None, EdgeState.GONE),
    ],
)
def test_where_an_image_stands(
    preprocess: EdgeTask | None, upload: EdgeTask | None, edge_state: EdgeState
) -> None:
    assert image(preprocess, upload).edge_state is edge_state


@pytest.mark.parametrize(
    ("told", "version", "saving"),
    [
        ({"response": {"bytes_before": 900, "bytes_after": 600}}, None, Saving(300, 0.5)),
        ({"size_bytes": 400_000}, f"{SIZE}-99-0123abcd", Saving(100_000, 0.5)),
        ({}, f"{SIZE}-99-0123abcd", Saving(0, 0.5)),  # it is where it was
        ({"size_bytes": 400_000}, "a-checksum", None),
        ({"response": {"bytes_before": True, "bytes_after": -1, "cpu_s": float("inf")}}, None, None),
    ],
)
def test_what_preprocessing_saved(
    told: dict[str, object], version: str | None, saving: Saving | None
) -> None:
    done = task(Phase.ENDED, TaskState.DONE, started_at=10.0, ended_at=10.5, **told)
    assert image(done, READY, version=version).saving == saving


def test_cores_are_taken_for_as_long_as_the_attempt_ran_or_else_as_the_handler_says() -> None:
    told = {"response": {"bytes_before": 9, "bytes_after": 5, "cpu_s": 0.3}}
    assert image(task(Phase.ENDED, TaskState.DONE, **told), READY).saving == Saving(4, 0.3)


def test_images_of_which_nobody_tells_a_size_are_taken_for_as_large_as_others() -> None:
    stream = EdgeStream(EdgeSchedule(1), first_job=1, lowest_index=0)
    stream.note(image(READY, READY, job_id=1, version="300000-9-0a"), 0.0)
    stream.note(image(READY, READY, job_id=2, index=1, version=None), 0.0)
    assert stream.schedule.waiting_bytes == 600_000
    told = {"response": {"bytes_before": 900_000, "bytes_after": 800_000}}
    done = task(Phase.ENDED, TaskState.DONE, started_at=0.0, ended_at=1.0, **told)
    stream.note(image(done, READY, job_id=2, index=1, version=None), 1.0)
    assert stream.schedule.waiting_bytes == 300_000 + 800_000


def test_any_way_from_one_state_to_another_leaves_the_schedule_whole() -> None:
    ways = [
        image(READY, READY),
        image(RUNNING, BLOCKED),
        image(task(Phase.ENDED, TaskState.BAD_INPUT), READY),
        image(ENDED, RUNNING),
        image(ENDED, DELAYED),
        image(READY, BLOCKED),
        image(task(Phase.ENDED, TaskState.CANCELLED), task(Phase.ENDED, TaskState.CANCELLED)),
        image(ENDED, ENDED),
    ]
    for first in ways:
        for second in ways:
            for third in ways:
                stream = EdgeStream(EdgeSchedule(1), first_job=1, lowest_index=0)
                for number, step in enumerate((first, second, third, second)):
                    stream.note(step, float(number))
                stream.note(ways[-2], 9.0)
                assert stream.schedule.is_empty
                assert stream.schedule.waiting_bytes == stream.schedule.link.under_way == 0
                assert not stream.at_a_worker
                assert not stream.paused


def test_an_image_that_is_deleted_is_forgotten_at_once() -> None:
    for way in (image(READY, READY), image(RUNNING, BLOCKED), image(ENDED, RUNNING), image(ENDED, DELAYED)):
        stream = EdgeStream(EdgeSchedule(1), first_job=1, lowest_index=0)
        stream.note(way, 0.0)
        stream.forget(1, 1.0)
        assert stream.schedule.is_empty
        assert len(stream) == 0
        stream.note(way, 2.0)
        assert len(stream) == 1


def test_an_image_costs_the_same_to_note_however_many_wait() -> None:
    stream = EdgeStream(EdgeSchedule(2), first_job=1, lowest_index=0)
    spent = []
    for start in range(0, 100_000, 20_000):
        began = time.thread_time()
        for number in range(start, start + 20_000):
            stream.note(image(READY, READY, job_id=number + 1, index=number), 0.0)
        spent.append(time.thread_time() - began)
    assert len(stream) == 100_000
    assert spent[-1] < 10 * spent[0]  # about 0.3 s each; a walk over all would take an hour
    assert stream.choose_to_upload(0.0) is not None
    assert stream.choose_to_preprocess(0.0, ahead_bytes=0.0) is not None
