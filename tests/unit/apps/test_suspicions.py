from typing import Any

import pytest

from haste_apps import suspicions as suspecting

GREY = {"dtype": "uint16", "width": 512, "height": 512}


def images(scores: list[float | None], **features: Any) -> list[tuple[float | None, dict[str, Any]]]:
    return [(score, {**GREY, **features}) for score in scores]


def suspicions(scored: list[tuple[float | None, dict[str, Any]]]) -> list[str]:
    return suspecting.suspicions([score for score, _ in scored], [features for _, features in scored])


def test_scores_that_spread_raise_no_suspicion() -> None:
    assert suspicions(images([0.02, 0.2, 0.4, 0.6, 0.8, 0.97])) == []


@pytest.mark.parametrize(
    ("crowd", "end", "advice"), [(0.01, "near 0", "lower x0"), (0.99, "near 1", "higher x0")]
)
def test_a_crowd_at_one_end_is_told_with_what_to_change(crowd: float, end: str, advice: str) -> None:
    (said,) = suspicions(images([crowd] * 9 + [0.5]))
    assert end in said
    assert advice in said


def test_a_crowd_at_both_ends_asks_for_a_flatter_curve() -> None:
    (said,) = suspicions(images([0.01, 0.99] * 5))
    assert "smaller k" in said


def test_images_without_a_score_crowd_nowhere() -> None:
    assert suspicions(images([None] * 20)) == []
    assert suspicions(images([0.01, 0.02])) == []


def test_empty_fields_among_the_best_are_told_with_what_to_change() -> None:
    others = images([0.02, 0.2, 0.4, 0.6, 0.8])
    assert suspicions(others + images([None, 0.01], empty=True)) == []
    mixed = others + images([0.9, 0.8], empty=True)
    (said,) = suspicions(mixed)
    assert said.startswith("2 empty fields scored above 0.5: noise looks sharp")
    assert "`undefined_if: empty`" in said
    scores, measured = [score for score, _ in mixed], [features for _, features in mixed]
    assert suspecting.suspicions(scores, measured, of_sets=True) == []


@pytest.mark.parametrize("other", [{"dtype": "uint8"}, {"width": 1024, "height": 1024}])
def test_mixed_kinds_are_told(other: dict[str, Any]) -> None:
    mixed = images([0.5] * 3) + images([0.5] * 2, **other)
    (said,) = suspicions(mixed)
    assert said.startswith("the images are of different kinds (3 of uint16 512 x 512, 2 of")


def test_colour_among_grey_is_told() -> None:
    (said,) = suspicions(images([0.5] * 3) + images([0.5] * 2, colour=True))
    assert "2 of uint16 colour 512 x 512" in said


def test_a_cropped_row_is_no_other_kind() -> None:
    assert suspicions(images([0.5] * 3) + images([0.5] * 3, height=500)) == []
