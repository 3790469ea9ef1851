"""What a tier in a folder does beside the contract of all tiers: times, rights, links."""

import errno
import os
import stat
from pathlib import Path

import pytest

from haste_core.errors import PermanentError, TransientError
from haste_core.routing import path_from_file_url
from haste_runtime.tiers import PosixTier
from haste_workers.tiers import posix
from haste_workers.tiers.by_name import open_tier
from haste_workers.tiers.posix import PosixTierStorage


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "tierA"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source.tif"
    path.write_bytes(os.urandom(100_000))
    return path


def rights(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


class TestTimesAndRights:
    def test_time_of_the_source_is_kept(self, root: Path, source: Path) -> None:
        os.utime(source, ns=(1_600_000_000_123_456_789, 1_500_000_000_123_456_789))
        PosixTierStorage(root, may_make=True).put(source, stream_id="s", source_id="a.tif")
        assert (root / "s" / "a.tif").stat().st_mtime_ns == 1_500_000_000_123_456_789

    def test_where_times_cannot_be_set_the_object_is_kept_all_the_same(
        self, root: Path, source: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*_: object, **__: object) -> None:
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

        monkeypatch.setattr(os, "utime", refuse)
        PosixTierStorage(root, may_make=True).put(source, stream_id="s", source_id="a.tif")
        assert (root / "s" / "a.tif").read_bytes() == source.read_bytes()

    @pytest.mark.parametrize(("mode", "of_folders"), [(0o640, 0o750), (0o600, 0o700), (0o444, 0o755)])
    def test_mode_is_that_of_files_and_folders_let_in_who_may_read(
        self, root: Path, source: Path, mode: int, of_folders: int
    ) -> None:
        PosixTierStorage(root, may_make=True, mode=mode).put(source, stream_id="s", source_id="A01/a.tif")
        assert rights(root / "s" / "A01" / "a.tif") == mode
        assert {rights(folder) for folder in (root, root / "s", root / "s" / "A01")} == {of_folders}
        assert rights(root.parent) == 0o777 & ~_umask()

    def test_folders_that_were_there_keep_their_rights(self, root: Path, source: Path) -> None:
        root.mkdir(parents=True)
        root.chmod(0o711)
        PosixTierStorage(root, may_make=True, mode=0o640).put(source, stream_id="s", source_id="a.tif")
        assert rights(root) == 0o711

    def test_group(self, root: Path, source: Path) -> None:
        import grp

        # Root may give files to any group, others to those that they are members of.
        number = max(group.gr_gid for group in grp.getgrall()) if os.geteuid() == 0 else os.getgroups()[-1]
        name = grp.getgrgid(number).gr_name
        PosixTierStorage(root, may_make=True, group=name).put(source, stream_id="s", source_id="A01/a.tif")
        put = [root, root / "s", root / "s" / "A01", root / "s" / "A01" / "a.tif"]
        assert {path.stat().st_gid for path in put} == {number}

    def test_unknown_group_is_named_and_nothing_is_put(self, root: Path, source: Path) -> None:
        with pytest.raises(PermanentError, match=r"group 'no-such-group'"):
            PosixTierStorage(root, may_make=True, group="no-such-group").put(
                source, stream_id="s", source_id="a.tif"
            )
        assert not [path for path in root.rglob("*") if path.is_file()]


def _umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask


class TestTrouble:
    @pytest.mark.parametrize(
        ("number", "kind", "said"),
        [
            (errno.ENOSPC, TransientError, "is full"),
            (errno.EDQUOT, TransientError, "is full"),
            (errno.EIO, TransientError, "cannot be put"),
            (errno.ESTALE, TransientError, "cannot be put"),
            (errno.EROFS, PermanentError, "Read-only .* write there .* then `haste retry` it"),
            (errno.EACCES, PermanentError, "Permission denied; let the worker's user"),
        ],
    )
    @pytest.mark.parametrize("step", ["stage_copy", "publish", "make_durable_folder"])
    def test_each_trouble_of_the_disk_at_each_step_is_named_and_leaves_nothing(
        self,
        root: Path,
        source: Path,
        monkeypatch: pytest.MonkeyPatch,
        number: int,
        kind: type[Exception],
        said: str,
        step: str,
    ) -> None:
        def fail(*_: object, **__: object) -> None:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(posix, step, fail)
        with pytest.raises(kind, match=said):
            PosixTierStorage(root, may_make=True).put(source, stream_id="s", source_id="a.tif")
        assert not [path for path in root.rglob("*") if path.is_file()]
        monkeypatch.undo()
        PosixTierStorage(root, may_make=True).put(source, stream_id="s", source_id="a.tif")


class TestLinks:
    def test_link_that_leads_out_is_refused(self, root: Path, source: Path, tmp_path: Path) -> None:
        outside = tmp_path / "outside"
        outside.mkdir()
        root.mkdir(parents=True)
        (root / "plate7").symlink_to(outside)
        with pytest.raises(PermanentError, match="leads out of the tier"):
            PosixTierStorage(root, may_make=True).put(source, stream_id="plate7", source_id="a.tif")
        assert list(outside.iterdir()) == []

    def test_link_that_leads_out_is_refused_also_where_the_object_is(
        self, root: Path, source: Path, tmp_path: Path
    ) -> None:
        outside = tmp_path / "outside"
        outside.mkdir()
        (outside / "a.tif").write_bytes(source.read_bytes())
        root.mkdir(parents=True)
        (root / "plate7").symlink_to(outside)
        with pytest.raises(PermanentError, match="leads out of the tier"):
            PosixTierStorage(root, may_make=True).put(source, stream_id="plate7", source_id="a.tif")

    def test_link_with_the_name_of_the_object_is_not_followed(
        self, root: Path, source: Path, tmp_path: Path
    ) -> None:
        outside = tmp_path / "outside.tif"
        outside.write_bytes(b"mine")
        (root / "s").mkdir(parents=True)
        (root / "s" / "a.tif").symlink_to(outside)
        stored = PosixTierStorage(root, may_make=True).put(source, stream_id="s", source_id="a.tif")
        assert Path(path_from_file_url(stored.url)).read_bytes() == source.read_bytes()
        assert outside.read_bytes() == b"mine"


@pytest.mark.parametrize(
    ("number", "kind", "said"),
    [(errno.ENOSPC, TransientError, "is full"), (errno.EROFS, PermanentError, "write there")],
)
def test_trying_to_write_names_what_is_in_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[Exception], said: str
) -> None:
    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(kind, match=said):
        PosixTierStorage(tmp_path).try_writing()
    monkeypatch.undo()
    with pytest.raises(PermanentError, match="group 'no-such-group'"):
        PosixTierStorage(tmp_path, group="no-such-group").try_writing()
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    with pytest.raises(TransientError, match="is the share mounted"):
        PosixTierStorage(tmp_path / "missing").try_writing()


