"""Flood fill: blacken the dark ground around a specimen, so that it compresses to nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy import ndimage

from haste_core.operators.levels import DEFAULT_BIT_DEPTH, DEFAULT_THRESHOLD, Darkening, own_level
from haste_core.operators.operator import Pixels


def floodfill(
    image: Pixels, threshold: float = DEFAULT_THRESHOLD, *, bit_depth: int = DEFAULT_BIT_DEPTH
) -> Pixels:
    """Set to 0 what is dark and connected to the image's border.

    Dark pixels inside the specimen stay, since bright pixels cut them off from the border. Lossy:
    the ground's grey levels are gone.

    Parameters
    ----------
    image : (M, N) array of an unsigned integer dtype
        Grey levels, 0 is black.
    threshold : float
        Grey levels below it are dark, on a scale of `bit_depth` bits.
    bit_depth : int
        Bits of the scale on which `threshold` is given, 1 to 32: 8 means that 255 stands for the
        highest level of the image's dtype, so that one threshold fits 8- and 16-bit files. For the
        levels of a 12-bit camera in 16-bit files say 16.

    Returns
    -------
    (M, N) array
        A copy of the same dtype, in which dark pixels that reach the border over dark neighbours
        (4-connected: left, right, above, below) are 0.

    Raises
    ------
    ValueError
        `image` is not (M, N) of unsigned integers, or `threshold` not on the scale.

    References
    ----------
    .. [1] B. Blamey, I.-M. Sintorn, A. Hellander, S. Toor, "Resource- and message size-aware
       scheduling of stream processing at the edge with application to realtime microscopy",
       arXiv:1912.09088 (2019).
    """
    dark = image < own_level(image, threshold, bit_depth)
    # Regions of 4-connected dark pixels are numbered from 1; 0 is all that is not dark.
    regions, count = ndimage.label(dark)
    factor = np.ones(count + 1, image.dtype)
    for border in (regions[0], regions[-1], regions[:, 0], regions[:, -1]):
        factor[border] = 0
    factor[0] = 1
    filled: Pixels = factor.take(regions)
    filled *= image
    return filled


@dataclass(frozen=True, kw_only=True)
class Floodfill(Darkening):
    """`floodfill` as an operator."""

    name: ClassVar[str] = "floodfill"
    darkened: ClassVar[Callable[..., Pixels]] = staticmethod(floodfill)
