"""The landing area."""

import hashlib
import io
import os
import time
import tracemalloc
from pathlib import Path

import pytest

from haste_core.errors import InvalidError
from haste_server.gateway.landing import CHUNK_BYTES, FolderLandingArea, suffix_of

NOTHING = hashlib.sha256(b"").hexdigest()


@pytest.fixture
def area(tmp_path: Path) -> FolderLandingArea:
    return FolderLandingArea(tmp_path / "landing", site="lab1")


def files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


class Zeros(io.RawIOBase):
    """Many bytes that take no memory."""

    def __init__(self, size_bytes: int) -> None:
        self._left = size_bytes

    def read(self, size: int = -1) -> bytes:
        assert size > 0
        piece = bytes(min(size, self._left))
        self._left -= len(piece)
        return piece


class BreakingOff(Zeros):
    """A connection that is reset in the middle."""

    def read(self, size: int = -1) -> bytes:
        piece = super().read(size)
        if not piece:
            raise ConnectionResetError("gone")
        return piece


def sha256_of_zeros(size_bytes: int) -> str:
    digest = hashlib.sha256()
    for _ in range(size_bytes // CHUNK_BYTES):
        digest.update(bytes(CHUNK_BYTES))
    return digest.hexdigest()


def test_memory_does_not_grow_with_the_file(area: FolderLandingArea) -> None:
    size_bytes = 64 * CHUNK_BYTES
    sha256 = sha256_of_zeros(size_bytes)
    tracemalloc.start()
    try:
        place, is_new = area.receive(Zeros(size_bytes), stream_id="s", name="a.tif", sha256=sha256)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert is_new
    assert place.size_bytes == size_bytes
    assert peak_bytes < 8 * CHUNK_BYTES


def test_a_connection_that_breaks_leaves_nothing(area: FolderLandingArea) -> None:
    body = BreakingOff(3 * CHUNK_BYTES)

    with pytest.raises(ConnectionResetError):
        area.receive(body, stream_id="s", name="a.tif", sha256=sha256_of_zeros(4 * CHUNK_BYTES))

    assert files_below(area.folder) == []


def test_other_content_leaves_nothing_and_says_how_much_arrived(area: FolderLandingArea) -> None:
    with pytest.raises(InvalidError, match="the 5 bytes that arrived"):
        area.receive(io.BytesIO(b"hello"), stream_id="s", name="a.tif", sha256="0" * 64)

    assert files_below(area.folder) == []


def test_other_content_is_refused_also_where_the_right_one_is(area: FolderLandingArea) -> None:
    area.receive(io.BytesIO(b""), stream_id="s", name="a", sha256=NOTHING)

    with pytest.raises(InvalidError):
        area.receive(io.BytesIO(b"hello"), stream_id="s", name="a", sha256=NOTHING)


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
    for _ in range(2):
        synced.clear()
        area.receive(io.BytesIO(b""), stream_id="s", name="a.tif", sha256=NOTHING)
        assert {area.folder, area.folder / "s", area.folder / "s" / NOTHING[:2]} <= synced


def test_what_uploads_left_long_ago_is_cleared_away(area: FolderLandingArea) -> None:
    area.prepare()
    old, fresh = (area.folder / ".incoming" / name for name in ("old", "fresh"))
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

    place, _ = area.receive(io.BytesIO(b""), stream_id="s", name=name, sha256=NOTHING)

    assert place.url == f"root://landing/s/{NOTHING[:2]}/{NOTHING}{suffix}"
    assert files_below(area.folder) == [area.folder / "s" / NOTHING[:2] / f"{NOTHING}{suffix}"]
