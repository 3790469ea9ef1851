"""A trash gives back what it holds until the period of grace is over, and then deletes what it is told to."""

import os
import time
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from haste_core.errors import PermanentError, TransientError
from haste_core.messages import DecisionNote, Place, Sidecar
from haste_core.states import TaskState
from haste_core.trashes import DAY_S
from haste_workers import removing
from haste_workers.durable import sha256_of
from haste_workers.tiers import posix
from haste_workers.tiers.trash import InGraceError, TrashTierStorage
from tests.unit.workers.bench import RunTask

GRACE_S = 30 * DAY_S


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "trash"
    folder.mkdir()
    return folder


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


def delete(trash: TrashTierStorage, path: Path, content: bytes = b"pixels", **more: Any) -> None:
    source = path.with_name("content")
    source.write_bytes(content)
    sha256 = sha256_of(source)
    source.unlink()
    trash.delete(path.as_uri(), sha256, **more)


def files(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if not path.is_dir())


@pytest.mark.parametrize("days_ago", [29.9, 30.1])
def test_only_what_is_older_than_the_grace_is_deleted(
    trash: TrashTierStorage, throw: Callable[..., Path], root: Path, days_ago: float
) -> None:
    throw("plate/other.tif", days_ago=40)
    path = throw("plate/a.tif", days_ago=days_ago)
    if days_ago < 30:
        for ask in (lambda: trash.check_expired(path.as_uri()), lambda: delete(trash, path)):
            with pytest.raises(InGraceError, match="stays until"):
                ask()
        assert files(root) == ["s/plate/a.tif", "s/plate/other.tif"]
    else:
        trash.check_expired(path.as_uri())
        delete(trash, path)
        assert files(root) == ["s/plate/other.tif"]
        delete(trash, path)  # gone already is fine


def test_grace_begins_when_it_is_put_whatever_the_age_of_the_source(
    trash: TrashTierStorage, throw: Callable[..., Path]
) -> None:
    path = throw("a.tif")
    put_at = path.stat().st_mtime
    assert put_at == pytest.approx(time.time(), abs=60)
    with pytest.raises(InGraceError):
        delete(trash, path, now=put_at + GRACE_S)
    delete(trash, path, now=put_at + GRACE_S + 1)
    assert not path.exists()


def test_grace_begins_anew_when_it_is_put_again(trash: TrashTierStorage, throw: Callable[..., Path]) -> None:
    path = throw("a.tif", days_ago=40)
    throw("a.tif")
    with pytest.raises(InGraceError):
        delete(trash, path)
    assert path.read_bytes() == b"pixels"


def test_other_content_stays(trash: TrashTierStorage, throw: Callable[..., Path], root: Path) -> None:
    path = throw("a.tif", b"others", days_ago=40)
    with pytest.raises(PermanentError, match="has changed"):
        delete(trash, path, b"pixels")
    assert files(root) == ["s/a.tif"]


