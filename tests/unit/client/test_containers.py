"""Folders of OME-Zarr are images: found, waited for, and submitted as one."""

import os
from pathlib import Path

import pytest

from haste_client.completeness import missing_part
from haste_client.directory import ImageFile, Selection, look_at, scan
from haste_client.watching import watch

CHUNK = b"pixels"


def write_container(path: Path, *names: str) -> Path:
    for name in (".zattrs", "0/.zarray", "0/0/0", *names):
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(CHUNK)
    return path


def found(folder: Path, pattern: str | None = None, *, recursive: bool = True) -> list[str]:
    return [file.source_id for file in scan(folder, Selection(pattern, recursive)).files]


def test_a_container_is_one_image(tmp_path: Path) -> None:
    write_container(tmp_path / "a.zarr", "label.tif")
    write_container(tmp_path / "sub/b.ome.zarr", "inner.zarr/.zattrs")
    (tmp_path / "c.tif").write_bytes(CHUNK)
    assert found(tmp_path) == ["a.zarr", "c.tif", "sub/b.ome.zarr"]
    assert found(tmp_path, recursive=False) == ["a.zarr", "c.tif"]
    assert found(tmp_path, "*.tif") == ["c.tif"]
    assert found(tmp_path, "a*") == ["a.zarr"]
    assert scan(tmp_path).unreadable == ()


def test_its_version_is_that_of_all_it_holds(tmp_path: Path) -> None:
    path = write_container(tmp_path / "a.zarr")
    for each in (path, *path.rglob("*")):
        os.utime(each, ns=(10**18, 10**18))
    (image,) = scan(tmp_path).files
    assert (image.path, image.size_bytes, image.mtime_ns) == (path.resolve(), 3 * len(CHUNK), 10**18)
    assert look_at(tmp_path.resolve(), "a.zarr") == image
    os.utime(path / "0/0/0", ns=(10**18, 10**18 + 1000))
    (changed,) = scan(tmp_path).files
    assert changed.version != image.version


def test_a_link_to_a_container_is_not_followed(tmp_path: Path) -> None:
    write_container(tmp_path / "elsewhere/a.zarr")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "b.zarr").symlink_to(tmp_path / "elsewhere/a.zarr")
    assert found(folder) == []
    assert look_at(folder, "b.zarr") is None
    assert "link" in scan(folder).unreadable[0].what


@pytest.mark.parametrize(
    ("name", "lacks"), [(".zattrs", None), ("0/0/1.7f.partial", "1.7f.partial"), ("0/0/1", None)]
)
def test_what_is_half_written(tmp_path: Path, name: str, lacks: str | None) -> None:
    said = missing_part(write_container(tmp_path / "a.zarr", name))
    assert said is lacks is None or (said and lacks and lacks in said)


def test_a_folder_without_metadata_is_not_complete(tmp_path: Path) -> None:
    (tmp_path / "a.zarr/0").mkdir(parents=True)
    assert "zarr.json" in str(missing_part(tmp_path / "a.zarr"))


def test_a_watch_waits_for_the_last_chunk(tmp_path: Path) -> None:
    path = write_container(tmp_path / "a.zarr")
    reported: list[ImageFile] = []
    chunks = iter(range(1, 6))

    def write_on(_watch: object) -> None:
        number = next(chunks, None)
        if number:
            (path / f"0/0/{number}").write_bytes(CHUNK)

    watch(tmp_path, reported.extend, settle_s=0.2, poll_s=0.05, once=True, on_look=write_on)
    assert [(file.source_id, file.size_bytes) for file in reported] == [("a.zarr", 8 * len(CHUNK))]
