"""Files that appear whole, once, and stay after a power cut."""

import contextlib
import errno
import hashlib
import os
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from haste_core.errors import BadInputError, TransientError
from haste_core.routing import path_from_file_url
from haste_workers.durable import publish, sha256_of, size_of, sync_folders
from haste_workers.tiers.posix import PosixTierStorage


@pytest.fixture
def no_hard_links(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse hard links as FAT and some SMB shares do."""

    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Path]]:
    """Record the folders that are flushed to disk."""
    folders: list[Path] = []
    fsync = os.fsync

    def recorded(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            folders.append(Path(f"/proc/self/fd/{descriptor}").readlink())
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", recorded)
    return folders


@pytest.fixture
def damaging_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Change each file a little as it is flushed."""
    fsync = os.fsync

    def damage(descriptor: int) -> None:
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.pwrite(descriptor, b"?", 0)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", damage)


@pytest.mark.usefixtures("damaging_disk")
@pytest.mark.parametrize("expected", [None, hashlib.sha256(b"pixels").hexdigest()], ids=["new", "scored"])
def test_copy_that_the_disk_has_damaged_is_not_kept(tmp_path: Path, expected: str | None) -> None:
    root, source = tmp_path / "tierA", tmp_path / "a.tif"
    source.write_bytes(b"pixels")
    with pytest.raises(TransientError, match="may be failing"):
        PosixTierStorage(root, may_make=True).put(source, stream_id="s", source_id="a.tif", sha256=expected)
    assert [path for path in root.rglob("*") if path.is_file()] == []


@pytest.mark.usefixtures("no_hard_links")
class TestWithoutHardLinks:
    def test_file_gets_its_name_and_nothing_else_stays(self, tmp_path: Path) -> None:
        temporary, target = tmp_path / "staging" / "1.part", tmp_path / "s" / "a.tif"
        temporary.parent.mkdir()
        temporary.write_bytes(b"pixels")
        publish(temporary, target)
        assert target.read_bytes() == b"pixels"
        assert list(temporary.parent.iterdir()) == []

    def test_name_that_is_taken_stays_as_it_is(self, tmp_path: Path) -> None:
        temporary, target = tmp_path / "1.part", tmp_path / "a.tif"
        temporary.write_bytes(b"new")
        target.symlink_to(tmp_path / "gone")  # taken too, though it leads nowhere
        with pytest.raises(FileExistsError):
            publish(temporary, target)
        assert temporary.read_bytes() == b"new"
        assert target.is_symlink()
        assert sorted(path.name for path in tmp_path.iterdir()) == ["1.part", "a.tif"]

    def test_of_two_that_publish_at_once_one_is_refused(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        both_move = threading.Barrier(2)
        rename = Path.rename

        def rename_together(self: Path, target: Path) -> Path:
            # The worst moment: both have looked and found the name free. One alone waits in vain.
            with contextlib.suppress(threading.BrokenBarrierError):
                both_move.wait(0.3)
            return rename(self, target)

        monkeypatch.setattr(Path, "rename", rename_together)
        target = tmp_path / "a.tif"
        parts = [tmp_path / "0.part", tmp_path / "1.part"]
        for part in parts:
            part.write_bytes(part.name.encode())
        with ThreadPoolExecutor(2) as pool:
            errors = [future.exception() for future in [pool.submit(publish, part, target) for part in parts]]
        (refused,) = [part for part, error in zip(parts, errors, strict=True) if error is not None]
        assert isinstance(errors[parts.index(refused)], FileExistsError)
        assert refused.read_bytes() == refused.name.encode()
        assert target.read_bytes() != refused.name.encode()

    def test_killed_worker_blocks_a_name_for_a_day_and_costs_no_content(self, tmp_path: Path) -> None:
        root, source = tmp_path / "tierA", tmp_path / "a.tif"
        source.write_bytes(b"pixels")
        program = (
            "import os; from pathlib import Path; from haste_workers.tiers.posix import PosixTierStorage\n"
            "def refuse(*_): raise OSError(1, 'no links here')\n"
            "os.link = refuse; Path.rename = lambda *_: os.kill(os.getpid(), 9)\n"
            f"tier = PosixTierStorage(Path({str(root)!r}), may_make=True)\n"
            f"tier.put(Path({str(source)!r}), stream_id='s', source_id='a.tif')"
        )
        assert subprocess.run([sys.executable, "-c", program], check=False).returncode == -9
        tier = PosixTierStorage(root, may_make=True)
        beside = tier.put(source, stream_id="s", source_id="a.tif")
        assert Path(path_from_file_url(beside.url)).read_bytes() == b"pixels"
        assert not (root / "s" / "a.tif").exists()
        for part in (root / ".haste-incoming").iterdir():
            os.utime(part, (time.time() - 100_000,) * 2)
        assert tier.put(source, stream_id="s", source_id="a.tif").url == (root / "s" / "a.tif").as_uri()
        assert list((root / ".haste-incoming").iterdir()) == []


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
class TestFolders:
    def test_all_folders_up_to_the_given_one_are_synced(self, tmp_path: Path, synced: list[Path]) -> None:
        folder = tmp_path / "a" / "b"
        folder.mkdir(parents=True)
        sync_folders(folder, up_to=tmp_path)
        assert synced == [folder, tmp_path / "a", tmp_path]

    def test_file_that_an_attempt_before_left_is_synced_before_it_counts(
        self, tmp_path: Path, synced: list[Path]
    ) -> None:
        root, source = tmp_path / "tierA", tmp_path / "a.tif"
        source.write_bytes(b"pixels")
        # As an attempt leaves it that was killed before it had synced the folders.
        (root / "s" / "plate7").mkdir(parents=True)
        (root / "s" / "plate7" / "a.tif").write_bytes(b"pixels")
        PosixTierStorage(root, may_make=True).put(source, stream_id="s", source_id="plate7/a.tif")
        assert {root, root / "s", root / "s" / "plate7"} <= set(synced)


class TestContainers:
    @pytest.fixture
    def container(self, tmp_path: Path) -> Path:
        folder = tmp_path / "a.zarr"
        contents = {"zarr.json": b"{}", "0/c/10": b"ten", "0/c/9": b"nine", "0.x": b"", "é/ü": b"umlaut"}
        for name, content in contents.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        return folder

    def test_its_hash_is_that_of_the_list_of_its_files(self, container: Path) -> None:
        command = "find . -type f -printf '%P\\0' | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum"
        printed = subprocess.run(
            ["bash", "-c", command], cwd=container, capture_output=True, text=True, check=True
        ).stdout
        assert sha256_of(container) == printed.split()[0]
        assert size_of(container) == 2 + 3 + 4 + 0 + 6

    def test_it_changes_with_a_name_or_a_byte_and_with_nothing_else(self, container: Path) -> None:
        before = sha256_of(container)
        (container / "0" / "c" / "9").touch()
        (container / "empty").mkdir()
        assert sha256_of(container) == before
        (container / "0" / "c" / "9").rename(container / "0" / "c" / "8")
        renamed = sha256_of(container)
        (container / "0" / "c" / "8").write_bytes(b"nina")
        assert len({before, renamed, sha256_of(container)}) == 3

    @pytest.mark.parametrize("target", [".", "/etc/hostname", "gone"])
    def test_a_link_is_refused(self, container: Path, target: str) -> None:
        (container / "0" / "link").symlink_to(target)
        for measure in (sha256_of, size_of):
            with pytest.raises(BadInputError, match="holds 0/link, a link"):
                measure(container)
