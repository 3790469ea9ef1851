"""Originals are deleted only if they are what the server has confirmed."""

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

from haste_apps.agent.acquisition import Told
from haste_apps.agent.clearing import Original, delete_original
from haste_client.answers import JobAnswer
from haste_workers.durable import sha256_of


@pytest.fixture
def original(tmp_path: Path) -> Path:
    path = tmp_path / "day2" / "A01.tif"
    path.parent.mkdir()
    path.write_bytes(b"pixels")
    return path


def job_of(original: Path, *, state: int = 200, **upload: Any) -> JobAnswer:
    status = original.stat()
    sha256 = hashlib.sha256(original.read_bytes()).hexdigest()
    return JobAnswer(
        job_id=1,
        state=state,
        created_at=0,
        ended_at=1,
        source_url="root://acquisition/day2/A01.tif",
        source_id="day2/A01.tif",
        source_version=f"{status.st_size}-{status.st_mtime_ns}-01234567",
        site="default",
        stream_id="s",
        response={"upload": {"job_id": 7, "original_sha256": sha256, "sha256": "0" * 64, **upload}},
    )


def test_each_end_is_told_once(original: Path) -> None:
    job, told = job_of(original), Told(began_at=0.5)
    again = job.model_copy(update={"ended_at": 2.0})
    assert [told.is_news(one) for one in (job, job, again, again)] == [True, False, True, False]
    assert not Told(began_at=1.5).is_news(job)


def test_an_end_is_told_though_the_clock_was_set_back(original: Path) -> None:
    earlier = job_of(original)
    later = earlier.model_copy(update={"job_id": 2, "ended_at": 0.2})
    told = Told(began_at=1.5)
    assert not told.is_news(earlier)
    told.earlier_seen = True
    assert [told.is_news(one) for one in (earlier, later, later)] == [False, True, False]


def test_a_locked_original_is_tried_again(
    original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked(_path: Path) -> None:
        raise PermissionError(13, "it is open in another program")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", locked)
        with pytest.raises(PermissionError):
            delete_original(tmp_path, job_of(original))
    assert delete_original(tmp_path, job_of(original)) is Original.DELETED


def test_what_was_confirmed_is_deleted_once(original: Path, tmp_path: Path) -> None:
    job = job_of(original, lossless=True)
    assert delete_original(tmp_path, job) is Original.DELETED
    assert not original.exists()
    assert delete_original(tmp_path, job) is Original.GONE


@pytest.mark.parametrize(
    "job",
    [{"state": 503}, {"job_id": None}, {"original_sha256": None}, {"lossless": False}],
    ids=lambda job: next(iter(job)),
)
def test_what_was_not_confirmed_stays(original: Path, tmp_path: Path, job: dict[str, Any]) -> None:
    assert delete_original(tmp_path, job_of(original, **job)) is Original.NEEDED
    assert original.exists()


def test_folders_stay(tmp_path: Path) -> None:
    folder = tmp_path / "A01.zarr"
    folder.mkdir()
    (folder / "zarr.json").write_text("{}")
    status = folder.stat()
    job = JobAnswer(
        job_id=1,
        state=200,
        created_at=0,
        ended_at=1,
        source_url="root://acquisition/A01.zarr",
        source_id="A01.zarr",
        source_version=f"{status.st_size}-{status.st_mtime_ns}-01234567",
        site="default",
        stream_id="s",
        response={"upload": {"job_id": 7, "original_sha256": sha256_of(folder)}},
    )
    assert delete_original(tmp_path, job) is Original.NEEDED
    assert (folder / "zarr.json").exists()


def test_what_was_written_anew_stays(original: Path, tmp_path: Path) -> None:
    job = job_of(original)
    original.write_bytes(b"others")
    assert delete_original(tmp_path, job) is Original.ANOTHER
    assert original.read_bytes() == b"others"


def test_other_content_under_the_same_size_and_time_stays(original: Path, tmp_path: Path) -> None:
    job, status = job_of(original), original.stat()
    original.write_bytes(b"others")
    os.utime(original, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert delete_original(tmp_path, job) is Original.ANOTHER
    assert original.exists()
