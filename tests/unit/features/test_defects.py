"""Hot pixels are counted, and nothing that a microscope shows."""

import numpy as np
import pytest

from haste_core.features import UndefinedFeatureError
from haste_core.features.defects import hot_pixels
from tests.unit.features.fields import levels, noise, spots


@pytest.mark.parametrize("gain", [1, 10])
def test_each_defect_counts_once(gain: float) -> None:
    image = levels(noise(1) * gain)
    for number in range(7):
        image[40 + 60 * number, 30 + 17 * number] = 20_000
    assert hot_pixels(image) == 7
    assert hot_pixels(image.T) == 7
    assert hot_pixels(image.astype(np.float32) * -1) == 0


@pytest.mark.parametrize("blur_px", [0.7, 1, 2, 4])
def test_objects_and_their_noise_are_no_defects(blur_px: float) -> None:
    assert hot_pixels(levels(spots(1, blur_px=blur_px))) == 0


def test_the_bright_pixels_of_dark_objects_are_no_defects() -> None:
    assert hot_pixels(levels(20_000 - spots(1, blur_px=1))) == 0


@pytest.mark.parametrize("seed", range(5))
def test_noise_is_no_defect(seed: int) -> None:
    assert hot_pixels(levels(noise(seed, (1024, 1024)))) == 0


def test_ripples_of_compression_on_a_white_ground_are_no_defects() -> None:
    image = np.ones((64, 64), np.float32)
    image[20:30, 20:30] = 0.2
    image[5::9, 5::9] = 1.0005
    assert hot_pixels(image) == 0
    image[40, 40] = 2.5
    assert hot_pixels(image) == 1


def test_a_synthetic_image_without_noise_may_have_one() -> None:
    image = np.zeros((32, 32), np.uint8)
    assert hot_pixels(image) == 0
    image[5, 5] = 1
    assert hot_pixels(image) == 0
    image[5, 5] = 9
    assert hot_pixels(image) == 1


def test_what_has_no_neighbours_is_undefined() -> None:
    with pytest.raises(UndefinedFeatureError, match="eight neighbours"):
        hot_pixels(np.ones((2, 64)))
    with pytest.raises(UndefinedFeatureError, match="NaN"):
        hot_pixels(np.full((64, 64), np.nan))
