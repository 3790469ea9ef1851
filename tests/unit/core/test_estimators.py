"""Estimators of what preprocessing saves, against the same computed the long way."""

import time

import numpy as np
import pytest

from haste_core.estimators import Budget, CpuSeconds, Interpolation, Prospects, SmoothCourse
from haste_core.estimators.likelihood import Nature
from haste_core.estimators.peaks import Peaks
from haste_core.estimators.waiting_cells import WaitingCells

RNG = np.random.default_rng(7)


def a_course(count: int, width: float) -> np.ndarray:
    """Draw a smooth course about 100 with a standard deviation of 30."""
    noise = RNG.standard_normal(count + 8 * int(width))
    kernel = np.exp(-(np.arange(-4 * width, 4 * width + 1) ** 2) / (2 * width**2))
    course = np.convolve(noise, kernel, mode="same")[4 * int(width) : 4 * int(width) + count]
    return 100 + 30 * (course - course.mean()) / course.std()


def the_long_way(
    nature: Nature, places: np.ndarray, values: np.ndarray, asked: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Compute mean and variance of a Gaussian process from all observations at once."""

    def covariance(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        scaled = np.sqrt(3) * np.abs(first[:, None] - second[None, :]) / nature.length
        return nature.variance * (1 + scaled) * np.exp(-scaled)

    among = covariance(places, places) + nature.noise * nature.variance * np.eye(len(places))
    to_asked = covariance(asked, places)
    mean = nature.level + to_asked @ np.linalg.solve(among, values - nature.level)
    variance = nature.variance - np.einsum("ij,ji->i", to_asked, np.linalg.solve(among, to_asked.T))
    return mean, variance


def test_is_a_gaussian_process_whatever_the_order_and_however_far_it_reaches() -> None:
    truth = a_course(600, 8.0)
    course = SmoothCourse(1.0)
    places = RNG.choice(600, 150, replace=False)
    for place in places:
        course.observe(int(place), float(truth[place]))
    asked = np.arange(600)
    cells = course.cells(asked)
    size = course.cell_size
    mean, variance = the_long_way(
        course.nature, course.cells(places) * size, truth[places], course.cells(asked) * size
    )
    spread = np.sqrt(course.nature.variance)
    assert course.mean[cells] == pytest.approx(mean, abs=0.02 * spread)
    assert course.variance[cells] == pytest.approx(variance, abs=0.02 * spread**2)


@pytest.mark.parametrize("noise", [0.5, 10.0])
def test_its_uncertainty_is_honest(noise: float) -> None:
    truth = a_course(1500, 12.0)
    seen = truth + noise * RNG.standard_normal(1500)
    course = SmoothCourse(1.0)
    for place in RNG.choice(1500, 120, replace=False):
        course.observe(int(place), float(seen[place]))
    cells = course.cells(np.arange(1500))
    errors = (seen - course.mean[cells]) / np.sqrt(course.variance[cells] + course.noise)
    assert 0.88 < np.mean(np.abs(errors) < 2) <= 1
    assert np.std(seen - course.mean[cells]) < 0.8 * np.std(seen)


def test_knows_that_it_does_not_know() -> None:
    course = SmoothCourse(1.0)
    for place in range(0, 200, 4):
        course.observe(place, 100 + 20 * np.sin(place / 10))
    course.cover(5000)
    near, far = course.cells(np.array([101, 4000]))
    assert course.variance[near] < 0.05 * course.variance[far]
    assert course.variance[far] == pytest.approx(course.nature.variance)
    assert course.mean[far] == pytest.approx(course.nature.level)


def test_finds_no_course_where_there_is_none() -> None:
    course = SmoothCourse(1.0)
    for place in range(0, 600, 3):
        course.observe(place, float(RNG.normal(100, 20)))
    assert np.std(course.mean[: 600 // course.cell_size]) < 8
    assert np.sqrt(course.noise + course.variance[0]) == pytest.approx(20, rel=0.3)


def test_indices_may_lie_far_apart() -> None:
    course = SmoothCourse(1.0)
    course.observe(10**9, 5.0)
    course.observe(7, 3.0)
    low, high = course.cells(np.array([7, 10**9]))
    assert course.mean[low] < course.mean[high]
    assert len(course.mean) <= 2**16


def test_keeps_to_one_core() -> None:
    course = SmoothCourse(1.0)
    began_all, began_own = time.process_time(), time.thread_time()
    for place in range(120):
        course.observe(place, 100 + 20 * np.sin(place / 10))
    own_s = time.thread_time() - began_own
    assert time.process_time() - began_all < 1.4 * own_s


def test_the_paper_interpolates_between_four_known_images_that_save_something() -> None:
    line = Interpolation()
    for index, value in ((30, 300.0), (10, 100.0), (20, -5.0), (12, 0.0), (40, 100.0)):
        line.observe(index, value)
    assert line.expected([0, 10, 99]) == [1.0, 1.0, 1.0]
    line.observe(50, 200.0)
    assert line.expected([0, 10, 20, 35, 45, 99]) == [100.0, 100.0, 200.0, 200.0, 150.0, 200.0]


def test_cpu_seconds_follow_what_is_saved() -> None:
    cost = CpuSeconds()
    worths = RNG.uniform(0, 3e5, 200)
    for worth in worths:
        cost.observe(worth, 5e-7 + 1e-12 * worth)
    assert cost.expected(np.array([0.0, 3e5])) == pytest.approx([5e-7, 8e-7], rel=0.03)
    steady = CpuSeconds()
    steady.observe(1e5, 4e-7)
    assert steady.expected(np.array([0.0, 5e5])) == pytest.approx([4e-7, 4e-7])


def test_expects_bytes_seconds_and_so_bytes_per_second() -> None:
    prospects = Prospects()
    for index in range(0, 300, 2):
        prospects.learn(index, 500_000, saved_bytes=50_000 + 100 * index, cpu_s=0.4)
    expectation = prospects.expected(101, 500_000)
    assert expectation.saved_bytes == pytest.approx(60_100, rel=0.05)
    assert expectation.cpu_s == pytest.approx(0.4, rel=0.02)
    assert expectation.saved_per_s == pytest.approx(60_100 / 0.4, rel=0.05)
    assert 0 < expectation.saved_sd_bytes < 5_000
    assert prospects.expected(101, 1_000_000).saved_bytes == pytest.approx(2 * expectation.saved_bytes)


def test_looks_where_it_is_unsure_unless_time_is_short() -> None:
    prospects = Prospects()
    for index in range(200):
        prospects.add(index, 500_000)
    for index in (*range(0, 60, 3), *range(140, 200, 3)):  # nothing is known from 60 to 140
        saved = 50_000 + 30_000 * np.sin(index / 12)
        prospects.remove(index)
        prospects.learn(index, 500_000, saved_bytes=int(saved), cpu_s=0.4)
    ample, short = Budget(77e6, 2e6, 1), Budget(1e6, 2e6, 1)
    unsure = prospects.best(ample, under_way=(), more_to_come=False)
    assert unsure in range(75, 125)
    elsewhere = prospects.best(ample, under_way=[unsure], more_to_come=False)
    assert elsewhere is not None
    assert abs(elsewhere - unsure) > 10
    at_a_peak = prospects.best(short, under_way=(), more_to_come=False)
    assert at_a_peak in {*range(13, 26), *range(163, 176)}
    in_a_trough = prospects.least()
    assert in_a_trough in range(50, 60)


def test_many_come_and_go() -> None:
    prospects = Prospects()
    for index in range(10_000):
        prospects.add(index, 1000)
        if index >= 100:
            prospects.remove(index - 100)
    assert len(prospects) == 100
    assert prospects.least() == 9_900
    assert len(prospects._waits) < 2_000


@pytest.mark.parametrize("length", [65, 5_000, 65_536])
def test_the_highest_values_are_found_among_many_that_are_the_same(length: int) -> None:
    values = np.ones(length)
    step = max(1, length // 40)
    values[::step] += np.arange(len(values[::step]))
    values[3] = -np.inf
    peaks = Peaks(np.full(length, 7.0))
    peaks.put(np.arange(length), values)
    found = peaks.highest(64)
    assert len(set(found.tolist())) == 64
    assert sorted(values[found]) == sorted(np.sort(values)[-64:])
    alike = sorted(place for place in found if values[place] == 1)
    assert alike == [place for place in range(length) if values[place] == 1][: len(alike)]


def test_of_few_values_only_those_that_are_there_are_found() -> None:
    peaks = Peaks(np.full(1000, -np.inf))
    assert peaks.highest(5).tolist() == []
    for place, value in ((999, 1.0), (40, 3.0), (41, 2.0), (700, 3.0)):
        peaks.put(np.array([place]), np.array([value]))
    assert peaks.highest(9).tolist() == [40, 41, 700, 999]
    assert peaks.highest(1).tolist() == [40]
    assert peaks.finite().tolist() == [40, 41, 700, 999]
    assert peaks.last_finite() == 999
    peaks.put(np.array([999]), np.array([-np.inf]))
    assert peaks.last_finite() == 700


def test_what_waits_by_cell_is_as_if_it_were_counted_anew_each_time() -> None:
    course = SmoothCourse(1.0, fits_itself=False)
    course.cover(5_999)
    cells = WaitingCells(course, np.arange(6_000))
    waiting = np.ones(6_000, bool)
    for index in RNG.choice(6_000, 400, replace=False):
        waiting[index] = False
        cells.remove(index // course.cell_size)
        cells.change(course.observe(int(index), float(RNG.normal(1.0, 0.5))))
        anew = WaitingCells(course, np.flatnonzero(waiting))
        assert cells.least() == anew.least()
        assert cells.last == anew.last
        assert cells.most_hopeful(64).tolist() == anew.most_hopeful(64).tolist()
    sample, each = cells.sample()
    assert each == 3
    assert len(sample) == 5_600 // 3 + 1
    assert np.abs(sample - course.cells(np.flatnonzero(waiting)[::3])).max() <= 1
