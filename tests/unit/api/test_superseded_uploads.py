"""Uploaded files whose object is elsewhere; removed, and no others."""

import contextlib
import hashlib
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from haste_core import lifecycle
from haste_core.errors import NotFoundError
from haste_core.jobs import JobRecord
from haste_core.jobspec import JobSpec
from haste_core.lifecycle import Rules
from haste_core.messages import Outcome, Place, TaskResult
from haste_core.states import TaskState
from haste_core.stores import JobFilter, Page
from haste_server.gateway.landing import FolderLandingArea
from haste_server.gateway.superseded import GRACE_S, LandingSweep

NOW = time.time()
RULES = Rules()
TIER = Place(url="file:///tiers/A/a.tif", site="lab1")


class FewJobs:
    """The part of a job store that the sweep asks; each page holds one job."""

    def __init__(self, *jobs: JobRecord) -> None:
        self._all = list(jobs)

    def jobs(self, wanted: JobFilter, *, cursor: str | None, limit: int) -> Page[JobRecord]:
        mine = [job for job in self._all if job.spec.stream_id == wanted.stream_id]
        number = int(cursor or 0)
        return Page(mine[number : number + 1], str(number + 1) if number + 1 < len(mine) else None)

    def stream(self, stream_id: str) -> None:
        raise NotFoundError(stream_id)


@pytest.fixture
def area(tmp_path: Path) -> FolderLandingArea:
    return FolderLandingArea(tmp_path / "landing", site="lab1")


def put(area: FolderLandingArea, content: bytes = b"pixels") -> Place:
    sha256 = hashlib.sha256(content).hexdigest()
    place = area.place_of(stream_id="plate7", name="a.tif", sha256=sha256, size_bytes=len(content))
    part = area.folder / f"{threading.get_ident()}.part"
    part.parent.mkdir(exist_ok=True)
    part.write_bytes(content)
    area.adopt(part, place)
    return place


def land(area: FolderLandingArea, content: bytes = b"pixels", *, age_s: float = 2 * GRACE_S) -> Place:
    place = put(area, content)
    os.utime(path_of(area, place), (NOW - age_s, NOW - age_s))
    return place


def path_of(area: FolderLandingArea, place: Place) -> Path:
    return area.folder / place.url.removeprefix("root://landing/")


def job(*places: Place | None, source_url: str = "file:///data/a.tif", state: int = 200) -> JobRecord:
    """Make a job whose tasks have all run but the last, which ends in a state; each left a place, or none."""
    tasks = {"taskSequential": [f"step-{number}" for number in range(len(places))]}
    spec = JobSpec.model_validate(
        {"source_url": source_url, "source_id": "a.tif", "stream_id": "plate7", "tasks": tasks}
    )
    record = lifecycle.register(spec, now=NOW, rules=RULES)
    for position, place in enumerate(places):
        handed_out = lifecycle.hand_out(record, position, lease_until=NOW + 60, now=NOW, rules=RULES)
        assert handed_out is not None
        ended = TaskState(state) if position == len(places) - 1 else TaskState.DONE
        result = TaskResult(
            task_id=0, attempt=1, worker_id="w", outcome=Outcome.ENDED, state=ended, place=place
        )
        applied = lifecycle.apply_result(handed_out, position, result, now=NOW, jitter=0, rules=RULES)
        assert applied is not None
        record = applied
    return record


def sweep_of(area: FolderLandingArea, *jobs: JobRecord) -> LandingSweep:
    store: Any = FewJobs(*jobs)
    return LandingSweep(jobs=store, streams=store, originals=store, landing=area, clock=lambda: NOW)


def sweep(area: FolderLandingArea, *jobs: JobRecord) -> int:
    return sweep_of(area, *jobs).sweep()


def test_upload_is_removed_when_its_object_was_put_to_a_tier(area: FolderLandingArea) -> None:
    upload = land(area)
    assert sweep(area, job(upload, None, TIER)) == 1
    assert not path_of(area, upload).exists()
    assert [path for path in area.folder.rglob("*") if path.is_file()] == []


def test_upload_that_is_the_object_stays_as_with_a_stream_that_observes(area: FolderLandingArea) -> None:
    upload = land(area)
    assert sweep(area, job(upload, None, None)) == 0
    assert path_of(area, upload).exists()


@pytest.mark.parametrize("state", [500, 503, 404])
def test_upload_of_a_job_that_may_be_retried_stays(area: FolderLandingArea, state: int) -> None:
    upload = land(area)
    assert sweep(area, job(upload, TIER, None, state=state)) == 0
    assert path_of(area, upload).exists()


def test_upload_of_a_job_that_is_run_again_stays(area: FolderLandingArea) -> None:
    upload = land(area)
    again = lifecycle.force_retry_task(job(upload, None, TIER), 1, now=NOW, rules=RULES)
    assert sweep(area, again) == 0
    assert path_of(area, upload).exists()


def test_equal_content_stays_while_one_job_needs_it(area: FolderLandingArea) -> None:
    upload = land(area)
    assert sweep(area, job(upload, TIER), job(upload, None)) == 0
    assert sweep(area, job(upload, TIER), job(upload, TIER)) == 1


def test_upload_that_is_another_jobs_original_stays(area: FolderLandingArea) -> None:
    upload = land(area)
    for original in (upload.url, path_of(area, upload).as_uri()):
        assert sweep(area, job(upload, TIER), job(TIER, source_url=original)) == 0
        assert path_of(area, upload).exists()


def test_upload_that_no_job_knows_stays(area: FolderLandingArea) -> None:
    land(area)
    assert sweep(area) == 0
    assert sweep(area, job(TIER)) == 0


def test_fresh_upload_stays(area: FolderLandingArea) -> None:
    land(area, age_s=GRACE_S / 2)
    assert sweep(area, job(land(area, age_s=GRACE_S / 2), TIER)) == 0


def test_upload_that_was_sent_again_stays(area: FolderLandingArea) -> None:
    upload = land(area)
    assert area.holds(upload)
    assert sweep(area, job(upload, TIER)) == 0


def test_who_was_told_that_a_file_is_there_does_not_lose_it(area: FolderLandingArea) -> None:
    """Send the same file again and again while it is removed again and again."""
    upload = land(area)
    path = path_of(area, upload)
    stopping = threading.Event()

    def keep_removing() -> None:
        while not stopping.is_set():
            area.remove(upload.url, since=NOW - GRACE_S)

    remover = threading.Thread(target=keep_removing)
    remover.start()
    try:
        for _ in range(300):
            with contextlib.suppress(FileNotFoundError):
                os.utime(path, (NOW - 2 * GRACE_S, NOW - 2 * GRACE_S))
            if not area.holds(upload):
                put(area)
            deadline = time.monotonic() + 10
            while not path.exists():  # it may be out of its place for an instant
                assert time.monotonic() < deadline
    finally:
        stopping.set()
        remover.join()


def test_stop_in_the_middle_removes_nothing(area: FolderLandingArea) -> None:
    upload = land(area)
    swept = sweep_of(area, job(upload, TIER), job(upload, None))
    swept.start()
    swept.stop()
    assert swept.sweep() == 0
    assert path_of(area, upload).exists()
