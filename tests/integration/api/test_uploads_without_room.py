"""Uploads for which there is no room, on the disk or among those that are received."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from haste_server.gateway import receiving
from tests.integration.api.conftest import Api
from tests.integration.api.tus import Tus, unfinished


def test_a_file_for_which_there_is_no_space_is_refused_before_it_is_sent(
    tus: Tus, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 1000))

    answer = tus.create(1001)

    assert answer.status_code == 507
    assert "free some space" in answer.json["detail"]
    assert unfinished(api) == []
    assert tus.create(1000).status_code == 201


@pytest.fixture
def _nearly_full(monkeypatch: pytest.MonkeyPatch, api: Api) -> None:
    """Let the disk have 1 MB more than uploads are to leave free, and less with each byte that comes."""
    object.__setattr__(api.uploads.room, "leaves_free_bytes", 10**9)
    monkeypatch.setattr(receiving, "ROOM_EVERY_BYTES", 2**16)

    def usage(folder: Path) -> Any:
        came = sum(path.stat().st_size for path in folder.glob("*.part"))
        return shutil._ntuple_diskusage(10**12, 10**12, 10**9 + 10**6 - came)  # type: ignore[attr-defined]

    monkeypatch.setattr(shutil, "disk_usage", usage)


@pytest.mark.usefixtures("_nearly_full")
def test_uploads_leave_room_on_the_disk_also_if_many_come_at_once(tus: Tus, api: Api) -> None:
    object.__setattr__(api.uploads.room, "max_bytes", 10**7)
    assert tus.create(10**6 + 1).status_code == 507
    first, second = tus.begin(length=800_000), tus.begin(length=800_000)
    assert tus.patch(first, bytes(700_000), 0).status_code == 204

    assert tus.patch(second, bytes(700_000), 0).status_code == 507

    kept = tus.offset(second)
    assert 200_000 < kept <= 300_000
    assert tus.call("DELETE", first).status_code == 204
    assert tus.patch(second, bytes(800_000 - kept), kept).status_code == 204


@pytest.mark.usefixtures("_nearly_full")
def test_an_image_of_the_agent_for_which_there_is_no_room_is_refused(api: Api) -> None:
    object.__setattr__(api.uploads.room, "leaves_free_bytes", 2 * 10**9)
    headers = {"X-HASTE-original_filename": "/a/1.png", "X-HASTE-tag": "lab1"}

    assert api.client.post("/stream/s", data=b"pixels", headers=headers).status_code == 507
    assert unfinished(api) == []
