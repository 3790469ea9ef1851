"""`haste score`: one line an image, without a server."""

import json
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
import tifffile

from haste_core.features import plls
from haste_core.features.intensity import intensity
from haste_core.features.quality import QUALITY_FEATURES
from haste_workers.imaging.read import read_image
from tests.unit.apps.image_folders import SIDE_PX, haste, write_constant, write_empty, write_field
from tests.unit.features.fields import levels, spots


def lines_of(stdout: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stdout.splitlines()]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder in which not all is well."""
    write_field(tmp_path / "A01_s1.tif", seed=1, blur_px=1)
    write_constant(tmp_path / "A01_s2.tif")
    write_empty(tmp_path / "A01_s10.tif", seed=1)
    (tmp_path / "A02.png").write_bytes(b"<html>404 Not Found</html>")
    (tmp_path / "notes.txt").touch()
    return tmp_path


def test_each_image_is_a_line_and_one_that_fails_stops_no_other(folder: Path) -> None:
    run = haste("score", folder / "gone.tif", folder, "--json")
    assert run.exit_code == 1
    gone, sharp, constant, empty, broken = lines_of(run.stdout)
    assert [Path(line["file"]).name for line in (gone, sharp, constant, empty, broken)] == [
        "gone.tif",
        "A01_s1.tif",
        "A01_s2.tif",
        "A01_s10.tif",
        "A02.png",
    ]
    assert "there is no file" in gone["error"]
    assert "neither TIFF, PNG, JPEG" in broken["error"]
    assert sharp["plls"] == pytest.approx(write_field(folder / "again.tif", seed=1, blur_px=1))
    assert sharp["undefined"] is None
    assert (sharp["width"], sharp["height"], sharp["dtype"]) == (SIDE_PX, SIDE_PX, "uint16")
    assert 0 < sharp["signal_fraction"] <= 1
    assert (sharp["empty"], empty["empty"]) == (False, True)
    assert constant["plls"] is None
    assert "same value (7)" in constant["undefined"]


def test_a_url_is_fetched(tmp_path: Path) -> None:
    slope = write_field(tmp_path / "plate 7" / "A01_s1.tif", seed=1, blur_px=1)
    serving = partial(SimpleHTTPRequestHandler, directory=tmp_path)
    with ThreadingHTTPServer(("127.0.0.1", 0), serving) as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/plate%207/A01_s1.tif"
        run = haste("score", url, url.replace("s1", "s2"), "--json")
        server.shutdown()
    found, missing = lines_of(run.stdout)
    assert (found["file"], found["plls"]) == (url, pytest.approx(slope))
    assert "404" in missing["error"]
    assert run.exit_code == 1


def test_an_undefined_score_is_no_failure(tmp_path: Path) -> None:
    write_constant(tmp_path / "dark.tif")
    run = haste("score", tmp_path / "dark.tif", "--features", "intensity,correlation")
    assert run.exit_code == 0
    for part in ("dark.tif", "no score: all pixels", "mean_intensity 7 ", "no correlation: all pixels"):
        assert part in run.stdout


def test_lines_for_people_are_aligned(folder: Path) -> None:
    run = haste("score", folder)
    assert run.exit_code == 1
    failed = [line for line in run.stdout.splitlines() if "failed: not a readable image" in line]
    measured = [line for line in run.stdout.splitlines() if line not in failed]
    assert (len(failed), len(measured)) == (1, 3)
    for word in ("plls", "signal", f"{SIDE_PX} x {SIDE_PX} uint16"):
        assert len({line.index(word) for line in measured}) == 1
    assert measured[2].endswith("empty field")


def test_what_is_asked_for_is_measured_with_its_options(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    write_field(path, seed=3, blur_px=1)
    asked = ",".join(QUALITY_FEATURES)
    (line,) = lines_of(haste("score", path, "--json", "--features", asked, "--parameter", "bits=8").stdout)
    pixels = read_image(path).pixels
    assert line["saturated_fraction"] == (pixels >= 255).mean() > 0
    assert line["mad_intensity"] == intensity(pixels).mad
    assert "correlation" in line


def test_a_feature_that_is_none_is_answered_with_those_that_are() -> None:
    run = haste("score", "a.tif", "--features", "plls,sharpness")
    assert run.exit_code == 2
    assert "no feature plls and no sharpness; choose from snr" in run.stderr


def test_a_folder_is_searched_as_submit_does(folder: Path) -> None:
    write_field(folder / "sub/B01.tif", seed=1, blur_px=0)
    names = [Path(line["file"]).name for line in lines_of(haste("score", folder, "--json").stdout)]
    assert names == ["A01_s1.tif", "A01_s2.tif", "A01_s10.tif", "A02.png", "B01.tif"]
    chosen = haste("score", folder, "--json", "--flat", "--pattern", "A01_s1*")
    assert chosen.exit_code == 0
    assert len(lines_of(chosen.stdout)) == 2
    (none,) = lines_of(haste("score", folder, "--json", "--pattern", "*_DAPI.tif").stdout)
    assert none["error"] == "this folder holds no file whose name is like *_DAPI.tif"


def test_a_blur_series_falls(tmp_path: Path) -> None:
    for number, blur_px in enumerate((0, 0.7, 1, 1.5, 2, 3, 4)):
        write_field(tmp_path / f"s{number}.tif", seed=5, blur_px=blur_px)
    run = haste("score", tmp_path, "--json")
    slopes = [line["plls"] for line in lines_of(run.stdout)]
    assert len(slopes) == 7
    assert all(sharper > softer for sharper, softer in pairwise(slopes))
    assert run.stderr == ""


def test_the_real_blur_series_fall(shared_dir: Path) -> None:
    run = haste("score", shared_dir / "data/images", "--json", "--pattern", "blur_*.tif")
    series: dict[str, list[float]] = {}
    for line in lines_of(run.stdout):  # in the order of their names, which hold the blur
        series.setdefault(Path(line["file"]).stem.rpartition("_")[0], []).append(line["plls"])
    assert [len(slopes) for slopes in series.values()] == [8, 8, 8]
    for slopes in series.values():
        assert all(sharper > softer for sharper, softer in pairwise(slopes))


def test_one_channel_of_several_is_chosen(tmp_path: Path) -> None:
    path = tmp_path / "stack.tif"
    sharp, blurred = (levels(spots(1, (SIDE_PX, SIDE_PX), blur_px=blur_px)) for blur_px in (0.5, 3))
    tifffile.imwrite(path, np.stack([sharp, blurred]), imagej=True, metadata={"axes": "CYX"})
    expected = {None: plls(sharp), "channel=0": plls(sharp), "channel=1": plls(blurred)}
    for parameter, slope in expected.items():
        chosen = [] if parameter is None else ["--parameter", parameter]
        (line,) = lines_of(haste("score", path, "--json", *chosen).stdout)
        assert (line["plls"], line["planes"]) == (pytest.approx(slope), 2)
    assert "no channel 7" in haste("score", path, "--parameter", "channel=7").stdout


@pytest.mark.parametrize(
    ("parameter", "reason"),
    [("bits", "NAME=VALUE"), ("bits=many", "bits: "), ("Bits=8", "Bits: "), ("features=snr", "features")],
)
def test_a_parameter_that_is_none_is_refused(parameter: str, reason: str) -> None:
    run = haste("score", "a.tif", "--parameter", parameter)
    assert run.exit_code == 2
    assert reason in run.stderr
