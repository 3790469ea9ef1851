"""`haste names`, and what is said of names before images are submitted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from haste_apps.cli import app
from haste_apps.exits import RunFailedError
from haste_apps.naming import NAMES_SHOWN, NameCheck
from haste_apps.options import UnparsedNames
from haste_client import ImageFile, Unparsed
from haste_runtime.name_presets import load_presets


def names(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["names", *map(str, arguments)])


def touch(folder: Path, *paths: str) -> None:
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).touch()


def files(*paths: str) -> list[ImageFile]:
    return [ImageFile(Path("/data") / path, path, 1, 1) for path in paths]


@pytest.fixture
def plate(tmp_path: Path) -> Path:
    sites = [
        f"p_{well}_s{site}_w{channel}" for well in ("A01", "P24") for site in (1, 2) for channel in (1, 2, 3)
    ]
    touch(tmp_path, *(f"p/TimePoint_1/{name}.TIF" for name in sites))
    touch(tmp_path, *(f"p/TimePoint_1/{name}_thumb.TIF" for name in sites))
    return tmp_path


def test_the_wells_are_shown_with_what_they_hold(plate: Path) -> None:
    shown = names(plate, "--names", "imagexpress")
    assert shown.exit_code == 0
    rows = [
        [cell.strip() for cell in line.strip("│").split("│")]
        for line in shown.stdout.splitlines()
        if line[0] == "│"
    ]
    assert rows == [["p", "A01", "2", "1, 2, 3", "-", "1", "6"], ["p", "P24", "2", "1, 2, 3", "-", "1", "6"]]
    assert shown.stderr == "12 images understood, 12 ignored, 0 not understood\n"


def test_names_that_are_not_understood_are_listed_all_and_fail(plate: Path) -> None:
    strange = [f"x{number:02d}.tif" for number in range(2 * NAMES_SHOWN)]
    touch(plate, *strange)
    shown = names(plate, "--names", "imagexpress", "--pattern", "*.tif", "--json")
    lines = [json.loads(line) for line in shown.stdout.splitlines()]
    assert [line["source_id"] for line in lines if "unparsed" in line] == strange
    shown = names(plate, "--names", "imagexpress")
    assert shown.exit_code == 1
    assert all(f"not understood: {name}: does not fit" in shown.stderr for name in strange)
    assert "40 not understood" in shown.stderr


def test_each_name_is_a_line_of_json(plate: Path) -> None:
    touch(plate, "p/TimePoint_1/p_P24_s02_w03.tif")
    shown = names(plate, "--names", "imagexpress", "--json")
    lines = {line.pop("source_id"): line for line in map(json.loads, shown.stdout.splitlines())}
    first = lines["p/TimePoint_1/p_A01_s1_w1.TIF"]
    assert first == {"plate": "p", "well": "A01", "site": 1, "channel": "1", "t": 1}
    assert lines["p/TimePoint_1/p_A01_s1_w1_thumb.TIF"] == {"ignored": True}
    assert lines["p/TimePoint_1/p_P24_s02_w03.tif"]["unparsed"] == (
        "says the same as p/TimePoint_1/p_P24_s2_w3.TIF (plate p, well P24, site 2, channel 3, t 1)"
    )
    assert shown.exit_code == 1


def test_presets_that_fit_are_found(plate: Path) -> None:
    touch(plate, "r01c01f01p01-ch1sk1fk1fl1.tiff", "r01c01f02p01-ch1sk1fk1fl1.tiff")
    shown = names(plate, "--json")
    assert [json.loads(line) for line in shown.stdout.splitlines()] == [
        {"preset": "imagexpress", "understood": 12, "ignored": 12, "not_understood": 2},
        {"preset": "operetta", "understood": 2, "ignored": 0, "not_understood": 24},
    ]
    assert shown.exit_code == 0
    assert "imagexpress" in names(plate).stdout


def test_a_folder_that_no_preset_fits_fails(tmp_path: Path) -> None:
    assert (names(tmp_path).exit_code, names(tmp_path).stderr) == (1, "No images\n")
    touch(tmp_path, "notes.tif")
    assert names(tmp_path).stderr == "No preset understands any of the 1 names, such as notes.tif\n"


def test_presets_are_listed() -> None:
    listed = names("--json").stdout.splitlines()
    assert [json.loads(line)["name"] for line in listed] == list(load_presets())
    assert all(name in names().stdout for name in load_presets())


def test_a_wrong_expression_is_wrong_usage(tmp_path: Path) -> None:
    shown = names(tmp_path, "--names", "(?P<well>")
    assert shown.exit_code == 2
    assert "no regular expression" in shown.stderr


def test_the_choices_of_the_command_are_the_clients() -> None:
    assert [choice.value for choice in UnparsedNames] == [choice.value for choice in Unparsed]


def test_without_names_all_files_pass(capsys: pytest.CaptureFixture[str]) -> None:
    chosen = NameCheck(None, "stop").choose_first(files("b.tif", "a_thumb.tif"))
    assert [(file.source_id, file.name) for file in chosen] == [("b.tif", None), ("a_thumb.tif", None)]
    assert capsys.readouterr().err == ""


def test_each_name_is_told_once_and_a_few_of_many(capsys: pytest.CaptureFixture[str]) -> None:
    check = NameCheck("imagexpress", "skip")
    strange = [f"x{number}.tif" for number in range(NAMES_SHOWN + 5)]
    assert [file.source_id for file in check.choose_first(files("p_A01.tif", *strange))] == ["p_A01.tif"]
    told = capsys.readouterr().err
    assert told.count("not understood: ") == NAMES_SHOWN
    assert "… and 5 more names" in told
    assert check.choose(files(strange[0], "late.tif")) == ()
    assert capsys.readouterr().err == "not understood: late.tif: does not fit the names of imagexpress\n"


def test_what_comes_late_stops_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    check = NameCheck("imagexpress", "stop")
    check.choose_first(files("p_A01.tif", "p_A01_thumb.tif"))
    assert "left out as thumbnails or the like: 1, such as p_A01_thumb.tif" in capsys.readouterr().err
    (chosen,) = check.choose(files("p_B01.tif", "late.tif", "p_B01_thumb.tif"))
    assert "thumb" not in capsys.readouterr().err
    assert chosen.source_id == "p_B01.tif"
    assert check.unparsed == {"late.tif"}
    with pytest.raises(RunFailedError, match="the names of 1 of 2 images"):
        check.choose_first(files("p_C01.tif", "p_C01_thumb.tif", "again.tif"))
