"""The page of a microscope's computer's stream, with real rows."""

import re
from typing import Any

import pytest

from haste_core.edge_course import estimated_course
from haste_core.figures import Preprocessed
from haste_core.messages import Outcome, TaskResult
from haste_core.routing import Route
from haste_core.states import TaskState
from haste_server.web.edge import MARKS_SHOWN
from haste_server.web.edge_figure import draw_course
from tests.integration.api.conftest import NOW, Api
from tests.integration.web.conftest import elements, look, seen

POSITIONS = {"preprocess": 0, "upload": 1}


@pytest.fixture
def edge(api: Api) -> Api:
    """Return a server with ten images of which three were preprocessed, and these and three more sent."""
    api.client.post("/HASTE/stream/", json={"stream_id": "grid4", "pipeline": "edge"})
    tasks = {"taskSequential": [{"Task": {"task_key": "preprocess", "optional": True}}, "upload"]}
    jobs = [
        api.submit(source_id=f"A{number}", stream_id="grid4", tasks=tasks, index=number)["job_id"]
        for number in range(10)
    ]
    for number in (0, 5, 9):
        told = {"bytes_before": 500_000, "bytes_after": 400_000 - number * 10_000}
        take(api, jobs[number], "preprocess", **told)
    for number in (0, 5, 9, 2, 3, 4):
        size_bytes = 400_000 - number * 10_000 if number in (0, 5, 9) else 500_000
        take(api, jobs[number], "upload", size_bytes=size_bytes)
    take(api, jobs[7], "preprocess", ends=False)
    return api


def take(api: Api, job_id: int, key: str, *, ends: bool = True, **answer: Any) -> None:
    api.now += 1
    task_id = api.store.job(job_id).tasks[POSITIONS[key]].task_id
    (message,) = api.store.claim_chosen(Route(key, "default"), [task_id], now=api.now, lease_s=30)
    if ends:
        result = TaskResult(
            task_id=message.task_id,
            attempt=message.attempt,
            worker_id="worker",
            outcome=Outcome.ENDED,
            state=TaskState.DONE,
            response=answer,
            started_at=api.now,
            ended_at=api.now + 0.5,
        )
        api.store.record([result], now=api.now)


def test_images_are_counted_on_their_way(edge: Api) -> None:
    edge.now = NOW + 30

    text = seen(look(edge, "/stream/grid4"))

    assert "found 10 preprocessed 3 (1 now) uploaded 6 waiting 4 speed, last minute 0.04 MB/s" in text
    assert "saved 14.7% (440.0 kB of 3.0 MB)" in text


def test_what_only_policies_and_measurements_fill_is_left_out(edge: Api) -> None:
    text = seen(look(edge, "/stream/grid4"))

    assert "number image state size 0 A0 done (200)" in text
    for words in ("Tiers", "mode", "scores first", "Nothing was decided"):
        assert words not in text


def test_searched_exploited_and_skipped_images_are_drawn_with_the_estimate(edge: Api) -> None:
    page = look(edge, "/stream/grid4")

    def classes(name: str) -> int:
        return len(elements(page, lambda element: element.attributes.get("class") == name))

    assert classes("searched") + classes("exploited") == 3
    assert classes("searched") >= 1
    assert classes("skipped") == 3
    assert classes("estimate") == classes("band") == 1
    assert "image 9: 380.0 kB per CPU second" in seen(page)
    assert "Strokes at the bottom are images that were sent as they were (skipped)" in seen(page)


def test_before_anything_is_preprocessed_it_is_said(api: Api) -> None:
    api.client.post("/HASTE/stream/", json={"stream_id": "grid4", "pipeline": "edge"})

    assert "Nothing was preprocessed yet" in seen(look(api, "/stream/grid4"))


def test_other_streams_have_no_such_part(api: Api) -> None:
    api.submit(stream_id="plate7")

    assert "On the way from the microscope" not in look(api, "/stream/plate7")


def course_of(worths: dict[int, float]) -> list[Preprocessed]:
    return [Preprocessed(number, NOW + at, worth, 1.0) for at, (number, worth) in enumerate(worths.items())]


@pytest.mark.parametrize("worths", [{7: 0.0}, {0: -5e4, 3: 1e5}, {10**9: 1e5, 10**9 + 70_000: 2e5}])
def test_odd_courses_are_drawn(worths: dict[int, float]) -> None:
    course = estimated_course(course_of(worths), found=len(worths))
    drawn = str(draw_course(course, skipped=[0, 7, 10**9 + 5]))

    assert drawn.count("<circle") == len(worths)
    assert not re.search(r"nan|inf", drawn)


def test_of_many_images_some_are_drawn(edge: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def preprocessed(_store: object, _stream_id: str, *, limit: int) -> list[Preprocessed]:
        asked.append(limit)
        return []

    monkeypatch.setattr(type(edge.store), "preprocessed", preprocessed)
    look(edge, "/stream/grid4")

    assert asked == [MARKS_SHOWN]
