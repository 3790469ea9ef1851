"""The handler of `tier` removes what it has copied: that content only, while the copy is there."""

import errno
import hashlib
from pathlib import Path
from typing import Any

import pytest

from haste_core.messages import DecisionNote, Place, TaskResult
from haste_core.states import TaskState
from haste_workers import removing
from haste_workers.durable import sha256_of
from haste_workers.tiers import posix
from tests.unit.workers.bench import RunTask
from tests.unit.workers.web_server import WebServer

PIXELS = b"pixels"
SHA256 = hashlib.sha256(PIXELS).hexdigest()


def decision(tier: str = "A", *, removes: bool = True) -> DecisionNote:
    return DecisionNote(
        decision_id=1, score=0.83, tier=tier, reason="sharp", enforce=True, removes=removes, sha256=SHA256
    )


@pytest.fixture
def tiers(tmp_path: Path) -> dict[str, Any]:
    folders = {name: {"driver": "posix", "root": tmp_path / "tiers" / name} for name in "AB"}
    for name in "AB":
        (tmp_path / "tiers" / name).mkdir(parents=True)
    return {"tiers": folders | {"bin": {"driver": "trash"}}}


@pytest.fixture
def source(data_dir: Path) -> Path:
    path = data_dir / "field.tif"
    path.write_bytes(PIXELS)
    return path


class Mover:
    """Runs both halves, as the server would ask for them."""

    def __init__(self, run_task: RunTask, settings: dict[str, Any], tmp_path: Path) -> None:
        self._run, self._settings, self._tmp_path = run_task, settings, tmp_path

    def copy(self, url: Path | str, tier: str = "A", **more: Any) -> TaskResult:
        given = {"decision": decision(tier), "sha256": SHA256, "source_id": "field.tif"} | more
        return self._run("tier", url, settings=self._settings, **given)

    def remove(self, copied: TaskResult, tier: str = "A", **more: Any) -> TaskResult:
        assert copied.place is not None
        assert copied.leaving is not None
        told = {"leaving": copied.leaving, "size_bytes": copied.place.size_bytes} | more
        return self.copy(copied.place.url, tier, **told)

    def files(self) -> set[str]:
        """List all files that hold the object, wherever."""
        found = (path for path in self._tmp_path.rglob("*") if path.is_file())
        return {path.relative_to(self._tmp_path).as_posix() for path in found if path.read_bytes() == PIXELS}


@pytest.fixture
def mover(run_task: RunTask, tiers: dict[str, Any], tmp_path: Path) -> Mover:
    return Mover(run_task, tiers, tmp_path)


def names_beside(path: Path) -> list[str]:
    return [each.name for each in path.parent.iterdir()]


IN_A, IN_B, HERE = "tiers/A/plate7/field.tif", "tiers/B/plate7/field.tif", "data/field.tif"


def test_an_original_stays_until_its_copy_is_recorded_and_goes_then(mover: Mover, source: Path) -> None:
    copied = mover.copy(source)
    assert copied.state is TaskState.DONE, copied.message
    assert copied.leaving == Place(url=source.as_uri(), site="default", sha256=SHA256, size_bytes=6)
    assert copied.place is not None
    assert f"copied to {copied.place.url}; {source.as_uri()} is removed next" in copied.message
    assert mover.files() == {HERE, IN_A}
    removed = mover.remove(copied)
    assert removed.state is TaskState.DONE, removed.message
    assert removed.leaving is None
    assert removed.place == copied.place
    assert removed.response == copied.response | {"removed": source.as_uri()}
    assert mover.files() == {IN_A}
    assert mover.remove(copied).state is TaskState.DONE, "done already is fine"
    assert names_beside(source) == []


def test_without_the_policys_word_nothing_is_left(mover: Mover, source: Path) -> None:
    result = mover.copy(source, decision=decision(removes=False))
    assert (result.state, result.leaving) == (TaskState.DONE, None)
    assert mover.files() == {HERE, IN_A}


