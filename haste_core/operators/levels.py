"""A threshold between dark and bright, on a scale of declared depth."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from haste_core.operators.operator import Pixels

DEFAULT_THRESHOLD = 30
"""Of 256 grey levels: what separated grid bars from tissue in the MiniTEM images of the paper."""

DEFAULT_BIT_DEPTH = 8

_MAX_BIT_DEPTH = 32


def own_level(image: Pixels, threshold: float, bit_depth: int) -> float:
    """Return a threshold on the scale of an image's dtype.

    Parameters
    ----------
    image : (M, N) array of an unsigned integer dtype
    threshold : float
        0 to 2 ** bit_depth - 1.
    bit_depth : int
        Bits of the scale on which `threshold` is given, 1 to 32.

    Returns
    -------
    float
        From 0 to the highest level of the dtype.

    Raises
    ------
    ValueError
        `image` is not (M, N) of unsigned integers, or `threshold` not on the scale.
    """
    if image.ndim != 2 or image.dtype.kind != "u":
        raise ValueError(
            f"it needs one plane (M, N) of unsigned grey levels, not {image.shape} {image.dtype}"
        )
    _check_scale(threshold, bit_depth)
    highest: int = 2**bit_depth - 1
    return threshold * int(np.iinfo(image.dtype).max) / highest


def _check_scale(threshold: Any, bit_depth: Any) -> None:
    """Refuse what a pipeline's author may have written in place of two numbers."""
    if type(bit_depth) is not int or not 1 <= bit_depth <= _MAX_BIT_DEPTH:
        raise ValueError(f"bit_depth is a whole number between 1 and {_MAX_BIT_DEPTH}, not {bit_depth!r}")
    highest = 2**bit_depth - 1
    if type(threshold) not in (int, float) or not 0 <= threshold <= highest:
        raise ValueError(
            f"a threshold on a scale of {bit_depth} bits lies between 0 and {highest}, not at {threshold!r}"
        )


@dataclass(frozen=True, kw_only=True)
class Darkening:
    """What the operators have in common that set dark pixels to 0.

    Attributes
    ----------
    threshold : float
        Grey levels below it are dark.
    bit_depth : int
        Bits of the scale on which `threshold` is given: 8 means that 255 stands for the highest level of the
        image's dtype, so that one threshold fits 8- and 16-bit files. For the levels of a 12-bit camera in
        16-bit files say 16.

    Raises
    ------
    ValueError
        `threshold` is not on the scale.
    """

    threshold: float = DEFAULT_THRESHOLD
    bit_depth: int = DEFAULT_BIT_DEPTH

    name: ClassVar[str]
    lossless: ClassVar[bool] = False
    darkened: ClassVar[Callable[..., Pixels]]
    """The function that does it, of an image, `threshold` and `bit_depth`."""

    def __post_init__(self) -> None:
        _check_scale(self.threshold, self.bit_depth)

    @property
    def parameters(self) -> Mapping[str, Any]:
        """Threshold and bit depth."""
        return {"threshold": self.threshold, "bit_depth": self.bit_depth}

    @property
    def description(self) -> str:
        """Name and parameters in one line."""
        return f"{self.name}(threshold={self.threshold:g}, bit_depth={self.bit_depth})"

    def apply(self, image: Pixels) -> Pixels:
        """Return the image with what is dark at 0.

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
            `image` is not (M, N) of unsigned integers.
        """
        return type(self).darkened(image, self.threshold, bit_depth=self.bit_depth)
