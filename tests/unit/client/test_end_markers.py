"""Files that say that an image, or a folder, is finished."""

import os
import threading
import time
from pathlib import Path

import pytest

from haste_client.directory import ImageFile, Selection, look_at, scan
from haste_client.end_markers import EndMarkers
from haste_client.settling import Settling
from haste_client.watching import FolderWatch, watch
from tests.unit.client.test_watching import image_bytes

ALL = EndMarkers(("{name}.done", "{stem}.ok", "acquisition.done"))
NOW_NS = 1_700_000_000 * 10**9


def made(folder: Path, name: str, *, age_s: float = 0.0) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"pixels")
    time_ns = NOW_NS - int(age_s * 1e9)
    os.utime(path, ns=(time_ns, time_ns))
    return path


def ended_in(folder: Path, markers: EndMarkers = ALL, **options: object) -> set[str]:
    """Name the images that are ended, as a scan sees them and as a second look at each one does."""
    root = folder.resolve()
    files = scan(folder, Selection(end_markers=markers, **options)).files  # type: ignore[arg-type]
    looks = [look_at(root, file.source_id, end_markers=markers) for file in files]
    assert list(files) == looks
    return {file.source_id for file in files if file.ended}


def test_a_marker_names_its_image(tmp_path: Path) -> None:
    for name in ("a.tif", "b.tif", "c.tif", "sub/a.tif"):
        made(tmp_path, name, age_s=5)
    made(tmp_path, "a.tif.done")
    made(tmp_path, "b.ok")
    made(tmp_path, "c.tif.ok")
    assert ended_in(tmp_path) == {"a.tif", "b.tif"}
    assert ended_in(tmp_path, EndMarkers()) == set()


def test_a_marker_of_a_folder_names_all_below_it(tmp_path: Path) -> None:
    for name in ("a.tif", "day1/a.tif", "day1/well/b.tif", "day2/a.tif"):
        made(tmp_path, name, age_s=5)
    made(tmp_path, "day1/acquisition.done")
    assert ended_in(tmp_path) == {"day1/a.tif", "day1/well/b.tif"}
    made(tmp_path, "acquisition.done")
    assert ended_in(tmp_path) == {"a.tif", "day1/a.tif", "day1/well/b.tif", "day2/a.tif"}


def test_a_marker_that_is_older_than_its_image_says_nothing(tmp_path: Path) -> None:
    made(tmp_path, "acquisition.done", age_s=60)
    made(tmp_path, "earlier.tif", age_s=61)
    made(tmp_path, "later.tif", age_s=59)
    made(tmp_path, "same.tif", age_s=60)
    made(tmp_path, "described.tif", age_s=61)
    made(tmp_path, "described.xml", age_s=59)
    assert ended_in(tmp_path) == {"earlier.tif", "same.tif"}


def test_a_folder_of_zarr_has_markers_beside_it(tmp_path: Path) -> None:
    made(tmp_path, "a.zarr/zarr.json", age_s=5)
    os.utime(tmp_path / "a.zarr", ns=(NOW_NS, NOW_NS))
    assert ended_in(tmp_path) == set()
    made(tmp_path, "a.zarr.done")
    assert ended_in(tmp_path) == {"a.zarr"}


def test_markers_are_no_images(tmp_path: Path) -> None:
    for name in ("a.dat", "a.dat.done", "acquisition.done"):
        made(tmp_path, name)
    assert ended_in(tmp_path, pattern="*") == {"a.dat"}
    made(tmp_path, "b.tif")
    selection = Selection(end_markers=EndMarkers(("{stem}.tif",)))
    assert [file.source_id for file in scan(tmp_path, selection).files if not file.ended] == ["b.tif"]


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "{name}",
        "{stem}",
        "{suffix}.done",
        "{name}{stem}",
        "sub/{name}.done",
        "..",
        "a\\b",
        "{name",
        " .x",
    ],
)
def test_what_names_no_file_beside_an_image_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"braces|beside the images"):
        EndMarkers((pattern,))


def test_names_with_braces_of_their_own(tmp_path: Path) -> None:
    made(tmp_path, "{stem}.tif", age_s=5)
    made(tmp_path, "{stem}.tif.done")
    assert ended_in(tmp_path) == {"{stem}.tif"}
    assert list(ALL.images_of("{stem}.tif.done", (".tif",))) == ["{stem}.tif"]


def image(*, ended: bool) -> ImageFile:
    return ImageFile(Path("/plate/a.tif"), "a.tif", 10, 1000, ended=ended)


def test_what_is_ended_need_not_rest() -> None:
    settling = Settling(60.0, examine=lambda _path: None)
    settling.saw(image(ended=False), 100.0)
    assert settling.complete(100.0, at_most=9) == []
    settling.saw(image(ended=True), 100.5)
    assert settling.complete(100.5, at_most=9) == [image(ended=True)]
    settling.saw(image(ended=False), 101.0)
    assert settling.complete(200.0, at_most=9) == []


def test_what_is_ended_is_looked_into_all_the_same() -> None:
    settling = Settling(60.0, examine=lambda _path: "its first page has not been written yet")
    settling.saw(image(ended=True), 100.0)
    assert settling.complete(100.0, at_most=9) == []
    assert [entry.lacks for entry in settling.unfinished(100.0)] == [
        "its first page has not been written yet"
    ]


def test_a_file_that_was_locked_is_opened_again_at_its_marker() -> None:
    locked = [True]

    def examine(_path: Path) -> None:
        if locked[0]:
            raise PermissionError(13, "Permission denied")

    settling = Settling(0.0, examine=examine)
    for now_s in (100.0, 110.0, 120.0, 140.0):  # it is opened ever more rarely
        settling.saw(image(ended=False), now_s)
        assert settling.complete(now_s, at_most=9) == []
    locked[0] = False
    settling.saw(image(ended=False), 140.1)
    assert settling.complete(140.1, at_most=9) == []
    settling.saw(image(ended=True), 140.2)
    assert settling.complete(140.2, at_most=9) == [image(ended=True)]


@pytest.mark.parametrize("marker", ["a.tif.done", "a.ok", "acquisition.done"])
def test_a_watch_reports_at_the_marker(tmp_path: Path, marker: str) -> None:
    data, seen, stop = image_bytes(tmp_path), list[ImageFile](), threading.Event()
    options = {"selection": Selection(end_markers=ALL), "settle_s": 3600.0, "poll_s": 60.0, "stop": stop}
    (tmp_path / "a.tif").write_bytes(data)
    (tmp_path / "b.tif").write_bytes(data[:-9])
    (tmp_path / "b.tif.done").touch()
    looked = threading.Event()

    def on_look(folder: FolderWatch) -> None:
        if not folder.events_trouble:
            looked.set()

    thread = threading.Thread(
        target=watch, args=(tmp_path, seen.extend), kwargs={**options, "on_look": on_look}
    )
    thread.start()
    assert looked.wait(10)
    assert seen == []
    (tmp_path / marker).touch()
    deadline = time.monotonic() + 10
    while not seen and time.monotonic() < deadline:
        time.sleep(0.02)
    stop.set()
    (tmp_path / "c.tif").touch()  # wakes it
    thread.join()
    assert [file.source_id for file in seen] == ["a.tif"]
