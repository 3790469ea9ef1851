"""Jobs that uploads become: one for each content of an object, whatever is killed in between."""

import hashlib
import os
from typing import Any

import pytest

from haste_core.errors import TransientError
from haste_server.gateway.arrivals import Arrivals
from haste_server.gateway.landing import FolderLandingArea
from haste_server.gateway.upload_records import UploadRecord
from tests.integration.api.conftest import Api
from tests.integration.api.tus import Tus, landed, unfinished

CONTENT = os.urandom(100_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
SAID = {"stream_id": "plate7", "filename": "A01_s1.tif"}


class KilledError(BaseException):
    """Stands for a kill: nothing that comes after it is done."""


@pytest.fixture
def tus(api: Api) -> Tus:
    api.client.post("/HASTE/stream/", json={"stream_id": "plate7", "pipeline": "full"})
    api.wakes = 0
    return Tus(api)


def jobs(api: Api) -> list[dict[str, Any]]:
    return api.client.get("/HASTE/jobs/").json["jobs"]


def send(tus: Tus, **metadata: Any) -> int:
    answer = tus.patch(tus.begin(length=len(CONTENT), **SAID | metadata), CONTENT, 0)
    assert answer.status_code == 204, answer.text
    return int(answer.headers["HASTE-Job-Id"])


def test_a_finished_upload_is_a_job_of_its_streams_pipeline(tus: Tus, api: Api) -> None:
    job_id = send(
        tus,
        source_id="plate7/A01_s1.tif",
        index=17,
        timestamp=1.5,
        location="3.5,1",
        substream_id="A01",
        priority=5,
        metadata={"channel": "DAPI", "z": 3},
        well="A01",
    )

    job = api.client.get(f"/HASTE/job/{job_id}").json
    path = f"plate7/{SHA256[:2]}/{SHA256}.tif"
    expected = {
        "source_url": f"root://landing/{path}",
        "source_id": "plate7/A01_s1.tif",
        "source_version": SHA256,
        "site": "lab1",
        "index": 17,
        "timestamp": 1.5,
        "location": [3.5, 1.0],
        "substream_id": "A01",
        "priority": 5.0,
        "metadata": {"channel": "DAPI", "z": 3, "well": "A01", "filename": "A01_s1.tif"},
    }
    assert {name: job[name] for name in expected} == expected
    keys = [task["Task"]["task_key"] for task in job["tasks"]["taskSequential"]]
    assert keys == ["preprocess", "upload", "focus-score", "tier"]
    assert (api.landing_folder / path).read_bytes() == CONTENT
    assert api.wakes == 1


def test_the_same_object_sent_again_is_the_same_job(tus: Tus, api: Api) -> None:
    assert send(tus) == send(tus)
    assert send(tus, source_id="another") != send(tus)
    assert len(jobs(api)) == 2
    assert api.wakes == 2


def test_where_the_job_is_known_nothing_is_sent_even_if_the_file_is_elsewhere_by_now(
    tus: Tus, api: Api
) -> None:
    job_id = send(tus)
    for path in landed(api):
        path.unlink()

    answer = tus.create(len(CONTENT), sha256=SHA256, **SAID)

    assert answer.headers["Upload-Offset"] == str(len(CONTENT))
    assert (answer.json["job_id"], answer.json["place"]) == (job_id, None)
    assert tus.create(len(CONTENT), sha256=SHA256, filename="A01_s1.tif").headers["Upload-Offset"] == "0"


def test_a_file_that_is_there_becomes_a_job_without_being_sent(tus: Tus, api: Api) -> None:
    tus.patch(tus.begin(length=len(CONTENT), **SAID, job="no"), CONTENT, 0)
    assert jobs(api) == []

    answer = tus.create(len(CONTENT), sha256=SHA256, **SAID)

    assert [job["job_id"] for job in jobs(api)] == [answer.json["job_id"]]


def test_a_job_that_was_deleted_is_made_anew(tus: Tus, api: Api) -> None:
    first = tus.create(len(CONTENT), sha256=SHA256, **SAID).headers["Location"]
    job_id = tus.patch(first, CONTENT, 0).headers["HASTE-Job-Id"]
    api.client.delete(f"/HASTE/job/{job_id}")

    answer = tus.create(len(CONTENT), sha256=SHA256, **SAID)

    assert [job["job_id"] for job in jobs(api)] == [answer.json["job_id"]]


def test_a_stream_that_nobody_created_has_the_default_pipeline(tus: Tus, api: Api) -> None:
    send(tus, stream_id="plate8")

    assert api.client.get("/HASTE/stream/plate8").json["pipeline"]["name"] == "focus-tier"


def _kill(*_: object, **__: object) -> None:
    raise KilledError


STEPS = [
    (FolderLandingArea, "place_of"),
    (FolderLandingArea, "adopt"),
    (Arrivals, "submit"),
    (UploadRecord, "add"),
]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(("kind", "step"), STEPS, ids=[step for _, step in STEPS])
@pytest.mark.parametrize("found_by", ["sender", "sweep"])
def test_what_is_killed_while_it_finishes_is_finished_later_and_once(
    tus: Tus,
    api: Api,
    monkeypatch: pytest.MonkeyPatch,
    kind: type,
    step: str,
    after: bool,
    found_by: str,
) -> None:
    url = tus.begin(length=len(CONTENT), **SAID)
    done = getattr(kind, step)

    def then_kill(*arguments: Any, **options: Any) -> None:
        done(*arguments, **options)
        raise KilledError

    with monkeypatch.context() as context:
        context.setattr(kind, step, then_kill if after else _kill)
        with pytest.raises(KilledError):
            tus.patch(url, CONTENT, 0)

    if found_by == "sweep":
        api.uploads.sweep()
        assert len(jobs(api)) == 1
    answer = tus.call("HEAD", url)

    assert answer.headers["Upload-Offset"] == str(len(CONTENT))
    assert [str(job["job_id"]) for job in jobs(api)] == [answer.headers["HASTE-Job-Id"]]
    assert [path.read_bytes() for path in landed(api)] == [CONTENT]
    assert [path.suffix for path in unfinished(api)] == [".upload"]


def test_while_the_database_is_away_the_file_waits_for_its_job(
    tus: Tus, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object, **__: object) -> int:
        raise TransientError("the database is not available")

    url = tus.begin(length=len(CONTENT), **SAID)
    with monkeypatch.context() as context:
        context.setattr(Arrivals, "submit", away)
        assert tus.patch(url, CONTENT, 0).status_code == 503
        assert tus.call("HEAD", url).status_code == 503

    assert tus.patch(url, b"", len(CONTENT)).status_code == 204
    assert len(jobs(api)) == 1
