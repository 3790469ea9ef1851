"""`haste evaluate`: what a person says against what was measured."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from haste_apps.measuring.plots import draw_roc, new_figure
from haste_core.evaluation import best_threshold, roc_curve
from tests.unit.apps.image_folders import haste, write_constant, write_empty, write_field

TABLE = """image,label,score
a.tif,good,0.9
b.tif,good,0.8
c.tif,bad,0.8
d.tif,good,0.6
e.tif,bad,0.4
f.tif,bad,0.1
g.tif,bad,
"""


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    """Return a table with scores; none of its images is there."""
    path = tmp_path / "labels.csv"
    path.write_text(TABLE)
    return path


@pytest.fixture
def plate(tmp_path: Path) -> tuple[Path, dict[str, list[float]]]:
    """Return a table of images in a sub-folder, and their PLLS by what a person says."""
    slopes: dict[str, list[float]] = {"good": [], "bad": []}
    rows = ["Image;Label;Note"]
    blurs_px = (("good", (0, 0.5, 1, 2.5)), ("bad", (1.5, 2, 3, 4)))
    for label, blurs in blurs_px:
        for number, blur_px in enumerate(blurs):
            name = f"plate/{label}{number}.tif"
            slopes[label].append(write_field(tmp_path / name, seed=1, blur_px=blur_px))
            rows.append(f'{name};{label};"{blur_px}; as seen"')
    write_empty(tmp_path / "plate/empty.tif", seed=1)
    write_constant(tmp_path / "plate/dark.tif")
    rows += ["plate/empty.tif;bad;", "plate/dark.tif;bad;", ";;"]
    path = tmp_path / "labels.csv"
    path.write_bytes("\r\n".join(rows).encode("utf-8-sig"))  # as Excel writes it in much of Europe
    return path, slopes


def told_of(*arguments: object) -> dict[str, Any]:
    run = haste("evaluate", *arguments, "--json")
    assert run.exit_code == 0, run.stderr
    told: dict[str, Any] = json.loads(run.stdout)
    return told


def test_images_are_measured_and_compared_with_the_labels(plate: tuple[Path, dict[str, list[float]]]) -> None:
    path, slopes = plate
    told = told_of(path)
    good, bad = np.array(slopes["good"]), np.array(slopes["bad"])
    assert told["feature"] == "plls"
    assert (told["good"]["images"], told["bad"]["images"]) == (4, 4)
    assert sum(told["bad"]["left_out"].values()) == 2
    assert told["bad"]["left_out"]["empty field"] == 1
    assert told["area_under_roc_curve"] == pytest.approx((good[:, None] > bad).mean())
    best = max((good >= t).mean() - (bad >= t).mean() for t in [*good, *bad])
    assert told["best"]["youden_j"] == pytest.approx(best)
    assert (good >= told["best"]["threshold"]).sum() == told["best"]["true_good"]
    assert (bad >= told["best"]["threshold"]).sum() == told["best"]["false_good"]


def test_a_column_of_scores_is_taken_and_no_image_read(labels: Path) -> None:
    told = told_of(labels, "--threshold", "0.5")
    assert told["feature"] == "score"
    assert told["area_under_roc_curve"] == pytest.approx(7.5 / 9)  # one of nine pairs ties, one is wrong
    assert told["bad"]["left_out"] == {"no score": 1}
    points = [(point["threshold"], point["true_good"], point["false_good"]) for point in told["roc_curve"]]
    assert points == [(None, 0, 0), (0.9, 1, 0), (0.8, 2, 1), (0.6, 3, 1), (0.4, 3, 2), (0.1, 3, 3)]
    assert told["best"] == pytest.approx(
        {
            "threshold": 0.5,
            "true_good": 3,
            "false_bad": 0,
            "false_good": 1,
            "true_bad": 2,
            "sensitivity": 1,
            "specificity": 2 / 3,
            "youden_j": 2 / 3,
        }
    )
    assert told["asked"] == told["best"]


def test_tables_for_people(labels: Path) -> None:
    run = haste("evaluate", labels, "--threshold", "0.85")
    assert run.exit_code == 0
    for part in (
        "score of 3 good and 3 bad images; 1 of 7 left out: no score",
        "Area under the ROC curve: 0.833",
        "Best threshold (where Youden's J is largest): good where score >= 0.5.",
        "As asked for: good where score >= 0.85. Sensitivity 0.333, specificity 1.000",
        "0.667 best",
    ):
        assert part in run.stdout
    cells = [[cell.strip() for cell in line.strip("│").split("│")] for line in run.stdout.splitlines()]
    assert ["good", "3", "0"] in cells
    assert ["bad", "1", "2"] in cells
    assert ["good", "1", "2"] in cells
    assert ["bad", "0", "3"] in cells


def test_a_long_curve_is_shown_in_part_with_its_best_point(tmp_path: Path) -> None:
    generator = np.random.default_rng(1)
    rows = [f"{n}.tif,{'good' if n % 2 else 'bad'},{n % 2 + generator.normal()}" for n in range(400)]
    (tmp_path / "labels.csv").write_text("\n".join(["image,label,plls", *rows]))
    run = haste("evaluate", tmp_path / "labels.csv")
    points = [line for line in run.stdout.splitlines() if line.startswith("│") and "good" not in line]
    assert 10 < len(points) < 35
    assert sum("best" in line for line in points) == 1
    assert "401 points; --json has them all" in run.stderr


def test_another_feature_of_the_images(plate: tuple[Path, Any]) -> None:
    assert told_of(plate[0], "--feature", "mean_intensity")["best"]["threshold"] > 100


def test_a_column_by_its_name(labels: Path) -> None:
    labels.write_text("image\tlabel\tMine\na\tGOOD\t1,5\nb\tblurry\t0,5\n")
    told = told_of(labels, "--feature", "mine")
    assert (told["feature"], told["best"]["threshold"]) == ("mine", 1)


def test_low_values_of_the_good_raise_a_warning(labels: Path) -> None:
    labels.write_text("image,label,score\na,good,1\nb,bad,2\n")
    told = told_of(labels)
    assert told["area_under_roc_curve"] == 0
    assert "the bad images have the higher score" in told["warnings"][0]


def test_missing_images_are_listed_and_the_others_compared(plate: tuple[Path, Any]) -> None:
    path, _ = plate
    (path.parent / "plate/good0.tif").unlink()
    run = haste("evaluate", path, "--json")
    assert run.exit_code == 1
    assert "there is no file" in run.stderr
    told = json.loads(run.stdout)
    assert told["good"]["images"] == 3
    assert told["good"]["failed"][0]["file"].endswith("good0.tif")


@pytest.mark.parametrize(
    ("text", "code", "reason"),
    [
        ("", 2, "no column image and no column label"),
        ("image,verdict\na,good\n", 2, "no column label"),
        ("image,label\n", 2, "it names no image"),
        ("image,label\na,good\nb,yes\n", 2, "all its images are good"),
        ("image,label\na,good\nb,so-so\nc,so-so\n", 2, "not known: 'so-so' (2 times, first in line 3). W"),
        ("image,label\na,good\nb\n", 2, "not known: '' (1 times, first in line 3)"),
        ("image,label\n,good\nb,bad\n", 2, "line 2: it names no image"),
        ("image,label\na,good\n./b,bad\nb,good\n", 2, "line 4: b was there before, in line 3"),
        ("image,label,score\na,good,high\nb,bad,nan\n", 2, "line 3: 'nan' in the column 'score'"),
        ("image,label,score\na,good,0.5\nb,bad,\n", 1, "1 images that are labelled good and 0 labelled bad"),
        ("image,label\na,good\nb,bad\n", 1, "there is no file"),
        (b"image,label\n\xe4,good\n", 2, "UTF-8"),
        ("image,label\n" + "".join(f"{n},meh{n}\n" for n in range(50)), 2, "and 30 more. Write good or bad"),
        ("image,label\n" + ",good\n" * 50, 2, "and 30 more lines like these"),
    ],
)
def test_a_table_that_is_not_clear_says_where(
    tmp_path: Path, text: str | bytes, code: int, reason: str
) -> None:
    path = tmp_path / "labels.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    run = haste("evaluate", path)
    assert run.exit_code == code
    assert reason in run.stderr
    assert run.stdout == ""


def test_labels_may_be_written_in_many_ways(labels: Path) -> None:
    good, bad = (
        ["Good", "sharp", "IN FOCUS", "in_focus", "yes", "1", " keep "],
        ["BAD", "Out-of-Focus", "0", "no"],
    )
    rows = [f"{label}.tif,{label},{score}" for score, written in ((1, good), (0, bad)) for label in written]
    labels.write_text("\n".join(["image,label,score", *rows]))
    told = told_of(labels)
    assert (told["good"]["images"], told["bad"]["images"], told["area_under_roc_curve"]) == (7, 4, 1)


def test_the_curve_is_drawn(labels: Path, tmp_path: Path) -> None:
    assert haste("evaluate", labels, "--png", tmp_path / "roc.png").exit_code == 0
    with Image.open(tmp_path / "roc.png") as picture:
        assert picture.format == "PNG"


def test_the_drawn_curve_goes_through_the_points() -> None:
    good, bad = [3.0, 2.0, 1.0], [2.0, 0.0]
    figure = new_figure()
    draw_roc(figure, roc_curve(good, bad), best_threshold(good, bad), area=0.75)
    curve, _, best = figure.axes[0].lines
    expected = [[0, 0], [0, 1 / 3], [1 / 2, 2 / 3], [1 / 2, 1], [1, 1]]
    np.testing.assert_allclose(curve.get_xydata(), expected)
    np.testing.assert_allclose(best.get_xydata(), [[1 / 2, 1]])
    assert math.isclose(best_threshold(good, bad).threshold, 0.5)
