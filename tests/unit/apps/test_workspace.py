from pathlib import Path

import pytest

from haste_apps.demo.workspace import MARKER, prepare_work_dir
from haste_core.errors import ConflictError


def test_a_new_folder_is_made_and_an_own_one_is_emptied(tmp_path: Path) -> None:
    folder = prepare_work_dir(tmp_path / "demo")
    (folder / "server").mkdir()
    (folder / "server/old").touch()
    (folder / "report.html").touch()
    assert prepare_work_dir(folder) == folder
    assert [entry.name for entry in folder.iterdir()] == [MARKER]


def test_somebody_elses_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.docx").touch()
    with pytest.raises(ConflictError, match="--work-dir"):
        prepare_work_dir(tmp_path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.docx"]


def test_an_empty_folder_may_be_taken_and_a_file_may_not(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    prepare_work_dir(tmp_path / "empty")
    (tmp_path / "file").touch()
    with pytest.raises(ConflictError, match="is a file"):
        prepare_work_dir(tmp_path / "file")


def test_images_within_the_folder_survive(tmp_path: Path) -> None:
    folder = prepare_work_dir(tmp_path / "demo")
    (folder / "microscope").mkdir()
    (folder / "microscope/a.tif").touch()
    with pytest.raises(ConflictError, match="would empty"):
        prepare_work_dir(folder, images=folder / "microscope")
    assert (folder / "microscope/a.tif").exists()


def test_a_link_in_the_folder_is_removed_and_not_followed(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "data").touch()
    folder = prepare_work_dir(tmp_path / "demo")
    (folder / "link").symlink_to(precious)
    prepare_work_dir(folder)
    assert (precious / "data").exists()
    assert not (folder / "link").exists()
