"""Threshold: blacken all that is dark, wherever it lies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from haste_core.operators.levels import DEFAULT_BIT_DEPTH, DEFAULT_THRESHOLD, Darkening, own_level
from haste_core.operators.operator import Pixels


def darkened(
    image: Pixels, threshold: float = DEFAULT_THRESHOLD, *, bit_depth: int = DEFAULT_BIT_DEPTH
) -> Pixels:
    """Set to 0 what is dark.

    Faster than a flood fill, but dark pixels inside the specimen are lost as well.

    Parameters
    ----------
    image : (M, N) array of an unsigned integer dtype
        Grey levels, 0 is black.
    threshold, bit_depth
        As of `floodfill`.

    Returns
    -------
    (M, N) array
        Of the same dtype.

    Raises
    ------
    ValueError
        `image` is not (M, N) of unsigned integers, or `threshold` not on the scale.
    """
    dark = image < own_level(image, threshold, bit_depth)
    darker = image.copy()
    darker[dark] = 0
    return darker


@dataclass(frozen=True, kw_only=True)
class Threshold(Darkening):
    """`darkened` as an operator."""

    name: ClassVar[str] = "threshold"
    darkened: ClassVar[Callable[..., Pixels]] = staticmethod(darkened)
