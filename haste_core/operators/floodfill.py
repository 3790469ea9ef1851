"""Flood fill: blacken the dark ground around a specimen, so that it compresses to nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy import ndimage

from haste_core.operators.operator import Pixels

DEFAULT_THRESHOLD = 30
"""Of 256 grey levels: what separated grid bars from tissue in the MiniTEM images of the paper."""

DEFAULT_BIT_DEPTH = 8

_MAX_BIT_DEPTH = 32


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
    if image.ndim != 2 or image.dtype.kind != "u":
        raise ValueError(
            f"flood fill needs one plane (M, N) of unsigned grey levels, got {image.shape} {image.dtype}"
        )
    dark = image < _own_level(image, threshold, bit_depth)
    # Regions of 4-connected dark pixels are numbered from 1; 0 is all that is not dark.
    regions, count = ndimage.label(dark)
    outside = np.zeros(count + 1, np.bool_)
    for border in (regions[0], regions[-1], regions[:, 0], regions[:, -1]):
        outside[border] = True
    outside[0] = False
    filled = image.copy()
    filled[outside[regions]] = 0
    return filled


def _own_level(image: Pixels, threshold: float, bit_depth: int) -> float:
    """Return the threshold on the scale of the image's dtype."""
    if not 1 <= bit_depth <= _MAX_BIT_DEPTH:
        raise ValueError(f"bit_depth must lie between 1 and {_MAX_BIT_DEPTH}, got {bit_depth}")
    highest: int = 2**bit_depth - 1
    if not 0 <= threshold <= highest:
        raise ValueError(
            f"a threshold on a scale of {bit_depth} bits lies between 0 and {highest}, got {threshold}"
        )
    own_highest = int(np.iinfo(image.dtype).max)
    return threshold * own_highest / highest


@dataclass(frozen=True, kw_only=True)
class Floodfill:
    """Flood fill as an operator.

    Attributes
    ----------
    threshold : float
        Grey levels below it are dark.
    bit_depth : int
        Bits of the scale on which `threshold` is given.
    """

    threshold: float = DEFAULT_THRESHOLD
    bit_depth: int = DEFAULT_BIT_DEPTH

    name: ClassVar[str] = "floodfill"
    lossless: ClassVar[bool] = False

    @property
    def parameters(self) -> Mapping[str, Any]:
        """Threshold and bit depth."""
        return {"threshold": self.threshold, "bit_depth": self.bit_depth}

    @property
    def description(self) -> str:
        """Name and parameters in one line."""
        return f"{self.name}(threshold={self.threshold:g}, bit_depth={self.bit_depth})"

    def apply(self, image: Pixels) -> Pixels:
        """Return the image after flood fill.

        Parameters
        ----------
        image : (M, N) array of an unsigned integer dtype

        Returns
        -------
        (M, N) array
            Of the same dtype.

        Raises
        ------
        ValueError
            As `floodfill` does.
        """
        return floodfill(image, self.threshold, bit_depth=self.bit_depth)