@pytest.mark.parametrize("to", ["B", "bin"])
def test_from_tier_to_tier(mover: Mover, source: Path, to: str) -> None:
    first = mover.copy(source, decision=decision(removes=False))
    assert first.place is not None
    second = mover.copy(first.place.url, to)
    assert second.leaving is not None
    assert second.leaving.url == first.place.url
    assert len(mover.files()) == 3
    third = mover.remove(second, to)
    assert (third.state, third.place) == (TaskState.DONE, second.place)
    assert len(mover.files() - {HERE}) == 1
    assert IN_A not in mover.files()


def test_one_that_was_decided_anew_between_the_halves_goes_on(mover: Mover, source: Path) -> None:
    copied = mover.copy(source)
    goes_on = mover.remove(copied, "B")
    assert goes_on.leaving == copied.place
    assert goes_on.response["removed"] == source.as_uri()
    assert mover.files() == {IN_A, IN_B}
    done = mover.remove(goes_on, "B")
    assert (done.state, done.leaving) == (TaskState.DONE, None)
    assert mover.files() == {IN_B}


def test_an_original_that_changed_since_stays_as_it_is(mover: Mover, source: Path) -> None:
    copied = mover.copy(source)
    source.write_bytes(b"newer!")
    result = mover.remove(copied)
    assert result.state is TaskState.ERROR
    assert "has changed since it was copied, and stays" in result.message
    assert source.read_bytes() == b"newer!"
    assert mover.files() == {IN_A}
    assert names_beside(source) == [source.name]


