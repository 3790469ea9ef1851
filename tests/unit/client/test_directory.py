import os
import sys
from pathlib import Path

import pytest

from haste_client.directory import ImageFile, Selection, look_at, scan, stream_id_for


def make(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"pixels")


def names_in(folder: Path, selection: Selection | None = None) -> list[str]:
    return [file.source_id for file in scan(folder, selection).files]


def test_images_are_found_in_any_case_and_sub_folder_in_natural_order(tmp_path: Path) -> None:
    make(tmp_path, "A01/site10.TIF", "A01/site2.tif", "a.png", "b.JPEG", "c.jpg", "d.tiff", "truth.csv", "e")
    assert names_in(tmp_path) == ["A01/site2.tif", "A01/site10.TIF", "a.png", "b.JPEG", "c.jpg", "d.tiff"]


def test_images_of_other_microscopes_are_found(tmp_path: Path) -> None:
    make(tmp_path, "a.czi", "b.nd2", "c.LIF", "d.mrc", "e.dm4", "f.stk", "d.mrc.mdoc", "g.xml")
    assert names_in(tmp_path) == ["a.czi", "b.nd2", "c.LIF", "d.mrc", "e.dm4", "f.stk"]


def test_unfinished_hidden_and_foreign_files_are_left_out(tmp_path: Path) -> None:
    make(tmp_path, "a.tif.tmp", "b.tif.part", "c.tif~", "~d.tif", "._e.tif", ".trash/f.tif", "@eaDir/g.tif")
    make(tmp_path, "ok.tif")
    assert names_in(tmp_path) == ["ok.tif"]


def test_a_pattern_is_matched_with_the_name_or_with_the_path(tmp_path: Path) -> None:
    make(tmp_path, "A01/x_DAPI.tif", "A02/x_DAPI.tif", "A02/x_GFP.tif", "A02/y.dat")
    assert names_in(tmp_path, Selection("*_DAPI.tif")) == ["A01/x_DAPI.tif", "A02/x_DAPI.tif"]
    assert names_in(tmp_path, Selection("A02/*.tif")) == ["A02/x_DAPI.tif", "A02/x_GFP.tif"]
    assert names_in(tmp_path, Selection("*.dat")) == ["A02/y.dat"]


def test_sub_folders_are_left_alone_if_asked(tmp_path: Path) -> None:
    make(tmp_path, "a.tif", "A01/b.tif")
    assert names_in(tmp_path, Selection(recursive=False)) == ["a.tif"]


def test_the_version_follows_size_and_time_of_change(tmp_path: Path) -> None:
    make(tmp_path, "a.tif")
    path = tmp_path / "a.tif"
    os.utime(path, ns=(1, 1_700_000_000_123_456_700))
    first = scan(tmp_path).files[0]
    assert first.version == "6-1700000000123456700"
    os.utime(path, ns=(1, 1_700_000_000_123_456_800))
    assert scan(tmp_path).files[0].version != first.version
    assert look_at(tmp_path, "a.tif") == scan(tmp_path).files[0]


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")
def test_links_out_of_the_folder_are_reported_and_not_followed(tmp_path: Path) -> None:
    outside, folder = tmp_path / "outside", tmp_path / "plate"
    make(outside, "secret.tif")
    make(folder, "inside.tif")
    (folder / "link.tif").symlink_to(outside / "secret.tif")
    (folder / "folder").symlink_to(outside)
    (folder / "alias.tif").symlink_to(folder / "inside.tif")
    (folder / "broken.tif").symlink_to(folder / "nowhere.tif")
    (folder / "endless.tif").symlink_to(folder / "endless.tif")
    found = scan(folder)
    assert [file.source_id for file in found.files] == ["alias.tif", "inside.tif"]
    assert {problem.where for problem in found.unreadable} == {
        "link.tif",
        "folder",
        "broken.tif",
        "endless.tif",
    }
    assert look_at(folder.resolve(), "endless.tif") is None
    assert look_at(folder.resolve(), "link.tif") is None


def test_folders_that_are_named_like_images_are_reported_unless_they_hold_some(tmp_path: Path) -> None:
    (tmp_path / "empty.tif").mkdir()
    make(tmp_path, "bundle.tif/a.tif", "notes/readme.txt", ".hidden.tif/a.tif")
    found = scan(tmp_path)
    assert [file.source_id for file in found.files] == ["bundle.tif/a.tif"]
    assert [problem.where for problem in found.unreadable] == ["empty.tif"]
    assert "folder" in found.unreadable[0].what
    flat = scan(tmp_path, Selection(recursive=False))
    assert {problem.where for problem in flat.unreadable} == {"empty.tif", "bundle.tif"}
    assert scan(tmp_path, Selection("*.txt")).unreadable == ()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no named pipes in folders")
def test_what_is_no_regular_file_is_reported(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.tif")
    (problem,) = scan(tmp_path).unreadable
    assert (problem.where, problem.what) == ("pipe.tif", "this is no regular file")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has names that are no Unicode")
def test_names_that_the_server_cannot_keep_are_reported(tmp_path: Path) -> None:
    (Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.tif"))).write_bytes(b"pixels")
    make(tmp_path, " lead.tif", "good.tif")
    found = scan(tmp_path)
    assert [file.source_id for file in found.files] == ["good.tif"]
    assert len(found.unreadable) == 2
    for problem in found.unreadable:
        problem.where.encode()


def test_a_missing_folder_is_the_callers_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        scan(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("name", "stream_id"),
    [("plate7", "plate7"), ("Plate 7 (new)", "Plate-7-new"), ("..", "stream"), ("µ", "stream"), ("_x", "x")],
)
def test_a_folder_gives_its_stream_a_valid_name(name: str, stream_id: str) -> None:
    assert stream_id_for(Path("/data") / name) == stream_id


def test_a_file_that_is_gone_is_none(tmp_path: Path) -> None:
    assert look_at(tmp_path, "a.tif") is None
    (tmp_path / "b.tif").mkdir()
    assert look_at(tmp_path, "b.tif") is None


def test_versions_of_equal_files_are_equal() -> None:
    assert ImageFile(Path("/a"), "a", 5, 7) == ImageFile(Path("/a"), "a", 5, 7)
