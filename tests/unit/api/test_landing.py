"""The landing area."""

import hashlib
import os
import time
from pathlib import Path

import pytest

from haste_core.messages import Place
from haste_server.gateway.landing import FolderLandingArea, suffix_of

NOTHING = hashlib.sha256(b"").hexdigest()


@pytest.fixture
def area(tmp_path: Path) -> FolderLandingArea:
    return FolderLandingArea(tmp_path / "landing", site="lab1")


def files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def put(area: FolderLandingArea, name: str, content: bytes = b"") -> Place:
    sha256 = hashlib.sha256(content).hexdigest()
    place = area.place_of(stream_id="s", name=name, sha256=sha256, size_bytes=len(content))
    part = area.folder / ".uploads" / "part"
    part.parent.mkdir(parents=True, exist_ok=True)
    part.write_bytes(content)
    area.adopt(part, place)
    return place


def test_a_file_is_there_once_whoever_brings_it(area: FolderLandingArea) -> None:
    first = put(area, "a.tif", b"pixels")
    (path,) = files_below(area.folder)
    before = path.stat()

    assert put(area, "b.tif", b"pixels") == first

    assert files_below(area.folder) == [path]
    assert path.stat().st_ino == before.st_ino  # not written again, only marked as used
    assert area.holds(first)
    path.unlink()
    assert not area.holds(first)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_folders_are_on_disk_before_the_answer_also_of_a_file_that_was_there(
    area: FolderLandingArea, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: set[Path] = set()
    fsync = os.fsync

    def recorded(descriptor: int) -> None:
        synced.add(Path(f"/proc/self/fd/{descriptor}").readlink())
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", recorded)
    for bring in (put, put, lambda *_: area.holds(put(area, "a.tif"))):
        synced.clear()
        bring(area, "a.tif")
        assert {area.folder, area.folder / "s", area.folder / "s" / NOTHING[:2]} <= synced


def test_what_was_left_long_ago_is_cleared_away(area: FolderLandingArea) -> None:
    area.prepare()
    old, fresh = (area.folder / ".outgoing" / name for name in ("old", "fresh"))
    for path in (old, fresh):
        path.write_bytes(b"half an image")
    an_age_ago = time.time() - 24 * 3600
    os.utime(old, (an_age_ago, an_age_ago))

    area.prepare()

    assert files_below(area.folder) == [fresh]


@pytest.mark.parametrize(
    ("name", "suffix"),
    [
        ("a.tif", ".tif"),
        ("A01.OME.TIFF", ".tiff"),
        ("a", ""),
        (".hidden", ".hidden"),
        ("a.", ""),
        ("a.t/../../../etc/passwd", ""),
        ("a.tif/..", ""),
        ("a.tif\n", ""),
        ("a.tif\x00", ""),
        ("a.ti f", ""),
        ("a.é", ""),
        ("a.averylongsuffix", ""),
        ("a.tif;rm", ""),
    ],
)
def test_only_plain_suffixes_are_kept(area: FolderLandingArea, name: str, suffix: str) -> None:
    assert suffix_of(name) == suffix

    place = put(area, name)

    assert place.url == f"root://landing/s/{NOTHING[:2]}/{NOTHING}{suffix}"
    assert files_below(area.folder) == [area.folder / "s" / NOTHING[:2] / f"{NOTHING}{suffix}"]
