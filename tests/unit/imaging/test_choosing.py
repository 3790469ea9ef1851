"""A file with several planes is as sharp as the sharpest that shows something, of those that were chosen."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from haste_core.errors import BadInputError
from haste_core.features import measure
from haste_workers.imaging.choosing import Choice, chosen_planes, projected, sharpest
from haste_workers.imaging.image import Metadata, OpenImage, Plane, Position
from tests.unit.features.fields import noise, spots


def plane(pixels: NDArray[Any], **position: int) -> Plane:
    return Plane(
        decode=lambda: pixels,
        decoded_bytes=pixels.nbytes,
        stored_bytes=pixels.nbytes,
        position=Position(**position),
        metadata=Metadata(channel_names=("DAPI", "Cy5")),
    )


def series(*planes: NDArray[Any]) -> list[Plane]:
    return [plane(pixels, z=z) for z, pixels in enumerate(planes)]


def test_the_sharpest_plane_speaks() -> None:
    images = [spots(1, blur_px=blur_px) for blur_px in (4, 2, 0, 1, 3)]
    best, pixels = sharpest(series(*images))
    assert best.position.z == 2
    assert pixels is images[2]


@pytest.mark.parametrize("without_signal", [noise(1, (256, 256)), np.zeros((256, 256))])
def test_planes_without_signal_stand_back(without_signal: NDArray[Any]) -> None:
    best, pixels = sharpest(series(without_signal, spots(1, blur_px=3), without_signal))
    assert best.position.z == 1
    assert not measure(pixels).empty


def test_a_stack_without_any_signal_is_empty() -> None:
    best, pixels = sharpest(series(np.zeros((256, 256)), noise(1, (256, 256))))
    assert best.position.z == 1
    assert measure(pixels).empty


def test_the_first_speaks_if_none_has_a_score() -> None:
    best, _ = sharpest(series(np.zeros((64, 64)), np.ones((64, 64))))
    assert best.position.z == 0


GRID = [
    plane(np.full((2, 2), 100 * scene + 10 * channel + z), scene=scene, channel=channel, z=z, time=scene)
    for scene in range(2)
    for z in range(3)
    for channel in range(2)
]
ACQUISITION = OpenImage(format="TIFF", dtype="uint16", bits=16, colour=False, planes=tuple(GRID))


def levels(planes: list[Plane]) -> list[int]:
    return sorted(int(plane.decode()[0, 0]) for plane in planes)


@pytest.mark.parametrize(
    ("choice", "left"),
    [
        (Choice(), [0, 1, 2, 10, 11, 12, 100, 101, 102, 110, 111, 112]),
        (Choice(channel=1), [10, 11, 12, 110, 111, 112]),
        (Choice(channel="cy5", z=2), [12, 112]),
        (Choice(channel="DAPI", z="max", scene=1), [100, 101, 102]),
        (Choice(time=0, z=0), [0, 10]),
    ],
)
def test_what_is_chosen_is_left(choice: Choice, left: list[int]) -> None:
    assert levels(chosen_planes(ACQUISITION, choice)) == left


def test_a_channel_is_found_by_its_name_in_each_scene() -> None:
    scenes = [("DAPI", "GFP"), ("GFP", "DAPI"), ("Cy5",)]
    planes = [
        replace(
            plane(np.full((2, 2), 10 * scene + channel), scene=scene, channel=channel),
            metadata=Metadata(channel_names=names),
        )
        for scene, names in enumerate(scenes)
        for channel in range(len(names))
    ]
    image = replace(ACQUISITION, planes=tuple(planes))
    assert levels(chosen_planes(image, Choice(channel="dapi"))) == [0, 11]
    assert levels(chosen_planes(image, Choice(channel="Cy5"))) == [20]


@pytest.mark.parametrize(
    ("choice", "reason"),
    [
        (Choice(channel=2), "no channel 2; there are 0 to 1, counted from 0"),
        (Choice(channel="GFP"), "no channel 'GFP'; its channels are DAPI, Cy5"),
        (Choice(z=3), "no z 3; there are 0 to 2"),
        (Choice(scene=1, time=0), "no time 0; there is only 1"),
    ],
)
def test_what_is_not_there_is_told(choice: Choice, reason: str) -> None:
    with pytest.raises(BadInputError, match=reason):
        chosen_planes(ACQUISITION, choice)


def test_a_projection_holds_the_highest_level_of_each_focus_series() -> None:
    rng = np.random.default_rng(4)
    stack = rng.integers(0, 9, (2, 3, 5, 7))
    planes = [plane(stack[channel, z], channel=channel, z=z) for z in range(3) for channel in range(2)]
    for channel, projection in enumerate(projected(planes)):
        assert projection.position.channel == channel
        np.testing.assert_array_equal(projection.decode(), stack[channel].max(axis=0))
