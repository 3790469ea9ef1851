"""Other measures of focus than the slope of the spectrum: contrast and texture."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from haste_core.features.pixels import Pixels, summable_range
from haste_core.features.undefined import UndefinedFeatureError

Reals: TypeAlias = NDArray[np.float64]

_TEXTURE_LEVELS = 8


def focus_score(image: Pixels) -> float:
    """Variance over mean of the grey levels: the higher, the more contrast.

    Comparable between fields of one channel, exposure and density of objects only: twice the light gives
    twice the score, and so does twice the number of cells.

    Parameters
    ----------
    image : (M, N) array of a real dtype
        Grey levels, linear in intensity. The score is in their unit: CellProfiler's
        ``ImageQuality_FocusScore`` is that of levels divided by the highest of the file's type.

    Returns
    -------
    float
        At least 0.

    Raises
    ------
    UndefinedFeatureError
        The mean is not above 0, or some pixels are NaN or infinite.
    ValueError
        `image` is not two-dimensional.

    References
    ----------
    .. [1] F. C. A. Groen, I. T. Young, G. Ligthart, "A comparison of different focus functions for use
       in autofocus algorithms", Cytometry 6 (1985) 81-91. https://doi.org/10.1002/cyto.990060202
    """
    summable_range(image)
    mean = float(image.mean(dtype=np.float64))
    if mean <= 0:
        raise UndefinedFeatureError(
            f"the mean grey level is {mean:g}; a contrast relative to it needs levels above 0"
        )
    return float(image.var(dtype=np.float64)) / mean


def local_focus_score(image: Pixels, *, scale: int = 20) -> float:
    """How much the contrast differs between the tiles of a field.

    High where sharp objects lie on a calm ground.

    Parameters
    ----------
    image : (M, N) array of a real dtype
        Grey levels, linear in intensity; the score is in their unit.
    scale : int
        Side of a tile in pixels, at most: the field is cut into ``ceil(M / scale)`` times
        ``ceil(N / scale)`` tiles of nearly equal size. About that of an object.

    Returns
    -------
    float
        At least 0.

    Raises
    ------
    UndefinedFeatureError
        Fewer than half of the tiles have contrast, or some pixels are NaN or infinite.
    ValueError
        `image` is not two-dimensional, or `scale` is less than 1.

    Notes
    -----
    The variance over the mean is taken in each tile whose mean is not 0; the score is the variance of
    these numbers over their median. As CellProfiler's ``ImageQuality_LocalFocusScore``, whose help speaks
    of the mean in place of the median.

    References
    ----------
    .. [1] M.-A. Bray, A. N. Fraser, T. P. Hasaka, A. E. Carpenter, "Workflow and metrics for image
       quality control in large-scale high-content screens", J. Biomol. Screen. 17 (2012) 266-274.
       https://doi.org/10.1177/1087057111420292
    """
    summable_range(image)
    if scale < 1:
        raise ValueError(f"a tile has a side of at least 1 pixel, not {scale}")
    rows, columns = (_tile_starts(side, scale) for side in image.shape)
    pixels = np.outer(np.diff([*rows, image.shape[0]]), np.diff([*columns, image.shape[1]]))
    # About the field's mean, so that the squares of high levels do not drown the contrast.
    middle = float(image.mean(dtype=np.float64))
    levels = image.astype(np.float64) - middle
    mean = _tile_sums(levels, rows, columns) / pixels
    variance = np.maximum(_tile_sums(levels**2, rows, columns) / pixels - mean**2, 0)
    mean += middle
    contrast = variance[mean != 0] / mean[mean != 0]
    median = float(np.median(contrast)) if contrast.size else 0.0
    if median <= 0:
        raise UndefinedFeatureError(
            "fewer than half of the field's tiles have contrast; choose a larger scale, or check the exposure"
        )
    return float(contrast.var()) / median


def correlation(image: Pixels, *, scale: int = 20) -> float:
    """How alike pixels at a horizontal distance are: the texture's correlation.

    Parameters
    ----------
    image : (M, N) array of a real dtype
        Grey levels in any unit: gain and offset do not matter.
    scale : int
        The distance in pixels.

    Returns
    -------
    float
        In [-1, 1]: 1 where pixels so far apart are the same, near 0 where they have nothing to do with
        each other.

    Raises
    ------
    UndefinedFeatureError
        The image is not wider than `scale`, too uniform for a texture, or holds NaN or infinite pixels.
    ValueError
        `image` is not two-dimensional, or `scale` is less than 1.

    Notes
    -----
    Haralick's third feature, of pixels and those `scale` to the right of them, in 8 equal grey levels
    between the image's lowest and highest: CellProfiler's ``ImageQuality_Correlation``, which answers 0
    where this is undefined.

    References
    ----------
    .. [1] R. M. Haralick, K. Shanmugam, I. Dinstein, "Textural features for image classification", IEEE
       Trans. Syst. Man Cybern. 3 (1973) 610-621. https://doi.org/10.1109/TSMC.1973.4309314
    """
    low, high = summable_range(image)
    if scale < 1:
        raise ValueError(f"a distance is at least 1 pixel, not {scale}")
    if image.shape[1] <= scale:
        raise UndefinedFeatureError(
            f"the image is {image.shape[1]} pixels wide, so there are no pixels at a distance of {scale}"
        )
    if low == high:
        raise UndefinedFeatureError(f"all pixels have the same value ({low:g}), so there is no texture")
    stretched = (image.astype(np.float64) - low) * (_TEXTURE_LEVELS / (high - low))
    level = np.minimum(stretched, _TEXTURE_LEVELS - 1).astype(np.uint8)
    pairs = level[:, :-scale] * _TEXTURE_LEVELS + level[:, scale:]
    together = np.bincount(pairs.ravel(), minlength=_TEXTURE_LEVELS**2).reshape(-1, _TEXTURE_LEVELS)
    return _pearson(together / pairs.size)


def _tile_starts(side: int, scale: int) -> NDArray[np.intp]:
    tiles = -(-side // scale)
    return -(-np.arange(tiles) * side // tiles)


def _tile_sums(levels: Reals, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> Reals:
    sums: Reals = np.add.reduceat(np.add.reduceat(levels, rows, axis=0), columns, axis=1)
    return sums


def _pearson(together: Reals) -> float:
    """Correlate two numbers by the share of each pair of their values."""
    value = np.arange(together.shape[0])
    left, right = together.sum(axis=1), together.sum(axis=0)
    left_mean, right_mean = value @ left, value @ right
    spread = ((value - left_mean) ** 2 @ left) * ((value - right_mean) ** 2 @ right)
    if spread <= 0:
        raise UndefinedFeatureError("one side of the image is too uniform for a texture")
    return float((value - left_mean) @ together @ (value - right_mean) / np.sqrt(spread))
