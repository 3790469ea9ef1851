import os
from pathlib import Path

from haste_client.directory import ImageFile, scan
from haste_client.versions import SourceVersions, origin_in
from haste_core.routing import Roots


def twin(folder: Path) -> ImageFile:
    """Write a file that looks the same in every folder."""
    folder.mkdir(parents=True)
    (folder / "A01.tif").write_bytes(b"pixels")
    os.utime(folder / "A01.tif", ns=(1, 1_700_000_000_000_000_000))
    (file,) = scan(folder).files
    return file


def test_twins_in_two_folders_are_two_versions(tmp_path: Path) -> None:
    first, second = twin(tmp_path / "exp1/images"), twin(tmp_path / "exp2/images")
    assert (first.source_id, first.version) == (second.source_id, second.version)
    versions = SourceVersions(Roots.parse({"nas": str(tmp_path)}))
    assert versions.of(first) != versions.of(second)
    assert versions.of(first).startswith(first.version)
    assert versions.of(first) == versions.of(first)


def test_computers_that_mount_a_root_elsewhere_agree(tmp_path: Path) -> None:
    here, there = twin(tmp_path / "mnt/plate7"), twin(tmp_path / "media/plate7")
    on_one = SourceVersions(Roots.parse({"nas": str(tmp_path / "mnt")}))
    on_another = SourceVersions(Roots.parse({"nas": str(tmp_path / "media")}))
    assert on_one.of(here) == on_another.of(there)


def test_the_origin_is_read_back_from_versions_of_files_only(tmp_path: Path) -> None:
    file = twin(tmp_path / "plate")
    versions = SourceVersions(Roots.parse({}))
    assert origin_in(versions.of(file)) == versions.origin(file)
    for other in (None, "", "5-7", "a checksum", "5-7-0123456789"):
        assert origin_in(other) is None
