"""What was known when images were chosen, found out afterwards."""

import math

import pytest

from haste_core.edge_course import estimated_course
from haste_core.figures import Preprocessed


def course_of(worths: dict[int, float]) -> list[Preprocessed]:
    return [Preprocessed(number, 1e9 + at, worth, 1.0) for at, (number, worth) in enumerate(worths.items())]


def test_the_estimate_follows_the_images_and_is_unsure_where_there_are_none() -> None:
    images = course_of({number: 1e5 * (2 + math.sin(number / 12)) for number in range(0, 100, 3)})

    course = estimated_course(images, found=400)

    near = [abs(number - 50) for number in course.numbers].index(min(abs(n - 50) for n in course.numbers))
    assert course.expected[near] == pytest.approx(1e5 * (2 + math.sin(50 / 12)), rel=0.1)
    assert course.deviations[-1] > 5 * course.deviations[near]
    assert course.span == (0, 399)
    assert course.marks[0].searched


def test_who_comes_back_to_a_known_place_exploits_and_who_goes_far_away_searches() -> None:
    around = dict.fromkeys(range(100, 140), 200000.0)

    course = estimated_course(course_of({**around, 900: 1e5, 110 + 35: 2e5}), found=1000)

    ways = {mark.number: mark.searched for mark in course.marks}
    assert ways[900]
    assert not ways[139]
    assert sum(ways.values()) < 10
