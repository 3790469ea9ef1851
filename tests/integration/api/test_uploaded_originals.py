"""Uploaded originals: removed when their copies in tiers are recorded and the policy moves, and no others."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from haste_core.decisions import Decision
from haste_core.messages import Outcome, Place, TaskMessage, TaskResult
from haste_core.routing import Route
from haste_core.states import TaskState
from haste_server.gateway.landing import FolderLandingArea
from haste_server.gateway.superseded import GRACE_S, LandingSweep
from tests.contract.test_leaving import moving
from tests.integration.api.conftest import NOW, Api
from tests.integration.api.test_uploaded_jobs import CONTENT, SAID, SHA256
from tests.integration.api.tus import Tus, landed

COPY = Place(url="file:///tiers/hot/x.tif", site="lab1", sha256=SHA256, size_bytes=len(CONTENT))


class Lab:
    """A server, and what its workers and its engine do."""

    def __init__(self, api: Api, *, move: bool = True) -> None:
        self.api = api
        self.tus = Tus(api)
        api.store.create_stream("plate7", moving(move), "enforce", now=NOW)

    def send(self, **said: Any) -> int:
        """Upload a file, of which an hour is over soon."""
        answer = self.tus.patch(self.tus.begin(length=len(CONTENT), **SAID | said), CONTENT, 0)
        assert answer.status_code == 204, answer.text
        return int(answer.headers["HASTE-Job-Id"])

    def run(self, task_key: str, **answer: Any) -> TaskMessage:
        [message] = self.api.store.claim(Route(task_key, "lab1"), 1, now=NOW, lease_s=30)
        self.api.store.record(
            [
                TaskResult(
                    task_id=message.task_id,
                    attempt=message.attempt,
                    worker_id="w",
                    outcome=Outcome.ENDED,
                    state=TaskState.DONE,
                    **answer,
                )
            ],
            now=NOW,
        )
        return message

    def put_to_tier(self) -> None:
        """Score an object, decide, and record its copy in the tier."""
        self.run("focus-score", response={"plls": -1.0})
        [waiting] = self.api.store.undecided(limit=10, now=NOW)
        self.api.store.record_decisions([(waiting, Decision(0.2, "hot", "why", SHA256, {}))], now=NOW)
        self.run("tier", place=COPY)

    def sweep(self, *, before: Callable[[], None] = lambda: None, age_s: float = 2 * GRACE_S) -> int:
        now = time.time()
        for path in landed(self.api):
            os.utime(path, (now - age_s, now - age_s))
        before()
        store = self.api.store
        area = FolderLandingArea(self.api.landing_folder, site="lab1")
        return LandingSweep(jobs=store, streams=store, originals=store, landing=area).sweep()


@pytest.fixture
def lab(api: Api) -> Lab:
    return Lab(api)


def test_an_original_goes_an_hour_after_its_copy_was_recorded(lab: Lab) -> None:
    job_id = lab.send()
    assert lab.sweep() == 0
    lab.put_to_tier()
    assert lab.sweep(age_s=GRACE_S / 2) == 0

    assert lab.sweep() == 1

    assert landed(lab.api) == []
    assert lab.api.client.get(f"/HASTE/job/{job_id}").json["place"]["moved"] is True
    task_id = lab.api.store.job(job_id).tasks[0].task_id
    assert lab.api.client.post(f"/HASTE/task/{task_id}/forceretry").status_code == 200
    assert lab.run("focus-score").place.url == COPY.url


def test_without_the_policys_word_it_stays(api: Api) -> None:
    lab = Lab(api, move=False)
    lab.send()
    lab.put_to_tier()

    assert lab.sweep() == 0
    assert len(landed(api)) == 1


def test_content_of_several_objects_goes_with_the_last_of_them(lab: Lab) -> None:
    lab.send()
    lab.put_to_tier()
    lab.send(source_id="the same once more")
    assert lab.sweep() == 0
    assert len(landed(lab.api)) == 1

    lab.put_to_tier()

    assert lab.sweep() == 1


def test_an_original_that_is_a_sidecar_of_another_object_stays(lab: Lab) -> None:
    lab.send()
    lab.put_to_tier()
    url = f"root://landing/plate7/{SHA256[:2]}/{SHA256}.tif"
    lab.api.submit(source_id="B01", stream_id="plate7", sidecars=[url])

    assert lab.sweep() == 0


def test_who_sends_it_again_meanwhile_finds_it(lab: Lab) -> None:
    job_id = lab.send()
    lab.put_to_tier()

    def again() -> None:
        answer = lab.tus.create(len(CONTENT), sha256=SHA256, **SAID | {"source_id": "new"})
        assert answer.headers["Upload-Offset"] == str(len(CONTENT))

    assert lab.sweep(before=again) == 0
    assert [path.read_bytes() for path in landed(lab.api)] == [CONTENT]
    assert lab.api.store.job(job_id).state is TaskState.DONE


def test_what_is_sent_again_after_it_went_is_the_job_that_is_there(lab: Lab, tmp_path: Path) -> None:
    job_id = lab.send()
    lab.put_to_tier()
    assert lab.sweep() == 1

    answer = lab.tus.create(len(CONTENT), sha256=SHA256, **SAID)

    assert answer.headers["Upload-Offset"] == str(len(CONTENT))
    assert (answer.json["job_id"], landed(lab.api)) == (job_id, [])
    assert lab.send() == job_id  # without its hash told, it comes once more
    assert lab.sweep() == 1
