"""A stack is as sharp as its sharpest plane that shows something."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from haste_core.features import measure
from haste_workers.imaging.image import Image
from haste_workers.imaging.stack import sharpest
from tests.unit.features.fields import noise, spots


def stack(*planes: NDArray[Any]) -> Image:
    return Image(planes=np.stack(planes), format="TIFF", dtype="float64", bits=64, colour=False)


def test_the_sharpest_plane_speaks() -> None:
    planes = [spots(1, blur_px=blur_px) for blur_px in (4, 2, 0, 1, 3)]
    assert sharpest(stack(*planes)) == (2, measure(planes[2]))


@pytest.mark.parametrize("without_signal", [noise(1, (256, 256)), np.zeros((256, 256))])
def test_planes_without_signal_stand_back(without_signal: NDArray[Any]) -> None:
    index, features = sharpest(stack(without_signal, spots(1, blur_px=3), without_signal))
    assert index == 1
    assert not features.empty


def test_a_stack_without_any_signal_is_empty() -> None:
    _, features = sharpest(stack(np.zeros((256, 256)), noise(1, (256, 256))))
    assert features.empty
    assert features.plls is not None


def test_an_undefined_stack_says_why() -> None:
    index, features = sharpest(stack(np.zeros((64, 64)), np.ones((64, 64))))
    assert index == 0
    assert features.undefined
