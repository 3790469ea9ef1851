"""Folders of OME-Zarr that are uploaded packed, and land as folders."""

import hashlib
import os
import time
from pathlib import Path
from typing import Any

import pytest

from haste_runtime.packing import open_packed
from haste_server.gateway.landing import FolderLandingArea
from haste_server.gateway.upload_records import UploadRecord
from haste_workers.durable import sha256_of
from tests.integration.api.conftest import Api
from tests.integration.api.test_uploaded_jobs import KilledError
from tests.integration.api.tus import Tus, unfinished
from tests.unit.runtime.test_packing import member, tar_of


class Sent:
    """A folder, as it is sent."""

    def __init__(self, folder: Path, tus: Tus) -> None:
        (folder / "0").mkdir(parents=True)
        (folder / "zarr.json").write_text("{}")
        for number in range(20):
            (folder / f"0/{number}").write_bytes(os.urandom(1000))
        with open_packed(folder) as stream:
            self.content = stream.read()
        self.sha256 = sha256_of(folder)
        self.tus = tus
        self.said = {"stream_id": "plate7", "filename": "A01.zarr", "sha256": self.sha256, "packed": "tar"}

    def begin(self, **said: Any) -> str:
        return self.tus.begin(length=len(self.content), **self.said | said)

    def send(self) -> int:
        answer = self.tus.patch(self.begin(), self.content, 0)
        assert answer.status_code == 204, answer.text
        return int(answer.headers["HASTE-Job-Id"])

    @property
    def landed(self) -> Path:
        return self.tus.api.landing_folder / "plate7" / self.sha256[:2] / f"{self.sha256}.zarr"


@pytest.fixture
def sent(api: Api, tmp_path: Path) -> Sent:
    return Sent(tmp_path / "A01.zarr", Tus(api))


def test_a_folder_lands_as_one_object(sent: Sent, api: Api) -> None:
    job = api.client.get(f"/HASTE/job/{sent.send()}").json
    assert sha256_of(sent.landed) == sent.sha256
    assert job["source_url"] == f"root://landing/plate7/{sent.sha256[:2]}/{sent.sha256}.zarr"
    assert (job["source_id"], job["source_version"]) == ("A01.zarr", sent.sha256)
    assert [path.suffix for path in unfinished(api)] == [".upload"]


def test_it_goes_on_where_it_broke_off_and_is_not_sent_twice(sent: Sent) -> None:
    url = sent.begin()
    assert sent.tus.patch(url, sent.content[:7000], 0).status_code == 204
    again = sent.tus.create(len(sent.content), **sent.said)
    assert int(again.headers["Upload-Offset"]) == 7000
    assert again.headers["Location"] == url
    done = sent.tus.patch(url, sent.content[7000:], 7000)
    once_more = sent.tus.create(len(sent.content), **sent.said)
    assert int(once_more.headers["Upload-Offset"]) == len(sent.content)
    assert once_more.headers["HASTE-Job-Id"] == done.headers["HASTE-Job-Id"]


def test_what_is_not_what_was_sent_is_dropped(sent: Sent, api: Api) -> None:
    url = sent.begin(sha256="0" * 64)
    answer = sent.tus.patch(url, sent.content, 0)
    assert answer.status_code == 460
    assert unfinished(api) == []
    assert not sent.landed.exists()


@pytest.mark.parametrize("name", ["../../../escaped", "/tmp/escaped", "a/../../escaped"])
def test_hostile_folders_are_dropped(sent: Sent, api: Api, name: str) -> None:
    content = tar_of(member("zarr.json"), member(name))
    url = sent.tus.begin(length=len(content), **sent.said)
    answer = sent.tus.patch(url, content, 0)
    assert answer.status_code == 400
    assert "no file may be called" in answer.text
    assert unfinished(api) == []
    assert not list(api.landing_folder.parent.rglob("*escaped*"))


@pytest.mark.parametrize(
    "said",
    [
        {"filename": "A01.tif"},
        {"filename": "A01"},
        {"sha256": None},
        {"packed": "zip"},
        {"sidecar": "yes"},
    ],
)
def test_only_folders_of_zarr_with_their_hash(sent: Sent, said: dict[str, Any]) -> None:
    answer = sent.tus.create(len(sent.content), **sent.said | said)
    assert answer.status_code == 400, answer.text
    assert "Upload-Metadata." in answer.text


@pytest.mark.parametrize("step", ["place", "adopt", "job"])
def test_a_kill_at_any_step_loses_nothing(
    sent: Sent, api: Api, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Killed before the place is noted, before the folder is in it, or before its job is noted."""

    def killed(*_args: Any, **fields: Any) -> None:
        if step == "adopt" or ("place" if step == "place" else "finished_at") in fields:
            raise KilledError
        real_add(*_args, **fields)

    real_add = UploadRecord.add
    url = sent.begin()
    with monkeypatch.context() as patch:
        place = (FolderLandingArea, "_move") if step == "adopt" else (UploadRecord, "add")
        patch.setattr(*place, killed)
        with pytest.raises(KilledError):
            sent.tus.patch(url, sent.content, 0)
    assert sent.tus.offset(url) == len(sent.content)
    assert sha256_of(sent.landed) == sent.sha256
    assert len(api.client.get("/HASTE/jobs/").json["jobs"]) == 1
    assert [path.suffix for path in unfinished(api)] == [".upload"]


def test_a_full_disk_leaves_what_has_come(sent: Sent, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    url = sent.begin()
    with monkeypatch.context() as patch:
        patch.setattr("haste_runtime.packing._unpack_one", full)
        assert sent.tus.patch(url, sent.content, 0).status_code == 507
    assert sorted(path.suffix for path in unfinished(api)) == [".part", ".upload"]
    assert sent.tus.offset(url) == len(sent.content)
    assert sha256_of(sent.landed) == sent.sha256


def test_a_landed_folder_is_removed_like_a_file(sent: Sent, api: Api) -> None:
    sent.send()
    area = FolderLandingArea(api.landing_folder, site="lab1")
    now, long_ago = time.time(), time.time() - 10_000
    url = f"root://landing/plate7/{sent.sha256[:2]}/{sent.sha256}.zarr"
    assert list(area.unused("plate7", since=now - 1000)) == []
    os.utime(sent.landed, (long_ago, long_ago))
    assert list(area.unused("plate7", since=now - 1000)) == [url]
    assert not area.remove(url, since=long_ago - 1)
    assert sha256_of(sent.landed) == sent.sha256
    assert area.remove(url, since=now - 1000)
    assert not sent.landed.exists()
    assert not list(api.landing_folder.glob(".outgoing/*"))


def test_a_folder_that_is_sent_again_while_it_is_removed_is_put_back(
    sent: Sent, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent.send()
    long_ago = time.time() - 10_000
    os.utime(sent.landed, (long_ago, long_ago))
    rename = Path.rename

    def marked(path: Path, target: Path) -> Path:
        moved = rename(path, target)
        os.utime(moved)
        return moved

    area = FolderLandingArea(api.landing_folder, site="lab1")
    url = f"root://landing/plate7/{sent.sha256[:2]}/{sent.sha256}.zarr"
    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", marked)
        assert not area.remove(url, since=long_ago + 1)
    assert sha256_of(sent.landed) == sent.sha256


def test_the_hash_is_that_of_the_list(sent: Sent, tmp_path: Path) -> None:
    folder = tmp_path / "A01.zarr"
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    lines = [f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in names]
    assert hashlib.sha256("".join(lines).encode()).hexdigest() == sent.sha256
