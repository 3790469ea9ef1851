"""`haste calibrate`: from a folder to a pipeline that a server loads."""

import json
import math
import re
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from haste_apps.measuring.calibration import not_fooled
from haste_core.calibration import LogisticCurve
from haste_core.decisions import decide
from haste_core.interestingness import ScoredObject, built_in
from haste_core.pipelines import Pipeline
from haste_server.catalogue import load_pipelines
from tests.unit.apps.image_folders import haste, write_constant, write_empty, write_field

BLURS_PX = [number / 4 for number in range(12)]


@pytest.fixture(scope="module")
def plate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[float]]:
    """Return a folder with twelve specimens, two empty fields and a dark image; and the specimens' PLLS."""
    folder = tmp_path_factory.mktemp("calibrate") / "Plate 7"
    slopes = [
        write_field(folder / f"A{number:02}.tif", seed=number, blur_px=blur_px)
        for number, blur_px in enumerate(BLURS_PX)
    ]
    write_empty(folder / "B01.tif", seed=1)
    write_empty(folder / "B02.tif", seed=2)
    write_constant(folder / "B03.tif")
    return folder, slopes


@pytest.fixture(scope="module")
def sorted_images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with sharp and blurred images in two sub-folders, and one more beside them."""
    folder = tmp_path_factory.mktemp("calibrate") / "lab"
    for number in range(6):
        write_field(folder / "Sharp" / f"{number}.tif", seed=number, blur_px=0.5)
        write_field(folder / "blurred" / f"{number}.tif", seed=number, blur_px=3)
    write_empty(folder / "blurred" / "empty.tif", seed=1)
    write_field(folder / "unsorted.tif", seed=1, blur_px=1)
    return folder


def load(text: str, folder: Path) -> Pipeline:
    """Read what was printed as a server does."""
    folder.mkdir()
    (folder / "own.yaml").write_text(text)
    shipped = set(load_pipelines())
    (own,) = (pipeline for name, pipeline in load_pipelines(folder).items() if name not in shipped)
    return own


def tier_of(pipeline: Pipeline, features: dict[str, object]) -> str:
    spec, policy = pipeline.interestingness, pipeline.policy
    assert spec is not None
    assert policy is not None
    scored = ScoredObject(features=features, metadata={})
    return decide(scored, spec=spec, policy=policy, build=built_in).tier


def test_the_quartiles_of_a_plate_become_the_borders_of_its_tiers(
    plate: tuple[Path, list[float]], tmp_path: Path
) -> None:
    folder, slopes = plate
    run = haste("calibrate", folder, "--function", "logistic")
    assert run.exit_code == 0
    pipeline = load(run.stdout, tmp_path / "pipelines")
    assert pipeline.name == "calibrated-plate-7"
    assert pipeline.interestingness is not None
    fitted = pipeline.interestingness.parameters
    slope, offset = np.polyfit(np.quantile(slopes, [0.25, 0.5, 0.75]), [-math.log(3), 0, math.log(3)], 1)
    assert fitted["feature"] == "plls"
    assert fitted["k"] == pytest.approx(slope, rel=1e-5)
    assert fitted["x0"] == pytest.approx(-offset / slope, abs=1e-4)
    tiers = Counter(tier_of(pipeline, {"plls": value, "empty": False}) for value in slopes)
    assert set(tiers) == {"tierA", "tierB", "tierC", "tierD"}
    assert tier_of(pipeline, {"plls": max(slopes), "empty": False}) == "tierA"
    assert tier_of(pipeline, {"plls": max(slopes), "empty": True}) == "empty"
    assert "3 of 15 left out (2: empty field; 1: all pixels have the same value (7)" in run.stderr
    assert "tierB" in run.stderr
    assert "####" in run.stderr


def test_json_tells_the_same(plate: tuple[Path, list[float]]) -> None:
    folder, slopes = plate
    told = json.loads(haste("calibrate", folder, "--json").stdout)
    pipeline = Pipeline.parse(told["pipeline"])
    assert told["groups"]["images"]["images"] == 12
    assert sum(told["groups"]["images"]["left_out"].values()) == 3
    counted = Counter(tier_of(pipeline, {"plls": value, "empty": False}) for value in slopes)
    assert {tier: counts["images"] for tier, counts in told["tiers"].items()} == counted
    assert sum(one["counts"]["images"] for one in told["histogram"]) == 12
    assert (told["histogram"][0]["lo"], told["histogram"][-1]["hi"]) == (min(slopes), max(slopes))
    for target in told["targets"]:
        assert target["value"] == pytest.approx(np.quantile(slopes, target["share"]))
        exponent = -told["k"] * (target["value"] - told["x0"])
        assert target["score"] == pytest.approx(1 / (1 + math.exp(exponent)))


def test_sorted_images_are_parted(sorted_images: Path, tmp_path: Path) -> None:
    run = haste("calibrate", sorted_images, "--name", "dapi-focus")
    assert run.exit_code == 0
    pipeline = load(run.stdout, tmp_path / "pipelines")
    assert pipeline.name == "dapi-focus"
    told = json.loads(haste("calibrate", sorted_images, "--json").stdout)
    assert told["groups"]["blurred"]["left_out"] == {"empty field": 1}
    assert told["tiers"]["tierA"] == {"sharp": 6}
    assert told["tiers"]["tierD"] == {"blurred": 6}
    assert told["area_under_roc_curve"] == 1
    assert told["warnings"] == []
    assert "1 of 13 left out: empty field" in run.stderr
    assert "in 100.0% of all pairs" in run.stderr


def test_pipelines_of_plls_are_not_fooled_either(sorted_images: Path) -> None:
    told = json.loads(haste("calibrate", sorted_images, "--json").stdout)
    pipeline = Pipeline.parse(told["pipeline"])
    assert pipeline.parameters == {"focus-score": {"features": ["lifts"]}}
    bright = {"plls": told["x0"] + 5 / told["k"], "empty": False, "speck_lift": 0.0, "noise_lift": 0.0}
    assert tier_of(pipeline, bright) == "tierA"
    assert tier_of(pipeline, bright | {"noise_lift": 0.3}) == "empty"
    assert tier_of(pipeline, bright | {"speck_lift": 4 / told["k"] + 0.3}) == "empty"
    assert tier_of(pipeline, bright | {"plls": told["x0"] - 2 / told["k"], "noise_lift": 0.3}) == "tierD"


def test_the_shipped_conditions_are_those_of_the_papers_curve() -> None:
    shipped = load_pipelines()["focus-tier"]
    assert shipped.policy is not None
    assert shipped.interestingness is not None
    conditions = not_fooled(LogisticCurve(k=4.5, x0=-1.4), shipped.policy)
    assert list(conditions.items()) == list(dict(shipped.interestingness.undefined_if or {}).items())


def test_swapped_folders_are_noticed(sorted_images: Path) -> None:
    run = haste("calibrate", sorted_images, "--sharp", "Blurred", "--blurred", "sharp", "--json")
    told = json.loads(run.stdout)
    assert told["k"] < 0
    assert told["pipeline"]["interestingness"]["undefined_if"] == "empty"
    assert "Are the folders swapped" in told["warnings"][0]
    assert told["warnings"][0] in run.stderr


def test_with_quantiles_sorted_images_are_one_group(sorted_images: Path) -> None:
    told = json.loads(haste("calibrate", sorted_images, "--quantiles", "0.75,0.5,0.25", "--json").stdout)
    assert told["groups"]["images"]["images"] == 13
    assert told["k"] < 0


def test_another_feature_is_asked_for_in_the_pipeline(plate: tuple[Path, list[float]]) -> None:
    told = json.loads(
        haste("calibrate", plate[0], "--feature", "mean_intensity", "--parameter", "z=max", "--json").stdout
    )
    pipeline = Pipeline.parse(told["pipeline"])
    assert pipeline.parameters == {"focus-score": {"z": "max", "features": ["intensity"]}}
    assert told["feature"] == "mean_intensity"
    assert all(100 < target["value"] < 1000 for target in told["targets"])


def test_a_policy_of_ones_own_gives_the_borders(plate: tuple[Path, list[float]], tmp_path: Path) -> None:
    policy = {
        "intervals": [
            {"lo": 0, "hi": 0.4, "tier": "archive"},
            {"lo": 0.4, "hi": 0.9, "tier": "disk"},
            {"lo": 0.9, "hi": 1, "tier": "fast"},
        ],
        "undefined": "empty",
    }
    for name, value in (("policy", policy), ("pipeline", {"name": "x", "policy": policy})):
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(value))
        run = haste("calibrate", plate[0], "--policy", tmp_path / f"{name}.yaml", "--json")
        told = json.loads(run.stdout)
        assert [(target["share"], target["border"]) for target in told["targets"]] == [
            (pytest.approx(1 / 3), 0.4),
            (pytest.approx(2 / 3), 0.9),
        ]
        # Two quantiles are met exactly.
        assert all(abs(target["score"] - target["border"]) < 1e-3 for target in told["targets"])
        assert set(told["tiers"]) == {"archive", "disk", "fast"}


def test_images_of_two_kinds_raise_a_warning(plate: tuple[Path, list[float]], tmp_path: Path) -> None:
    for path in sorted(plate[0].glob("A*.tif")):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    Image.fromarray(np.arange(128 * 128, dtype=np.uint8).reshape(128, 128)).save(tmp_path / "other.png")
    run = haste("calibrate", tmp_path, "--json")
    assert run.exit_code == 0
    assert "different kinds" in json.loads(run.stdout)["warnings"][0]


def test_what_cannot_be_read_is_listed_and_the_rest_is_fitted(
    plate: tuple[Path, list[float]], tmp_path: Path
) -> None:
    for path in plate[0].glob("A*.tif"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "C01.tif").write_bytes(b"II*\0")
    run = haste("calibrate", tmp_path, "--json")
    assert run.exit_code == 1
    assert "C01.tif: not a readable image" in run.stderr
    told = json.loads(run.stdout)
    assert told["groups"]["images"]["images"] == 12
    assert len(told["groups"]["images"]["failed"]) == 1


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (["--quantiles", "0.5"], 2, "3 numbers between 0 and 1"),
        (["--quantiles", "0.25,0.75,0.5"], 2, "rising; or falling"),
        (["--quantiles", "25,50,75"], 2, "between 0 and 1"),
        (["--quantiles", "nan,0.5,0.7"], 2, "between 0 and 1"),
        (["--quantiles", "a few"], 2, "no list like"),
        (["--feature", "sharpness"], 2, "choose from plls, signal_fraction, snr"),
        (["--feature", "intensity"], 2, "mean_intensity"),
        (["--sharp", "gut"], 2, "two sub-folders, gut and blurred"),
        (["--name", "No Name"], 2, "name"),
        (["--policy", "nowhere.yaml"], 2, "nowhere.yaml"),
        (["--pattern", "*_DAPI.tif"], 2, r"no file whose name is like \*_DAPI.tif"),
        (["--pattern", "A0[1-4].tif"], 1, "4 images that have a value are too few for 4 tiers; take 8"),
        (["--pattern", "B*.tif"], 1, "0 images that have a value.*3 of 3 left out"),
        (["--feature", "hot_pixels"], 1, "are the same"),
        (["--function", "spline"], 2, "logistic"),
    ],
)
def test_what_does_not_work_says_why(
    plate: tuple[Path, list[float]], arguments: list[str], code: int, reason: str
) -> None:
    run = haste("calibrate", plate[0], *arguments)
    assert run.exit_code == code
    assert run.stdout == ""
    assert re.search(reason, run.stderr)


def test_two_tiers_need_sorted_images(
    plate: tuple[Path, list[float]], sorted_images: Path, tmp_path: Path
) -> None:
    path = tmp_path / "two.yaml"
    path.write_text(
        "intervals: [{lo: 0, hi: 0.5, tier: trash}, {lo: 0.5, hi: 1, tier: disk}]\nundefined: trash\n"
    )
    refused = haste("calibrate", plate[0], "--policy", path)
    assert refused.exit_code == 2
    assert "sub-folders sharp and blurred" in refused.stderr
    told = json.loads(haste("calibrate", sorted_images, "--policy", path, "--json").stdout)
    assert told["tiers"] == {"trash": {"blurred": 6}, "disk": {"sharp": 6}}


def test_a_policy_file_that_is_none_is_told(plate: tuple[Path, list[float]], tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    for text, reason in (
        ("[", "cannot be read as YAML"),
        ("intervals: []", "policy.yaml: undefined"),
        ("7", "policy.yaml: should be an object"),
    ):
        path.write_text(text)
        run = haste("calibrate", plate[0], "--policy", path)
        assert run.exit_code == 2
        assert reason in run.stderr


def test_the_curve_is_drawn(plate: tuple[Path, list[float]], sorted_images: Path, tmp_path: Path) -> None:
    for name, folder in (("plate", plate[0]), ("sorted", sorted_images)):
        assert haste("calibrate", folder, "--png", tmp_path / f"{name}.png").exit_code == 0
        with Image.open(tmp_path / f"{name}.png") as picture:
            assert picture.format == "PNG"
            assert min(picture.size) > 500
            assert len(picture.convert("RGB").getcolors(1 << 20)) > 20


def test_without_matplotlib_it_says_what_to_install(
    plate: tuple[Path, list[float]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    run = haste("calibrate", plate[0], "--png", tmp_path / "a.png")
    assert run.exit_code == 2
    assert "pip install matplotlib" in run.stderr
    assert run.stdout == ""
