"""Which plane of a file speaks for its image, and what to do where several could."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Literal, TypeAlias

import numpy as np
from pydantic import Field

from haste_core.errors import BadInputError
from haste_core.features import Features, measure
from haste_workers.imaging.image import OpenImage, Pixels, Plane

Index: TypeAlias = Annotated[int, Field(ge=0)]


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What a user wants of a file with several planes; of what is left, the sharpest plane speaks.

    Attributes
    ----------
    channel : int or str, optional
        Its number from 0, or its name in the file. None: all of them compete.
    z : int, "best" or "max"
        A plane's number from 0; or all compete; or the highest level of each pixel over all planes.
    time, scene : int, optional
        Number from 0 of a time point, or of an image of its own in the file (a position, a well).
        None: all of them compete.
    """

    channel: Index | str | None = None
    z: Index | Literal["best", "max"] = "best"
    time: Index | None = None
    scene: Index | None = None


def chosen_planes(image: OpenImage, choice: Choice) -> list[Plane]:
    """List the planes of a file that a choice leaves.

    Parameters
    ----------
    image : OpenImage
    choice : Choice

    Returns
    -------
    list of Plane
        At least one.

    Raises
    ------
    BadInputError
        The file has no such channel, plane, time point or scene; or has not all combinations of them.
    """
    wanted = {
        "scene": choice.scene,
        "time": choice.time,
        "channel": choice.channel if isinstance(choice.channel, int) else None,
        "z": choice.z if isinstance(choice.z, int) else None,
    }
    left = list(image.planes)
    if isinstance(choice.channel, str):
        left = _of_channel(left, choice.channel)
    for axis, number in wanted.items():
        if number is None:
            continue
        there = sorted({getattr(plane.position, axis) for plane in left})
        left = [plane for plane in left if getattr(plane.position, axis) == number]
        if not left:
            raise BadInputError(
                f"the file has no {axis} {number}; there {_are(there)}, counted from 0. Choose another in "
                "the parameters of the pipeline"
            )
    return left


def _of_channel(planes: Sequence[Plane], channel: str) -> list[Plane]:
    """List the planes of a channel by its name, which may have another number in each scene."""
    left = [plane for plane in planes if _channel_name(plane).casefold() == channel.casefold()]
    if not left:
        names = planes[0].metadata.channel_names
        told = f"its channels are {', '.join(names)}" if names else "its channels have no names, only numbers"
        raise BadInputError(f"the file has no channel {channel!r}; {told}")
    return left


def _channel_name(plane: Plane) -> str:
    names, number = plane.metadata.channel_names, plane.position.channel
    return names[number] if number < len(names) else ""


def _are(numbers: list[int]) -> str:
    if len(numbers) == 1:
        return f"is only {numbers[0]}"
    return f"are {numbers[0]} to {numbers[-1]}"


def projected(planes: Iterable[Plane]) -> list[Plane]:
    """Put the planes of each focus series together: the highest level of each pixel.

    Parameters
    ----------
    planes : iterable of Plane

    Returns
    -------
    list of Plane
        One for each scene, time point and channel; its `z` is that of the first.
    """

    def series(plane: Plane) -> tuple[int, int, int]:
        return plane.position.scene, plane.position.time, plane.position.channel

    return [_maximum(list(group)) for _, group in itertools.groupby(sorted(planes, key=series), key=series)]


def _maximum(planes: list[Plane]) -> Plane:
    def decode() -> Pixels:
        highest = planes[0].decode()
        for plane in planes[1:]:
            highest = np.maximum(highest, plane.decode())
        return highest

    return replace(planes[0], decode=decode)


def sharpest(planes: Sequence[Plane]) -> tuple[Plane, Pixels]:
    """Find the plane that speaks for an image: the one in best focus of those with signal.

    A stack through a specimen is as good as its best plane. Planes without signal stand back, since
    noise has a higher slope than any specimen; so do planes whose slope is undefined.

    Parameters
    ----------
    planes : sequence of Plane
        Decoded one after the other, unless there is only one.

    Returns
    -------
    plane : Plane
        The first of equals.
    pixels : (M, N) array
    """
    if len(planes) == 1:
        return planes[0], planes[0].decode()
    best: tuple[Plane, Pixels] | None = None
    best_merit: tuple[bool, bool, float] | None = None
    for plane in planes:
        pixels = plane.decode()
        merit = _merit(measure(pixels))
        if best_merit is None or merit > best_merit:
            best, best_merit = (plane, pixels), merit
    if best is None:
        raise ValueError("no planes to choose from")
    return best


def _merit(features: Features) -> tuple[bool, bool, float]:
    slope = features.plls
    return slope is not None, not features.empty, slope if slope is not None else 0.0
