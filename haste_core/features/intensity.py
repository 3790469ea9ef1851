"""Intensity: how grey levels are spread over one plane of an image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from haste_core.features.pixels import Pixels, finite_range, summable_range
from haste_core.features.undefined import UndefinedFeatureError

Reals: TypeAlias = NDArray[np.float64]

_BINS = 4096
"""Of histograms over images with more grey levels than a 16-bit camera has."""


@dataclass(frozen=True, kw_only=True)
class Intensity:
    """The spread of an image's grey levels, all in grey levels.

    CellProfiler shows the same numbers on a scale in which the highest level of the file's type is 1
    (``ImageQuality_MeanIntensity`` and its like): divide by 255 or 65535 to compare.

    Attributes
    ----------
    total, mean, median, minimum, maximum : float
    std : float
        Standard deviation over all pixels.
    mad : float
        Median absolute deviation from the median, as it is: times 1.4826, it estimates the standard
        deviation of normal noise.
    """

    total: float
    mean: float
    median: float
    std: float
    mad: float
    minimum: float
    maximum: float


def intensity(image: Pixels) -> Intensity:
    """Describe the spread of grey levels.

    Parameters
    ----------
    image : (M, N) array of a real dtype

    Returns
    -------
    Intensity

    Raises
    ------
    UndefinedFeatureError
        The image has no pixels, or some are NaN or infinite.
    ValueError
        `image` is not two-dimensional.
    """
    low, high = summable_range(image)
    levels = image.astype(np.float64)
    median = float(np.median(levels))
    return Intensity(
        total=float(levels.sum()),
        mean=float(levels.mean()),
        median=median,
        std=float(levels.std()),
        mad=float(np.median(np.abs(levels - median))),
        minimum=low,
        maximum=high,
    )


def percent_maximal(image: Pixels) -> float:
    """Percentage of pixels at the image's own highest level, be it saturated or one bright pixel.

    Parameters
    ----------
    image : (M, N) array of a real dtype

    Returns
    -------
    float
        In (0, 100]; 100 for a constant image. CellProfiler's ``ImageQuality_PercentMaximal``.

    Raises
    ------
    UndefinedFeatureError
        The image has no pixels, or some are NaN or infinite.
    ValueError
        `image` is not two-dimensional.
    """
    finite_range(image)
    return 100 * float(np.count_nonzero(image == image.max())) / image.size


def percent_minimal(image: Pixels) -> float:
    """Percentage of pixels at the image's own lowest level.

    Parameters
    ----------
    image : (M, N) array of a real dtype

    Returns
    -------
    float
        In (0, 100]; 100 for a constant image. CellProfiler's ``ImageQuality_PercentMinimal``.

    Raises
    ------
    UndefinedFeatureError
        The image has no pixels, or some are NaN or infinite.
    ValueError
        `image` is not two-dimensional.
    """
    finite_range(image)
    return 100 * float(np.count_nonzero(image == image.min())) / image.size


def saturated_fraction(image: Pixels, *, bits: int) -> float:
    """Share of pixels at or above the detector's full scale: their light is not known.

    Parameters
    ----------
    image : (M, N) array of a real dtype
    bits : int
        Of the detector's converter: a camera of 12 bits saturates at 4095 in a file of 16 bits.

    Returns
    -------
    float
        In [0, 1].

    Raises
    ------
    UndefinedFeatureError
        The image has no pixels, or its levels are no integers.
    ValueError
        `image` is not two-dimensional, or `bits` is less than 1.
    """
    finite_range(image)
    if image.dtype.kind == "f":
        raise UndefinedFeatureError(
            "only integer grey levels tell saturation; this image holds floats, or is the luminance of colour"
        )
    if bits < 1:
        raise ValueError(f"a detector has at least 1 bit, not {bits}")
    return float(np.count_nonzero(image >= 2**bits - 1)) / image.size


def otsu_threshold(image: Pixels) -> float:
    """Grey level that best parts the pixels into a dark and a bright class.

    Parameters
    ----------
    image : (M, N) array of a real dtype

    Returns
    -------
    float
        A grey level: the bright class lies above it, the dark one at or below it. Of a constant image,
        its level.

    Raises
    ------
    UndefinedFeatureError
        The image has no pixels, or some are NaN or infinite.
    ValueError
        `image` is not two-dimensional.

    Notes
    -----
    The threshold maximises the variance between the two classes; of equal ones it is the lowest.
    Integers of up to 16 bits are judged level by level, others in 4096 equal bins between the lowest
    and the highest pixel.

    References
    ----------
    .. [1] N. Otsu, "A threshold selection method from gray-level histograms", IEEE Trans. Syst. Man
       Cybern. 9 (1979) 62-66. https://doi.org/10.1109/TSMC.1979.4310076
    """
    low, high = summable_range(image)
    if low == high:
        return low
    levels, counts = _histogram(image, low, high)
    dark = np.cumsum(counts)[:-1]
    bright = dark[-1] + counts[-1] - dark
    sums = np.cumsum(counts * (levels - levels[0]))
    dark_mean = sums[:-1] / dark
    bright_mean = (sums[-1] - sums[:-1]) / bright
    between = dark * bright * (bright_mean - dark_mean) ** 2
    return float(levels[np.argmax(between)])


def background_fraction(image: Pixels) -> float:
    """Share of pixels on the side of the background: in transmission, what no specimen covers is bright.

    Parameters
    ----------
    image : (M, N) array of a real dtype
        Of transmitted light or electrons.

    Returns
    -------
    float
        In (0, 1): the share above `otsu_threshold`. It always parts the field in two, so it says
        something only where there is both specimen and background.

    Raises
    ------
    UndefinedFeatureError
        The image has no pixels, or some are NaN or infinite.
    ValueError
        `image` is not two-dimensional.
    """
    return float(np.count_nonzero(image > otsu_threshold(image))) / image.size


def _histogram(image: Pixels, low: float, high: float) -> tuple[Reals, Reals]:
    """Return grey levels, each the highest of its bin, with the number of their pixels; none is 0 pixels."""
    if image.dtype.kind in "bui" and image.dtype.itemsize <= 2:
        counts = np.bincount((image.astype(np.int32) - int(low)).ravel())
        levels = np.arange(counts.size, dtype=np.float64) + low
    else:
        counts, edges = np.histogram(image, _BINS, (low, high))
        levels = edges[1:]
    held = counts > 0
    return levels[held], counts[held].astype(np.float64)
