"""The handler of `upload` sends a folder of OME-Zarr as one object, to the real landing area."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from haste_core.states import TaskState
from haste_workers.durable import sha256_of
from tests.unit.workers.bench import RunTask
from tests.unit.workers.landing import TOKEN, Landing, running_landing


@pytest.fixture
def landing(tmp_path: Path) -> Iterator[Landing]:
    with running_landing(tmp_path / "landing") as landing:
        yield landing


@pytest.fixture
def source(data_dir: Path) -> Path:
    folder = data_dir / "A01.zarr"
    (folder / "0").mkdir(parents=True)
    (folder / "zarr.json").write_text("{}")
    for number in range(10):
        (folder / f"0/{number}").write_bytes(os.urandom(50_000))
    return folder


def of(landing: Landing) -> dict[str, Any]:
    return {"server_url": landing.url, "token": TOKEN}


def landed(landing: Landing) -> list[Path]:
    return list(landing.folder.glob("plate7/??/*"))


def test_a_folder_is_one_object_at_the_server(run_task: RunTask, landing: Landing, source: Path) -> None:
    result = run_task("upload", source, settings=of(landing), source_id="A01.zarr")
    assert result.state is TaskState.DONE, result.message
    (there,) = landed(landing)
    sha256 = sha256_of(source)
    assert (there.name, sha256_of(there)) == (f"{sha256}.zarr", sha256)
    assert result.place is not None
    assert (result.place.sha256, result.place.size_bytes) == (sha256, 500_002)
    assert result.response["size_bytes"] == 500_002


def test_a_connection_that_breaks_costs_nothing(run_task: RunTask, landing: Landing, source: Path) -> None:
    landing.cuts = [100_000, 200_000]
    result = run_task("upload", source, settings=of(landing), source_id="A01.zarr")
    assert result.state is TaskState.DONE, result.message
    (there,) = landed(landing)
    assert sha256_of(there) == sha256_of(source)
    packed_bytes = 11 * 512 + 10 * 50_176 + 512 + 1024
    assert landing.received_bytes == packed_bytes


def test_a_folder_that_changes_before_it_is_sent_is_sent_as_it_is_now(
    run_task: RunTask, landing: Landing, source: Path
) -> None:
    def change() -> None:
        (source / "0/3").write_bytes(b"y" * 50_000)

    landing.on_creation = change
    result = run_task("upload", source, settings=of(landing), source_id="A01.zarr")
    assert result.state is TaskState.DONE, result.message
    (there,) = landed(landing)
    assert sha256_of(there) == sha256_of(source)


def test_other_folders_are_refused(run_task: RunTask, landing: Landing, source: Path) -> None:
    result = run_task("upload", source.rename(source.with_suffix(".d")), settings=of(landing))
    assert result.state is TaskState.BAD_INPUT
    assert landing.creations == []


def test_a_folder_with_a_link_says_so(run_task: RunTask, landing: Landing, source: Path) -> None:
    (source / "0/link").symlink_to("/etc/hostname")
    result = run_task("upload", source, settings=of(landing))
    assert result.state is TaskState.BAD_INPUT
    assert "a link" in result.message