def test_remains_of_killed_puts_are_removed_a_day_later(root: Path, source: Path) -> None:
    incoming = root / ".haste-incoming"
    incoming.mkdir(parents=True)
    old, new = incoming / "old.part", incoming / "new.part"
    for part in (old, new):
        part.write_bytes(b"half")
    day = 24 * 3600
    os.utime(old, (old.stat().st_mtime - day - 60,) * 2)
    PosixTierStorage(root, may_make=True).put(source, stream_id="s", source_id="a.tif")
    assert not old.exists()
    assert new.exists()


def test_a_share_that_is_not_mounted_is_not_made(tmp_path: Path, source: Path) -> None:
    root = tmp_path / "mnt" / "nas" / "tierB"
    with pytest.raises(TransientError, match="is the share mounted"):
        PosixTierStorage(root).put(source, stream_id="s", source_id="a.tif")
    assert not root.parent.parent.exists()
    tiers = {"own": PosixTier(root=tmp_path / "work" / "tiers" / "own"), "other": PosixTier(root=root)}
    put = open_tier("own", tiers, work_dir=tmp_path / "work").put(source, stream_id="s", source_id="a.tif")
    assert put.url.endswith("/work/tiers/own/s/a.tif")
    with pytest.raises(TransientError, match="make its folder"):
        open_tier("other", tiers, work_dir=tmp_path / "work").put(source, stream_id="s", source_id="a.tif")
