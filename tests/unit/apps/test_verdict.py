import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile

from haste_apps.demo.verdict import Truth, faults, mean_defocus_by_tier
from haste_client import Result
from haste_client.answers import Place
from haste_core.policies import IntervalPolicy

POLICY = IntervalPolicy.model_validate(
    {
        "intervals": [{"lo": 0, "hi": 0.5, "tier": "tierB"}, {"lo": 0.5, "hi": 1, "tier": "tierA"}],
        "undefined": "empty",
    }
)
TRUTH = {
    "sharp.tif": Truth(0.5, empty=False),
    "blurred.tif": Truth(-6.0, empty=False),
    "empty.tif": Truth(0.0, empty=True),
}
TIERS = {"sharp.tif": "tierA", "blurred.tif": "tierB", "empty.tif": "empty"}
SCORES = {"sharp.tif": 0.9, "blurred.tif": 0.2, "empty.tif": None}


@pytest.fixture
def results(tmp_path: Path) -> list[Result]:
    """Put three images where they belong."""
    made = []
    (tmp_path / "images").mkdir()
    for number, (name, tier) in enumerate(TIERS.items()):
        pixels = np.full((8, 8), number, np.uint16)
        tifffile.imwrite(tmp_path / "images" / name, pixels)
        stored = tmp_path / "tiers" / tier / "demo" / name
        stored.parent.mkdir(parents=True)
        tifffile.imwrite(stored, pixels, compression="zlib")
        sha256 = hashlib.sha256(stored.read_bytes()).hexdigest()
        place = Place(url=stored.as_uri(), site="default", sha256=sha256, size_bytes=1)
        made.append(
            Result(name, number, state="done", code=200, interestingness=SCORES[name], tier=tier, place=place)
        )
    return made


def judge(results: list[Result], tmp_path: Path, truth: dict[str, Truth] | None = None) -> list[str]:
    return faults(
        results,
        truth=truth or TRUTH,
        images_dir=tmp_path / "images",
        tiers_dir=tmp_path / "tiers",
        policy=POLICY,
    )


def test_images_at_their_right_ends_have_no_fault(results: list[Result], tmp_path: Path) -> None:
    assert judge(results, tmp_path) == []
    assert mean_defocus_by_tier(results, TRUTH) == {"tierA": 0.5, "tierB": 6.0}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"state": "failed", "message": "disk full"}, "sharp.tif is failed: disk full"),
        ({"tier": "empty"}, "shows cells, but went to empty"),
        ({"tier": "tierB"}, "has the score 0.9, that is tierA, but went to tierB"),
        ({"tier": "tierB", "interestingness": 0.2}, "belongs to tierB, but is at"),
        ({"interestingness": None}, "has the score None, that is empty, but went to tierA"),
        ({"interestingness": 1.5}, "has the score 1.5, that is no tier at all"),
        ({"place": None}, "is not in its tier"),
        ({"place": Place(url="root://landing/x.tif", site="default")}, "is not in its tier"),
    ],
)
def test_an_image_at_a_wrong_end_is_named(
    results: list[Result], tmp_path: Path, change: dict[str, object], said: str
) -> None:
    results[0] = replace(results[0], **change)  # type: ignore[arg-type]
    assert any(said in fault for fault in judge(results, tmp_path))


def test_a_lost_image_is_named(results: list[Result], tmp_path: Path) -> None:
    assert judge(results[1:], tmp_path) == ["sharp.tif was written, but never became a job"]


def test_an_empty_field_with_a_score_is_named(results: list[Result], tmp_path: Path) -> None:
    truth = {**TRUTH, "sharp.tif": Truth(0.0, empty=True)}
    assert "sharp.tif is empty, but went to tierA" in judge(results, tmp_path, truth)


@pytest.mark.parametrize("damage", ["lost", "changed", "other pixels"])
def test_damaged_content_is_named(results: list[Result], tmp_path: Path, damage: str) -> None:
    stored = tmp_path / "tiers/tierA/demo/sharp.tif"
    if damage == "lost":
        stored.unlink()
    elif damage == "changed":
        stored.write_bytes(stored.read_bytes() + b"x")
    else:
        tifffile.imwrite(tmp_path / "images/sharp.tif", np.ones((8, 8), np.uint16))
    (fault,) = judge(results, tmp_path)
    assert str(stored) in fault


def test_tiers_in_the_wrong_order_are_named(results: list[Result], tmp_path: Path) -> None:
    truth = {**TRUTH, "blurred.tif": Truth(0.1, empty=False)}
    (fault,) = judge(results, tmp_path, truth)
    assert fault.startswith("tierA should be in better focus than tierB")


def test_a_wrong_tier_is_named_though_the_order_of_the_tiers_is_right(
    results: list[Result], tmp_path: Path
) -> None:
    stored = tmp_path / "tiers/tierB/demo/sharp.tif"
    (tmp_path / "tiers/tierA/demo/sharp.tif").rename(stored)
    place = Place(url=stored.as_uri(), site="default", sha256=results[0].place.sha256, size_bytes=1)  # type: ignore[union-attr]
    results[0] = replace(results[0], tier="tierB", place=place)
    assert judge(results, tmp_path) == ["sharp.tif has the score 0.9, that is tierA, but went to tierB"]
