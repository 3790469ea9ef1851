"""Power log-log slope (PLLS): how fast an image's spectrum falls, the focus score of the paper."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from haste_core.features.low_frequencies import LowFrequencies
from haste_core.features.pixels import Pixels, check_plane, finite_range
from haste_core.features.undefined import UndefinedFeatureError

Reals: TypeAlias = NDArray[np.float64]

MIN_SIDE_PX = 32
"""Shortest side with two rings to fit a line through: rings end at an eighth of the side."""

_ROWS_PER_BLOCK = 64
"""Rows transformed at once: 64 rows of 2160 float32 pixels (0.6 MB) stay in a core's cache."""

_SAMPLED_ROWS = 32
"""Of so many rows the mean is near enough to that of the image, and most images vary in them."""

_MAX_PLANS = 8
"""A camera or two with a few binnings; a plan is 3 MB for a side of 2160 pixels."""

_MAX_PLANNED_PX = 25_000_000
"""Plans of larger images are not kept, so that all together take at most 120 MB."""


def plls(image: Pixels) -> float:
    """Slope of log power against log spatial frequency: the lower, the more blurred.

    Comparable between fields of like content and signal only. Noise alone gives about +1, since
    power is summed over each ring and longer rings hold more of it; test `signal_fraction` first.

    Parameters
    ----------
    image : (M, N) array of a real dtype
        Grey levels, linear in intensity, in any unit: gain and offset do not change the slope.
        Neither do a transpose and a turn by 180 degrees. A mirror image does, a little: the radius
        (see Notes) is not symmetric.

    Returns
    -------
    float
        About -3 (strongly blurred) to 0 (sharp), up to +1 (white noise).

    Raises
    ------
    UndefinedFeatureError
        The image is constant, holds NaN or infinite pixels, or its shortest side is below 32.
    ValueError
        `image` is not two-dimensional.

    Notes
    -----
    CellProfiler's ``ImageQuality_PowerLogLogSlope``, to its last detail. The radius of coefficient
    (i, j) is ``hypot(f(i), f(j))`` with ``f(k) = min(k, K - 1 - k)`` on an axis of K coefficients,
    in units of the index even where the sides differ. (The frequency would be ``min(k, K - k)``;
    published scores use the other.) Ring n holds the radii in ``[n, n + 1)`` and has the label
    n + 1. The slope is the least-squares line of log(power in the ring) on log(label), over the
    labels 2 to ``min(M, N) // 8 - 1`` that hold power. There is no window and no padding.

    The division by the median absolute deviation that CellProfiler does first is left out: it
    cannot change the slope, but is a division by zero where half of the pixels equal the mean.

    References
    ----------
    .. [1] M.-A. Bray, A. N. Fraser, T. P. Hasaka, A. E. Carpenter, "Workflow and metrics for image
       quality control in large-scale high-content screens", J. Biomol. Screen. 17 (2012) 266-274.
       https://doi.org/10.1177/1087057111420292
    .. [2] B. Blamey et al., "Rapid development of cloud-native intelligent data pipelines for
       scientific data streams using the HASTE Toolkit", GigaScience 10 (2021) giab018.
       https://doi.org/10.1093/gigascience/giab018
    """
    check_plane(image)
    if min(image.shape) < MIN_SIDE_PX:
        raise UndefinedFeatureError(
            f"the image is {image.shape[0]} x {image.shape[1]} pixels; a focus score needs at least "
            f"{MIN_SIDE_PX} on the shorter side"
        )
    scale = _scale(image)
    plan = _ring_plan(image.shape)
    return _slope(_ring_power(image, plan, scale=scale), plan)


def _scale(image: Pixels) -> float:
    """Return what to divide the levels by: squared, the largest floats would overflow.

    Raises
    ------
    UndefinedFeatureError
        There is no structure to measure, or there are pixels without a level.
    """
    is_float = image.dtype.kind == "f"
    sampled = _sampled_rows(image)
    # Integers are finite: the usual image needs no pass over all of it.
    if not is_float and sampled.min() < sampled.max():
        return 1.0
    low, high = finite_range(image)
    if low == high:
        raise UndefinedFeatureError(
            f"all pixels have the same value ({low:g}); check that the light and the camera were on"
        )
    return max(abs(low), abs(high)) if is_float else 1.0


