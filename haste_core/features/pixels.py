"""What every feature asks of an image before it measures."""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from haste_core.features.undefined import UndefinedFeatureError

Pixels: TypeAlias = NDArray[Any]
"""A two-dimensional array (M, N) of a real dtype: bool, integer or floating."""

_MAX_LEVEL = 1e100


def check_plane(image: Pixels) -> None:
    """Refuse what is no plane of pixels.

    Parameters
    ----------
    image : (M, N) array of a real dtype

    Raises
    ------
    UndefinedFeatureError
        The image has no pixels.
    ValueError
        `image` is not a two-dimensional array of real numbers.
    """
    if image.ndim != 2 or image.dtype.kind not in "buif":
        raise ValueError(f"expected one plane (M, N) of real grey levels, got {image.shape} {image.dtype}")
    if image.size == 0:
        raise UndefinedFeatureError("the image has no pixels")


def finite_range(image: Pixels) -> tuple[float, float]:
    """Return the lowest and the highest pixel of an image that can be measured.

    Parameters
    ----------
    image : (M, N) array of a real dtype

    Returns
    -------
    low, high : float

    Raises
    ------
    UndefinedFeatureError
        The image has no pixels, or some are NaN or infinite.
    ValueError
        `image` is not a two-dimensional array of real numbers.
    """
    check_plane(image)
    # NaN wins in both min and max, and so does an infinity in one of them: no pass of its own.
    low, high = float(image.min()), float(image.max())
    if not (math.isfinite(low) and math.isfinite(high)):
        bad = int(np.count_nonzero(~np.isfinite(image)))
        raise UndefinedFeatureError(
            f"{bad} of {image.size} pixels are NaN or infinite; export the image without masking, "
            "or fill the masked pixels"
        )
    return low, high


def summable_range(image: Pixels) -> tuple[float, float]:
    """Return the lowest and the highest pixel of an image whose squares can be summed.

    Parameters
    ----------
    image : (M, N) array of a real dtype

    Returns
    -------
    low, high : float

    Raises
    ------
    UndefinedFeatureError
        As `finite_range` does, and where levels are beyond 1e100.
    ValueError
        `image` is not a two-dimensional array of real numbers.
    """
    low, high = finite_range(image)
    if max(abs(low), abs(high)) > _MAX_LEVEL:
        raise UndefinedFeatureError(
            f"grey levels as large as {max(high, -low):g} cannot be summed; rescale the image"
        )
    return low, high
