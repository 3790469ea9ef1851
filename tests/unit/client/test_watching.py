import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile

from haste_client.directory import ImageFile, Selection
from haste_client.watching import FolderWatch, watch

PIXELS = np.zeros((32, 32), np.uint16)


def image_bytes(tmp_path: Path) -> bytes:
    path = tmp_path / "model.tif"
    tifffile.imwrite(path, PIXELS)
    data = path.read_bytes()
    path.unlink()
    return data


class Watcher:
    """Runs `watch` in a thread and keeps what it reports."""

    def __init__(self, folder: Path, *, settle_s: float = 0.3, **options: object) -> None:
        self.seen: list[ImageFile] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=watch,
            args=(folder, self.seen.extend),
            kwargs={"settle_s": settle_s, "poll_s": 0.05, "stop": self._stop, **options},
        )
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def wait_for(self, *names: str, within_s: float = 10.0) -> None:
        deadline = time.monotonic() + within_s
        while {file.source_id for file in self.seen} != set(names):
            assert time.monotonic() < deadline, f"saw {self.seen}, not {names}"
            time.sleep(0.02)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Watcher]]:
    watchers = []

    def start_one(**options: object) -> Watcher:
        watchers.append(Watcher(tmp_path, **options))  # type: ignore[arg-type]
        return watchers[-1]

    yield start_one
    for watcher in watchers:
        watcher.stop()


def test_files_that_were_there_and_files_that_come_are_reported_once(
    start: Callable[..., Watcher], tmp_path: Path
) -> None:
    data = image_bytes(tmp_path)
    (tmp_path / "old.tif").write_bytes(data)
    watcher = start()
    watcher.wait_for("old.tif")
    (tmp_path / "new.tif").write_bytes(data)
    (tmp_path / "A01").mkdir()
    (tmp_path / "A01/deep.tif").write_bytes(data)
    watcher.wait_for("old.tif", "new.tif", "A01/deep.tif")
    time.sleep(0.6)
    assert len(watcher.seen) == 3


def test_a_half_written_file_is_left_until_it_is_whole(start: Callable[..., Watcher], tmp_path: Path) -> None:
    data = image_bytes(tmp_path)
    watcher = start()
    with (tmp_path / "slow.tif").open("wb") as file:
        file.write(data[: len(data) // 2])
        file.flush()
        time.sleep(1.0)
        assert watcher.seen == []
        file.write(data[len(data) // 2 :])
    watcher.wait_for("slow.tif")
    assert watcher.seen[0].size_bytes == len(data)


def test_a_file_that_is_renamed_into_place_need_not_rest(
    start: Callable[..., Watcher], tmp_path: Path
) -> None:
    data = image_bytes(tmp_path)
    watcher = start(settle_s=3600)
    time.sleep(0.2)
    (tmp_path / "closed.tif").write_bytes(data)
    (tmp_path / "renamed.tif.tmp").write_bytes(data)
    time.sleep(0.2)
    (tmp_path / "renamed.tif.tmp").rename(tmp_path / "renamed.tif")
    watcher.wait_for("renamed.tif")


def test_a_stack_that_is_closed_after_each_page_is_one_image(
    start: Callable[..., Watcher], tmp_path: Path
) -> None:
    watcher = start(settle_s=1.5)
    for _page in range(6):
        tifffile.imwrite(tmp_path / "stack.tif", PIXELS, append=True)
        time.sleep(0.3)
    watcher.wait_for("stack.tif")
    with tifffile.TiffFile(tmp_path / "stack.tif") as stack:
        assert len(stack.pages) == 6
    assert [file.size_bytes for file in watcher.seen] == [(tmp_path / "stack.tif").stat().st_size]


def test_a_copy_that_gets_its_times_last_is_one_image(start: Callable[..., Watcher], tmp_path: Path) -> None:
    original = tmp_path.parent / f"{tmp_path.name}.tif"
    tifffile.imwrite(original, PIXELS)
    watcher = start(settle_s=2.0)
    shutil.copyfile(original, tmp_path / "copy.tif")
    time.sleep(0.9)  # the system's events are told half a second late
    shutil.copystat(original, tmp_path / "copy.tif")
    watcher.wait_for("copy.tif")
    assert [file.mtime_ns for file in watcher.seen] == [original.stat().st_mtime_ns]


def test_a_changed_file_is_a_new_version(start: Callable[..., Watcher], tmp_path: Path) -> None:
    data = image_bytes(tmp_path)
    watcher = start()
    (tmp_path / "a.tif").write_bytes(data)
    watcher.wait_for("a.tif")
    (tmp_path / "a.tif").write_bytes(data + b"more")
    deadline = time.monotonic() + 10
    while len(watcher.seen) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert [file.size_bytes for file in watcher.seen] == [len(data), len(data) + 4]


def test_a_folder_that_is_moved_in_is_found(start: Callable[..., Watcher], tmp_path: Path) -> None:
    data = image_bytes(tmp_path)
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    outside.mkdir()
    (outside / "a.tif").write_bytes(data)
    watcher = start()
    time.sleep(0.2)
    outside.rename(tmp_path / "plate8")
    watcher.wait_for("plate8/a.tif")


def test_once_ends_with_what_is_whole_and_tells_what_is_not(tmp_path: Path) -> None:
    data = image_bytes(tmp_path)
    (tmp_path / "whole.tif").write_bytes(data)
    (tmp_path / "half.tif").write_bytes(data[:-10])
    seen: list[ImageFile] = []
    unfinished = watch(tmp_path, seen.extend, settle_s=0.2, poll_s=0.05, once=True)
    assert [file.source_id for file in seen] == ["whole.tif"]
    assert [entry.file.source_id for entry in unfinished] == ["half.tif"]
    assert "end at byte" in unfinished[0].lacks


def test_what_was_submitted_before_is_not_even_opened(tmp_path: Path) -> None:
    (tmp_path / "known.tif").write_bytes(image_bytes(tmp_path)[:-10])
    assert watch(tmp_path, pytest.fail, settle_s=0, poll_s=0.05, once=True, already=lambda _file: True) == []


def test_the_selection_counts_for_events_too(start: Callable[..., Watcher], tmp_path: Path) -> None:
    data = image_bytes(tmp_path)
    watcher = start(selection=Selection("*_DAPI.tif", recursive=False))
    time.sleep(0.2)
    (tmp_path / "A01").mkdir()
    for name in ("a_GFP.tif", "A01/a_DAPI.tif", "a_DAPI.tif"):
        (tmp_path / name).write_bytes(data)
    watcher.wait_for("a_DAPI.tif")
    time.sleep(0.5)
    assert len(watcher.seen) == 1


def test_an_error_of_the_receiver_ends_the_watch(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(image_bytes(tmp_path))

    def refuse(_files: list[ImageFile]) -> None:
        raise ConnectionError("gone")

    threads = threading.active_count()
    with pytest.raises(ConnectionError):
        watch(tmp_path, refuse, settle_s=0, poll_s=0.05)
    assert threading.active_count() == threads


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with FolderWatch(tmp_path / "gone") as folder, pytest.raises(FileNotFoundError):
        folder.look()
