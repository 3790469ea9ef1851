"""A trash gives back what it holds until the period of grace is over, and then deletes it, once."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from haste_core.messages import DecisionNote
from haste_core.states import TaskState
from haste_workers.tiers import posix
from haste_workers.tiers import trash as module
from haste_workers.tiers.trash import DAY_S, TrashTierStorage
from tests.unit.workers.bench import RunTask

GRACE_S = 30 * DAY_S


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "trash"


@pytest.fixture
def trash(root: Path) -> TrashTierStorage:
    return TrashTierStorage(root, grace_s=GRACE_S)


@pytest.fixture
def throw(trash: TrashTierStorage, tmp_path: Path) -> Callable[..., Path]:
    """Return a function that puts content into the trash, some days ago."""

    def put(name: str, content: bytes = b"pixels", *, days_ago: float = 0) -> Path:
        source = tmp_path / "source.tif"
        source.write_bytes(content)
        os.utime(source, (0, 0))
        trash.put(source, stream_id="s", source_id=name)
        path = tmp_path / "trash" / "s" / name
        if days_ago:
            os.utime(path, (time.time() - days_ago * DAY_S,) * 2)
        return path

    return put


def files(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if not path.is_dir())


def test_only_what_is_older_than_the_grace_is_deleted(
    trash: TrashTierStorage, throw: Callable[..., Path], root: Path
) -> None:
    old = throw("plate/old.tif", days_ago=30.1)
    throw("plate/young.tif", days_ago=29.9)
    throw("plate/new.tif")
    assert {each.url for each in trash.contents()} == {path.as_uri() for path in old.parent.iterdir()}
    removed = trash.remove_expired()
    assert [(each.url, each.size_bytes) for each in removed] == [(old.as_uri(), 6)]
    assert removed[0].expires_at == pytest.approx(time.time() - 0.1 * DAY_S, abs=60)
    assert files(root) == ["s/plate/new.tif", "s/plate/young.tif"]
    assert trash.remove_expired() == []


def test_grace_begins_when_it_is_put_whatever_the_age_of_the_source(
    trash: TrashTierStorage, throw: Callable[..., Path]
) -> None:
    throw("a.tif")
    (found,) = trash.contents()
    assert found.expires_at == pytest.approx(time.time() + GRACE_S, abs=60)
    assert trash.remove_expired(now=found.expires_at) == []
    assert trash.remove_expired(now=found.expires_at + 1) == [found]


def test_grace_begins_anew_when_it_is_put_again(trash: TrashTierStorage, throw: Callable[..., Path]) -> None:
    path = throw("a.tif", days_ago=40)
    throw("a.tif")
    assert trash.remove_expired() == []
    assert path.read_bytes() == b"pixels"


def test_put_at_the_moment_of_deleting_keeps_the_object(
    trash: TrashTierStorage, throw: Callable[..., Path], root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = throw("a.tif", days_ago=40)
    publish = module.publish

    def put_first(temporary: Path, target: Path) -> None:
        throw("a.tif")
        publish(temporary, target)

    monkeypatch.setattr(module, "publish", put_first)
    assert trash.remove_expired() == []
    assert files(root) == ["s/a.tif"]
    assert path.read_bytes() == b"pixels"


@pytest.mark.parametrize("content", [b"pixels", b"others"])
def test_put_after_it_was_set_aside_is_a_new_copy(
    trash: TrashTierStorage,
    throw: Callable[..., Path],
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    content: bytes,
) -> None:
    path = throw("a.tif", days_ago=40)
    publish = module.publish

    def put_after(temporary: Path, target: Path) -> None:
        publish(temporary, target)
        throw("a.tif", content)

    monkeypatch.setattr(module, "publish", put_after)
    assert len(trash.remove_expired()) == 1
    assert files(root) == ["s/a.tif"]
    assert path.read_bytes() == content


def test_what_a_killed_run_set_aside_is_judged_by_the_next(
    trash: TrashTierStorage, throw: Callable[..., Path], root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    throw("old.tif", days_ago=40)
    throw("again.tif", days_ago=40)
    monkeypatch.setattr(trash, "_judge", lambda *_: None)
    trash.remove_expired()
    monkeypatch.undo()
    assert files(root) == [".haste-leaving/s/again.tif", ".haste-leaving/s/old.tif"]
    os.utime(root / ".haste-leaving" / "s" / "again.tif")  # as a put that was a moment earlier had it
    assert [each.url for each in trash.remove_expired()] == [(root / "s" / "old.tif").as_uri()]
    assert files(root) == ["s/again.tif"]


def test_links_and_copies_under_way_are_left_alone(
    trash: TrashTierStorage, throw: Callable[..., Path], root: Path, tmp_path: Path
) -> None:
    throw("a.tif")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "mine.tif").write_bytes(b"mine")
    (root / "s" / "link.tif").symlink_to(outside / "mine.tif")
    (root / "s" / "folder").symlink_to(outside)
    (root / ".haste-incoming" / "x.part").write_bytes(b"half")
    assert len(list(trash.contents())) == 1
    assert len(trash.remove_expired(now=time.time() + 2 * GRACE_S)) == 1
    assert (outside / "mine.tif").read_bytes() == b"mine"
    assert files(root) == [".haste-incoming/x.part", "s/link.tif"]  # and a link to a folder
    assert (root / "s" / "folder").is_symlink()


def test_what_is_not_expired_is_not_even_moved(
    trash: TrashTierStorage, throw: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    throw("a.tif", days_ago=29)
    monkeypatch.delattr(module, "publish")
    assert trash.remove_expired() == []


def test_empty_or_missing_trash(trash: TrashTierStorage) -> None:
    assert list(trash.contents()) == []
    assert trash.remove_expired() == []


def test_without_a_root_it_is_in_the_workers_own_folder(
    run_task: RunTask, data_dir: Path, tmp_path: Path
) -> None:
    source = data_dir / "field.tif"
    source.write_bytes(b"pixels")
    decision = DecisionNote(decision_id=1, score=0.1, tier="bin/1", reason="empty", enforce=True)
    settings = {"tiers": {"bin/1": {"driver": "trash"}}}
    result = run_task("tier", source, settings=settings, decision=decision)
    assert result.state is TaskState.DONE, result.message
    assert result.place is not None
    again = run_task("tier", result.place.url, settings=settings, decision=decision)
    assert again.place == result.place


class TestContainers:
    @pytest.fixture
    def container(self, tmp_path: Path) -> Path:
        path = tmp_path / "plate.zarr"
        (path / "0").mkdir(parents=True)
        for name in (".zattrs", "0/0", "0/1"):
            (path / name).write_bytes(b"chunk")
        return path

    def test_are_deleted_as_one(self, trash: TrashTierStorage, container: Path, root: Path) -> None:
        url = trash.put(container, stream_id="s", source_id="plate.zarr").url
        os.utime(root / "s/plate.zarr/0/0", (0, 0))
        (found,) = trash.contents()
        assert (found.url, found.size_bytes) == (url, 15)
        assert found.expires_at == pytest.approx(time.time() + GRACE_S, abs=60)
        assert trash.remove_expired(now=found.expires_at) == []
        assert len(files(root)) == 3
        assert trash.remove_expired(now=found.expires_at + 1) == [found]
        assert files(root) == []

    def test_deletion_that_was_cut_short_brings_no_half_of_it_back(
        self, trash: TrashTierStorage, container: Path, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        trash.put(container, stream_id="s", source_id="plate.zarr")
        later = time.time() + GRACE_S + 60

        def cut_short(path: Path) -> None:
            (path / ".zattrs").unlink()
            raise OSError(5, "the disk is away")

        with monkeypatch.context() as patch:
            patch.setattr(posix, "discard", cut_short)
            with pytest.raises(OSError, match="away"):
                trash.remove_expired(now=later)
        trash.remove_expired()
        assert not (root / "s/plate.zarr").exists()
        assert list(trash.contents()) == []