def test_an_original_that_changes_while_it_is_looked_at_stays(
    mover: Mover, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that has the file open goes on writing, whatever its name is."""
    copied = mover.copy(source)
    opened = source.open("ab")

    def hash_slowly(path: Path) -> str:
        opened.write(b" and more")
        opened.flush()
        return SHA256

    monkeypatch.setattr(removing, "sha256_of", hash_slowly)
    result = mover.remove(copied)
    opened.close()
    assert "is still being written" in result.message
    assert source.read_bytes() == PIXELS + b" and more"


def test_a_file_that_is_written_anew_while_the_old_one_is_looked_at_stays(
    mover: Mover, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied = mover.copy(source)
    really = removing.sha256_of

    def hash_while_another_is_written(path: Path) -> str:
        source.write_bytes(b"newer")
        return really(path)

    monkeypatch.setattr(removing, "sha256_of", hash_while_another_is_written)
    assert mover.remove(copied).state is TaskState.DONE
    assert source.read_bytes() == b"newer"
    assert mover.files() == {IN_A}


@pytest.mark.parametrize("newer", [False, True])
def test_a_run_that_was_killed_is_ended_by_the_next(mover: Mover, source: Path, newer: bool) -> None:
    copied = mover.copy(source)
    source.rename(removing.aside_name(source))
    if newer:
        source.write_bytes(b"newer")
    result = mover.remove(copied)
    assert mover.files() == {IN_A}
    assert result.state is (TaskState.ERROR if newer else TaskState.DONE)
    assert names_beside(source) == ([source.name] if newer else [])


def test_a_copy_that_went_is_made_again_before_the_original_goes(mover: Mover, source: Path) -> None:
    copied = mover.copy(source)
    for path in mover.files() - {HERE}:
        (source.parent.parent / path).unlink()
    assert mover.remove(copied).state is TaskState.REMOTE_TROUBLE
    assert mover.files() == {HERE, IN_A}
    assert mover.remove(copied).state is TaskState.DONE
    assert mover.files() == {IN_A}


def test_a_worker_that_wakes_up_late_does_not_move_what_was_moved_back(mover: Mover, source: Path) -> None:
    first = mover.copy(source)
    late = mover.copy(first.place.url if first.place else "", "B")
    assert mover.remove(late, "B").state is TaskState.DONE
    back = mover.copy(late.place.url if late.place else "")
    assert mover.remove(back).state is TaskState.DONE
    assert mover.files() == {HERE, IN_A}
    mover.remove(late, "B")
    assert mover.files() >= {HERE, IN_A}


def test_a_damaged_copy_is_no_reason_to_remove_the_original(
    mover: Mover, source: Path, tmp_path: Path
) -> None:
    copied = mover.copy(source)
    (tmp_path / IN_A).write_bytes(b"pixelx")
    result = mover.remove(copied)
    assert result.state is TaskState.ERROR
    assert "its copy is not there any more" in result.message
    assert HERE in mover.files()


def test_a_tier_that_reaches_the_original_by_another_way_loses_nothing(
    mover: Mover, source: Path, tmp_path: Path
) -> None:
    """The folder of the tier is the folder of the originals, mounted at another place."""
    (tmp_path / "tiers" / "B").rmdir()
    (tmp_path / "tiers" / "A" / "plate7").symlink_to(source.parent, target_is_directory=True)
    (tmp_path / "tiers" / "B").symlink_to(source.parent, target_is_directory=True)
    for copy_url in ((tmp_path / "tiers" / "B" / "field.tif").as_uri(), (tmp_path / IN_A).as_uri()):
        left = Place(url=source.as_uri(), site="default", sha256=SHA256)
        result = mover.copy(copy_url, "B", leaving=left)
        assert result.state is TaskState.ERROR, result.message
        assert source.read_bytes() == PIXELS


def test_no_tier_of_this_worker_holds_the_copy(mover: Mover, source: Path, tmp_path: Path) -> None:
    left = Place(url=source.as_uri(), site="default", sha256=SHA256)
    result = mover.copy((tmp_path / "elsewhere.tif").as_uri(), leaving=left)
    assert result.state is TaskState.ERROR
    assert "is in no tier of this worker's settings" in result.message
    assert mover.files() == {HERE}


class TestContainers:
    @pytest.fixture
    def moved(self, mover: Mover, data_dir: Path) -> TaskResult:
        """Copy a folder of OME-Zarr to A, where its original stays, and on to B."""
        folder = data_dir / "field.zarr"
        (folder / "0").mkdir(parents=True)
        (folder / "0" / "0").write_bytes(PIXELS)
        (folder / ".zgroup").write_bytes(b"{}")
        named = {"sha256": sha256_of(folder), "source_id": "field.zarr"}
        first = mover.copy(folder, decision=decision(removes=False), **named)
        assert first.place is not None
        second = mover.copy(first.place.url, "B", **named)
        assert second.leaving is not None
        return second

    def remove(self, mover: Mover, moved: TaskResult) -> TaskResult:
        assert moved.place is not None
        return mover.remove(moved, "B", sha256=moved.place.sha256, source_id="field.zarr")

    def test_goes_from_tier_to_tier(self, mover: Mover, moved: TaskResult, tmp_path: Path) -> None:
        result = self.remove(mover, moved)
        assert (result.state, result.place) == (TaskState.DONE, moved.place), result.message
        assert mover.files() == {"data/field.zarr/0/0", "tiers/B/plate7/field.zarr/0/0"}
        assert list((tmp_path / "tiers/A/plate7").iterdir()) == []

    def test_that_changed_since_stays(self, mover: Mover, moved: TaskResult, tmp_path: Path) -> None:
        newer = tmp_path / "tiers/A/plate7/field.zarr/0/1"
        newer.write_bytes(b"newer")
        result = self.remove(mover, moved)
        assert "has changed since it was copied, and stays" in result.message
        assert newer.read_bytes() == b"newer"
        assert len(mover.files()) == 3

    def test_stays_whole_while_its_copy_is_not(self, mover: Mover, moved: TaskResult, tmp_path: Path) -> None:
        (tmp_path / "tiers/B/plate7/field.zarr/.zgroup").unlink()
        result = self.remove(mover, moved)
        assert "its copy is not there any more" in result.message
        assert (tmp_path / "tiers/A/plate7/field.zarr/.zgroup").exists()

    @pytest.mark.parametrize("cut", ["hashing", "removing"])
    def test_a_run_that_was_killed_is_ended_by_the_next(
        self, mover: Mover, moved: TaskResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cut: str
    ) -> None:
        was_at = tmp_path / "tiers/A/plate7/field.zarr"
        if cut == "hashing":
            was_at.rename(removing.aside_name(was_at))
        else:
            monkeypatch.setattr(posix, "discard", self._remove_some)
            assert "power cut" in self.remove(mover, moved).message
            monkeypatch.undo()
        result = self.remove(mover, moved)
        assert result.state is TaskState.DONE, result.message
        assert list((tmp_path / "tiers/A/plate7").iterdir()) == []
        there = {"data/field.zarr/0/0", "tiers/B/plate7/field.zarr/0/0"}
        assert {name for name in mover.files() if ".haste-incoming" not in name} == there

    def _remove_some(self, path: Path) -> None:
        (path / ".zgroup").unlink()
        raise OSError(errno.EIO, "power cut")

    def test_an_original_stays(self, mover: Mover, moved: TaskResult, data_dir: Path) -> None:
        assert moved.leaving is not None
        result = mover.copy(data_dir / "field.zarr", sha256=moved.leaving.sha256)
        assert (result.state, result.leaving) == (TaskState.DONE, None)
        assert "it is a folder" in result.message


class TestWhatStays:
    def assert_it_stays(self, mover: Mover, url: Path | str, why: str) -> None:
        result = mover.copy(url)
        assert result.state is TaskState.DONE, result.message
        assert result.leaving is None
        assert why in result.message
        assert mover.files() >= {IN_A}

    def test_a_link(self, mover: Mover, source: Path) -> None:
        link = source.with_name("link.tif")
        link.symlink_to(source)
        self.assert_it_stays(mover, link, "it is a link")

    @pytest.mark.parametrize(
        ("folder", "why"), [("work", "it is the worker's own"), ("landing", "the server removes it when")]
    )
    def test_what_the_server_and_its_workers_keep(
        self, mover: Mover, tiers: dict[str, Any], tmp_path: Path, folder: str, why: str
    ) -> None:
        tiers["roots"] = {"landing": tmp_path / "landing"}
        file = tmp_path / folder / "x" / "field.tif"
        file.parent.mkdir(parents=True)
        file.write_bytes(PIXELS)
        self.assert_it_stays(mover, file, why)

    def test_what_is_fetched_from_elsewhere(
        self, mover: Mover, web: WebServer, tiers: dict[str, Any]
    ) -> None:
        tiers["http_hosts"] = ["127.0.0.1"]
        web.files["/field.tif"] = PIXELS
        self.assert_it_stays(mover, f"{web.url}/field.tif", "only what lies in a tier and plain files")

    def test_what_is_in_its_tier_already(self, mover: Mover, source: Path) -> None:
        place = mover.copy(source).place
        assert place is not None
        result = mover.copy(place.url)
        assert (result.state, result.place, result.leaving) == (TaskState.DONE, place, None)
        assert mover.files() == {HERE, IN_A}

    def test_a_folder(self, mover: Mover, data_dir: Path) -> None:
        (data_dir / "field.zarr").mkdir()
        result = mover.copy(data_dir / "field.zarr")
        assert "is a folder" in result.message
        assert (data_dir / "field.zarr").is_dir()


def test_a_file_that_may_not_be_removed_is_told(
    mover: Mover, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    copied = mover.copy(source)
    monkeypatch.setattr(Path, "rename", refuse)
    result = mover.remove(copied)
    assert result.state is TaskState.ERROR
    assert f"{source} cannot be removed: Permission denied" in result.message
    assert mover.files() == {HERE, IN_A}