def test_put_at_the_moment_of_deleting_keeps_the_object(
    trash: TrashTierStorage, throw: Callable[..., Path], root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = throw("a.tif", days_ago=40)
    aside_name = removing.aside_name

    def put_first(path: Path) -> Path:
        throw("a.tif")
        return aside_name(path)

    monkeypatch.setattr(removing, "aside_name", put_first)
    with pytest.raises(InGraceError):
        delete(trash, path)
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
    hash_file = removing.sha256_of

    def put_after(aside: Path) -> str:
        throw("a.tif", content)
        return hash_file(aside)

    monkeypatch.setattr(removing, "sha256_of", put_after)
    delete(trash, path)
    assert files(root) == ["s/a.tif"]
    assert path.read_bytes() == content


@pytest.mark.parametrize("days_ago", [40, 0])
def test_what_a_killed_run_set_aside_is_judged_by_the_next(
    trash: TrashTierStorage, throw: Callable[..., Path], root: Path, days_ago: float
) -> None:
    path = throw("a.tif", days_ago=days_ago)
    path.rename(removing.aside_name(path))
    if days_ago:
        delete(trash, path)
        assert files(root) == []
    else:
        with pytest.raises(InGraceError):
            delete(trash, path)
        delete(trash, path, now=time.time() + 2 * GRACE_S)
        assert files(root) == []


def test_links_are_not_followed(
    trash: TrashTierStorage, throw: Callable[..., Path], root: Path, tmp_path: Path
) -> None:
    throw("a.tif")
    mine = tmp_path / "mine.tif"
    mine.write_bytes(b"pixels")
    (root / "s" / "link.tif").symlink_to(mine)
    with pytest.raises(PermanentError, match="is a link"):
        delete(trash, root / "s" / "link.tif", now=time.time() + 2 * GRACE_S)
    with pytest.raises(PermanentError, match="not in the tier"):
        delete(trash, mine, now=time.time() + 2 * GRACE_S)
    assert mine.read_bytes() == b"pixels"


def test_what_is_on_a_disk_that_is_not_mounted_does_not_pass_for_deleted(
    trash: TrashTierStorage, root: Path
) -> None:
    root.mkdir(exist_ok=True)
    with pytest.raises(PermanentError, match="mounted"):
        trash.delete((root / "s" / "a.tif").as_uri(), "0" * 64)


class TestTask:
    """The task `tier` with a decision to delete."""

    @pytest.fixture
    def settings(self, root: Path) -> dict[str, Any]:
        return {"tiers": {"bin": {"driver": "trash", "root": root}}}

    @staticmethod
    def note(**more: Any) -> DecisionNote:
        given = {"enforce": True, "removes": True, "deletes": True, **more}
        return DecisionNote(decision_id=2, score=0.1, tier="bin", reason="to be deleted", **given)

    @staticmethod
    def place_of(path: Path, **more: Any) -> Place:
        return Place(url=path.as_uri(), site="default", sha256=sha256_of(path), size_bytes=6, **more)

    def test_judges_first_and_deletes_when_that_is_recorded(
        self, run_task: RunTask, throw: Callable[..., Path], settings: dict[str, Any], root: Path
    ) -> None:
        place = self.place_of(throw("a.tif", days_ago=40))
        first = run_task("tier", place.url, settings=settings, decision=self.note(), place=place)
        assert (first.state, first.place, first.leaving) == (TaskState.DONE, place, place), first.message
        assert "deleted" not in first.response
        assert files(root) == ["s/a.tif"]
        for _ in range(2):  # killed after it, and run again
            second = run_task(
                "tier", place.url, settings=settings, decision=self.note(), place=place, leaving=place
            )
            assert (second.state, second.leaving) == (TaskState.DONE, None), second.message
            assert second.response["deleted"] == place.url
            assert files(root) == []

    @pytest.mark.parametrize("half", [1, 2])
    def test_leaves_what_is_in_its_grace(
        self, run_task: RunTask, throw: Callable[..., Path], settings: dict[str, Any], root: Path, half: int
    ) -> None:
        place = self.place_of(throw("a.tif", days_ago=29))
        given = {"leaving": place} if half == 2 else {}
        told = run_task("tier", place.url, settings=settings, decision=self.note(), place=place, **given)
        assert (told.state, told.leaving, told.place) == (TaskState.DONE, None, place)
        assert "stays until" in told.message
        assert "deleted" not in told.response
        assert files(root) == ["s/a.tif"]

    def test_leaves_the_file_that_another_job_has(
        self, run_task: RunTask, throw: Callable[..., Path], settings: dict[str, Any], root: Path
    ) -> None:
        place = self.place_of(throw("a.tif", days_ago=40))
        note = self.note(removes=False)
        told = run_task("tier", place.url, settings=settings, decision=note, place=place, leaving=place)
        assert (told.state, told.response["deleted"]) == (TaskState.DONE, place.url)
        assert files(root) == ["s/a.tif"]

    def test_deletes_nothing_from_what_is_no_trash(
        self, run_task: RunTask, throw: Callable[..., Path], root: Path
    ) -> None:
        place = self.place_of(throw("a.tif", days_ago=40))
        for tiers in ({"bin": {"root": root}}, {}):
            told = run_task(
                "tier", place.url, settings={"tiers": tiers}, decision=self.note(), place=place, leaving=place
            )
            assert told.state is TaskState.ERROR
            assert "is not deleted" in told.message
        assert files(root) == ["s/a.tif"]

    def test_deletes_the_sidecars_that_are_called_like_the_object(
        self,
        run_task: RunTask,
        trash: TrashTierStorage,
        throw: Callable[..., Path],
        settings: dict[str, Any],
        root: Path,
        tmp_path: Path,
    ) -> None:
        image = throw("A01.tif", days_ago=40)
        sidecars = []
        for name in ("A01.tif.mdoc", "plate7.HTD"):
            source = tmp_path / name
            source.write_bytes(b"more")
            put = trash.put_beside(source, PurePosixPath("s") / name)
            os.utime(root / "s" / name, (0, 0))
            url = f"root://data/{name}"
            sidecars.append(Sidecar(source_url=url, url=put.url, sha256=put.sha256, size_bytes=4))
        place = self.place_of(image, sidecars=tuple(sidecars))
        given = {"settings": settings, "decision": self.note(), "place": place}
        first = run_task("tier", place.url, **given)
        assert first.leaving == place.model_copy(update={"sidecars": tuple(sidecars[:1])}), first.message
        second = run_task("tier", place.url, leaving=first.leaving, **given)
        assert second.state is TaskState.DONE, second.message
        assert files(root) == ["s/plate7.HTD"]


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
        stored = trash.put(container, stream_id="s", source_id="plate.zarr")
        os.utime(root / "s/plate.zarr/0/0", (0, 0))
        put_at = max(path.stat().st_mtime for path in (root / "s/plate.zarr").rglob("*"))
        with pytest.raises(InGraceError):
            trash.delete(stored.url, stored.sha256, now=put_at + GRACE_S - 1)
        assert len(files(root)) == 3
        trash.delete(stored.url, stored.sha256, now=time.time() + GRACE_S + 1)
        assert files(root) == []

    def test_deletion_that_was_cut_short_brings_no_half_of_it_back(
        self, trash: TrashTierStorage, container: Path, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        stored = trash.put(container, stream_id="s", source_id="plate.zarr")
        later = time.time() + GRACE_S + 60

        def cut_short(path: Path) -> None:
            (path / ".zattrs").unlink()
            raise OSError(5, "the disk is away")

        with monkeypatch.context() as patch:
            patch.setattr(posix, "discard", cut_short)
            with pytest.raises(TransientError, match="away"):
                trash.delete(stored.url, stored.sha256, now=later)
        assert not (root / "s/plate.zarr").exists()
        trash.delete(stored.url, stored.sha256, now=later)
        assert not (root / "s/plate.zarr").exists()
