"""Defects of the detector, which no focus score should be made of."""

from __future__ import annotations

import numpy as np

from haste_core.features.pixels import Pixels, summable_range
from haste_core.features.undefined import UndefinedFeatureError

_NOISE_LIMIT = 10.0
"""Standard deviations of the quiet noise by which a hot pixel is above all that are next to it."""

_HEIGHT_LIMIT = 2.0
"""Times as high above the ground as all that are next to it: an optical spot, sampled as it should be,
lights the pixels beside it with more than half of its height."""

_STEP_SHARE = 0.001
"""Of the range of floats: what rounding and compression leave is no defect. Integers step by one level."""

_SAMPLED_ROWS = 128
"""Of so many rows the ground and the noise are those of the image."""


def hot_pixels(image: Pixels) -> int:
    """Count the single pixels that are bright by themselves: defects, or hits of cosmic rays.

    Parameters
    ----------
    image : (M, N) array of a real dtype
        Bright objects on a dark ground, linear in intensity, in any unit.

    Returns
    -------
    int
        At least 0; pixels at the border are not looked at.

    Raises
    ------
    UndefinedFeatureError
        A side is below 3 pixels, or some pixels are NaN, infinite or beyond 1e100.
    ValueError
        `image` is not two-dimensional.

    Notes
    -----
    A pixel counts if it is above each of its eight neighbours, and above the ground, by 10 standard
    deviations of the noise and by a grey level (of floats, a thousandth of their range), and twice as far
    above the ground as its neighbours are. The ground is the median of the image, the noise comes from the
    median difference between horizontal neighbours. Two defects side by side hide each other, and objects
    smaller than a pixel are taken for defects.
    """
    low, high = summable_range(image)
    if min(image.shape) < 3:
        raise UndefinedFeatureError(
            "the image is less than 3 pixels high or wide: no pixel has eight neighbours"
        )
    sample = image[:: -(-image.shape[0] // _SAMPLED_ROWS)].astype(np.float64)
    ground = float(np.median(sample))
    noise = 1.4826 * float(np.median(np.abs(np.diff(sample, axis=1)))) / np.sqrt(2)
    step = 1.0 if image.dtype.kind in "bui" else _STEP_SHARE * (high - low)
    limit = max(_NOISE_LIMIT * noise, step)
    middle, beside = image[1:-1, 1:-1], _highest_neighbour(image)
    higher = middle > beside
    height = middle[higher].astype(np.float64) - ground
    next_height = np.maximum(beside[higher].astype(np.float64) - ground, 0)
    hot = (height - next_height > limit) & (height > _HEIGHT_LIMIT * next_height)
    return int(np.count_nonzero(hot))


def _highest_neighbour(image: Pixels) -> Pixels:
    """Return the highest of the eight neighbours of each pixel that is not at the border."""
    in_row = np.maximum(image[:, :-2], image[:, 2:])
    with_middle = np.maximum(in_row, image[:, 1:-1])
    above_and_below = np.maximum(with_middle[:-2], with_middle[2:])
    return np.maximum(in_row[1:-1], above_and_below)
