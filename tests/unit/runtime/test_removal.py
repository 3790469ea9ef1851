"""Files that are removed while others are about to use them again."""

import os
from pathlib import Path

import pytest

from haste_runtime.removal import mark_used, remove_unused

LONG_AGO = 1_000_000_000.0
SINCE = LONG_AGO + 10


@pytest.fixture
def old_file(tmp_path: Path) -> Path:
    path = tmp_path / "old.tif"
    path.write_bytes(b"pixels")
    os.utime(path, (LONG_AGO, LONG_AGO))
    return path


def test_an_old_file_is_removed(old_file: Path, tmp_path: Path) -> None:
    assert remove_unused(old_file, since=SINCE, aside=tmp_path / "aside")
    assert list(tmp_path.iterdir()) == []


def test_a_marked_file_stays(old_file: Path, tmp_path: Path) -> None:
    assert mark_used(old_file)
    assert not remove_unused(old_file, since=SINCE, aside=tmp_path / "aside")
    assert list(tmp_path.iterdir()) == [old_file]


def test_a_mark_that_comes_between_the_two_looks_brings_the_file_back(
    old_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = Path.rename

    def rename_and_be_marked(path: Path, target: Path) -> Path:
        moved = rename(path, target)
        os.utime(moved)
        return moved

    monkeypatch.setattr(Path, "rename", rename_and_be_marked)
    assert not remove_unused(old_file, since=SINCE, aside=tmp_path / "aside")
    assert list(tmp_path.iterdir()) == [old_file]


def test_a_mark_on_a_file_that_is_removed_in_this_moment_is_none(
    old_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    utime = os.utime

    def utime_of_what_is_gone_meanwhile(path: Path) -> None:
        with path.open() as found:  # as the system does, which looks a name up before it marks
            assert remove_unused(path, since=SINCE, aside=tmp_path / "aside")
            utime(found.fileno())

    monkeypatch.setattr(os, "utime", utime_of_what_is_gone_meanwhile)
    assert not mark_used(old_file)


def test_what_is_not_there_is_neither_marked_nor_removed(tmp_path: Path) -> None:
    missing = tmp_path / "missing.tif"
    assert not mark_used(missing)
    assert not remove_unused(missing, since=SINCE, aside=tmp_path / "aside")