def _sampled_rows(image: Pixels) -> Pixels:
    return image[:: -(-image.shape[0] // _SAMPLED_ROWS)]


@dataclass(frozen=True)
class _RingPlan:
    """Which coefficients of a real image's half spectrum belong to which ring, for one shape.

    The slope needs low frequencies only: a few of the rows (`of_rows`), and of their columns a few
    (`of_columns`). A real image's coefficient (i, j) equals in power the one at (-i, -j), but since
    the radius is not symmetric the two may lie in different rings: each kept coefficient counts
    once for itself and once for its mirror image. So `ring_sums`, (rings, coefficients), times the
    power of the kept coefficients is the power in each ring.
    """

    of_rows: LowFrequencies
    of_columns: LowFrequencies
    ring_sums: csr_array
    log_labels: Reals


def _ring_plan(shape: tuple[int, int]) -> _RingPlan:
    """Return the plan of an image's shape; it takes about as long as a score, so it is kept."""
    height, width = shape
    return _kept_ring_plan(shape) if height * width <= _MAX_PLANNED_PX else _make_ring_plan(shape)


def _make_ring_plan(shape: tuple[int, int]) -> _RingPlan:
    height, width = shape
    last = min(shape) // 8 - 1
    rows = np.arange(-last, last + 1) % height
    columns = np.arange(last + 1)
    direct = np.hypot(_index_radius(columns, width)[:, None], _index_radius(rows, height))
    mirror = np.hypot(_index_radius(-columns % width, width)[:, None], _index_radius(-rows % height, height))
    # Column 0 is its own mirror image: it has no second coefficient in the full spectrum.
    mirror[0] = np.inf
    return _RingPlan(
        of_rows=LowFrequencies(width, 0, columns.size),
        of_columns=LowFrequencies(height, -last, rows.size),
        ring_sums=_membership(direct, last) + _membership(mirror, last),
        log_labels=np.log(np.arange(2.0, last + 1)),
    )


_kept_ring_plan = lru_cache(maxsize=_MAX_PLANS)(_make_ring_plan)


def _membership(radius: Reals, last: int) -> csr_array:
    """Return a matrix, (rings, coefficients), of 1 where a ring holds the coefficient."""
    ring = np.floor(radius).ravel()
    (held,) = np.nonzero((ring >= 1) & (ring < last))
    places = (ring[held].astype(np.intp) - 1, held)
    return csr_array((np.ones(held.size), places), shape=(last - 1, ring.size))


def _index_radius(index: NDArray[np.intp], size: int) -> Reals:
    radius: Reals = np.minimum(index, size - 1 - index).astype(np.float64)
    return radius


def _ring_power(image: Pixels, plan: _RingPlan, *, scale: float) -> Reals:
    """Return the power summed over each ring from 1 to the last that is fitted.

    The mean is in no ring, but rounding would spread it over all of them: what is near it goes first.
    """
    height = image.shape[0]
    real, complex_ = _working_types(image.dtype)
    middle = float((_sampled_rows(image) / scale).mean())
    columns = np.empty((plan.log_labels.size + 2, height), complex_)
    for start in range(0, height, _ROWS_PER_BLOCK):
        rows = slice(start, start + _ROWS_PER_BLOCK)
        block = image[rows].astype(real)
        if scale != 1:
            block /= scale
        block -= middle
        columns[:, rows] = plan.of_rows(block).T
    spectrum = plan.of_columns(columns)
    power = (spectrum.real**2 + spectrum.imag**2).ravel()
    total: Reals = plan.ring_sums @ power.astype(np.float64)
    return total


def _working_types(stored: np.dtype[Any]) -> tuple[np.dtype[Any], np.dtype[Any]]:
    """Choose float32 where it holds every grey level: it takes two thirds of float64's time."""
    real = np.result_type(stored, np.float32)
    return real, np.result_type(real, np.complex64)


def _slope(power: Reals, plan: _RingPlan) -> float:
    held = power > 0
    if np.count_nonzero(held) < 2:
        raise UndefinedFeatureError(
            "the image has structure at fewer than two of the scales that a focus score compares; "
            "check that it is not a test pattern"
        )
    label, log_power = plan.log_labels[held], np.log(power[held])
    label = label - label.mean()
    return float(label @ log_power / (label @ label))
