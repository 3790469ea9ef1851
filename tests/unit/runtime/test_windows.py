"""What is done on Windows only, as far as it can be tried elsewhere."""

from pathlib import Path

import pytest

from haste_client.directory import Selection, look_at, scan
from haste_client.sidecars import DEFAULT_RULES, FolderSidecars
from haste_runtime import folders
from haste_runtime.writers import has_writer


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "IS_WINDOWS", True)


@pytest.mark.usefixtures("windows")
def test_sidecars_in_another_case_are_the_same_at_each_look(tmp_path: Path) -> None:
    beside = FolderSidecars.among(["A01.TIF", "a01.xml", "B01.tif"], tmp_path, DEFAULT_RULES, ())
    (tmp_path / "a01.xml").write_text("<a/>")
    assert [sidecar.path.name for sidecar in beside.seen("A01.TIF")] == ["a01.xml"]
    assert beside.probed("A01.TIF") == beside.seen("A01.TIF")
    assert beside.seen("B01.tif") == beside.probed("B01.tif") == ()


@pytest.mark.usefixtures("windows")
def test_paths_that_need_no_prefix_stay(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(b"pixels")
    assert folders.openable(tmp_path) == folders.deep_folder(tmp_path) == tmp_path  # not of Windows
    assert folders.shown(Path("\\\\?\\C:\\x")) == "C:\\x"
    file = look_at(tmp_path.resolve(), "a.tif")
    assert file is not None
    assert (file,) == scan(tmp_path, Selection()).files


@pytest.mark.usefixtures("windows")
def test_another_spelling_is_not_another_image() -> None:
    folder = Path("/plate")
    spelled = folders.spelled_on_disk("DAY1/a01.TIF", folder=folder, resolved=folder / "day1/A01.tif")
    assert spelled == "day1/A01.tif"
    linked = folders.spelled_on_disk("link.tif", folder=folder, resolved=folder / "day1/A01.tif")
    assert linked == "link.tif"


def test_elsewhere_names_are_as_they_are() -> None:
    assert folders.name_key("A.tif") == "A.tif"
    assert folders.spelled_on_disk("a", folder=Path("/p"), resolved=Path("/p/A")) == "a"


@pytest.mark.parametrize(("error", "held"), [(0, False), (32, True), (33, True)])
def test_a_file_that_somebody_writes(error: int, held: bool) -> None:
    asked: list[str] = []

    def opening(path: str) -> int:
        asked.append(path)
        return error

    assert has_writer(Path("C:\\x\\a.tif"), is_windows=True, opening=opening) is held
    assert asked == ["\\\\?\\C:\\x\\a.tif"]


def test_a_file_that_cannot_be_opened_is_told(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="error 5"):
        has_writer(tmp_path, is_windows=True, opening=lambda _path: 5)
    assert not has_writer(tmp_path / "nothing.tif", is_windows=False)
