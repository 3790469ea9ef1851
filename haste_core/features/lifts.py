"""Lifts: by how much noise and specks, not the specimen, raise the slope of an image's spectrum."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from haste_core.features.low_frequencies import LowFrequencies
from haste_core.features.pixels import Pixels, finite_range
from haste_core.features.plls import MIN_SIDE_PX
from haste_core.features.undefined import UndefinedFeatureError

Reals: TypeAlias = NDArray[np.floating[Any]]
Complexes: TypeAlias = NDArray[np.complexfloating[Any, Any]]
Window: TypeAlias = tuple[slice, slice]

_ROWS_PER_BLOCK = 64
"""Rows of pixels that are worked on at once stay in a core's cache."""

_SAMPLED_ROWS = 32
"""Of so many rows the mean is near enough to that of the image."""

_SAMPLED_CELLS = 128
"""Of so many rows of cells the median is near enough to that of all."""

_SPOTS, _SPOTS_SHARE = 6, 0.01
"""So few places, or in a large field so small a share of it, must not decide about all of it."""

_PX_PER_SPOT = 20_000
"""In a small field six places may hold half of its cells, so there it is fewer."""

_SPOT_PX, _SPOTS_PER_SIDE = 40, 16
"""Side of the square that is smoothed over a spot; in small fields, a sixteenth of the shorter side."""

_LEAST_SPOT_PX = 8

_FLAT_GROUND = 2.8
"""Noise of independent pixels has the same variance at 16 pixels as at 8; interpolated, smoothed or
compressed noise has up to 2.7 times as much; specimens that cover all of a field, 3 times and more."""

_MAD_TO_STD = 1.4826
"""Of normal noise: its standard deviation in units of its median absolute value."""

_MAX_PLANS = 8


@dataclass(frozen=True, kw_only=True)
class Lifts:
    """What raises `plls` without being in focus, in units of `plls`.

    Attributes
    ----------
    noise : float
        By how much noise raises it, that of many defective pixels included. At least 0; about 0 in bright
        fields, above 0.5 where noise hides most scales.
    specks : float
        By how much a few strong spots raise it: dust, hot pixels, crystals. At least 0.
    """

    noise: float
    specks: float


def lifts(image: Pixels) -> Lifts:
    """Tell by how much noise and specks raise the slope of an image's spectrum.

    A blurred field has no fine structure of its own: noise or a speck of dust has, and lets the field pass
    for a sharp one. The darker a blurred field, the higher its `plls`.

    Parameters
    ----------
    image : (M, N) array of a real dtype
        Grey levels, linear in intensity, in any unit: gain and offset do not matter.

    Returns
    -------
    Lifts

    Raises
    ------
    UndefinedFeatureError
        Where `plls` is undefined, too.
    ValueError
        `image` is not two-dimensional.

    Notes
    -----
    `plls` is fitted over structures of 8 pixels and more, which sums of 2 x 2 pixels still show. All slopes
    here are of these sums.

    *Noise.* The power of white noise is taken from each ring of the spectrum. A ring in which nothing is left
    is taken for one of a blurred field: what the noise's power varies by, over the square of the label. The
    variance of a pixel's noise is the mean square of the diagonal differences within 2 x 2 pixels, where
    optics leave nothing else: this counts the noise of bright objects and of defective pixels. Noise that
    interpolation or compression has taken from there shows on quiet ground, in the median diagonal difference
    between cells of 4 x 4 pixels [1]_. It counts if it is larger, and cells of 8 x 8 pixels show not much
    more: on specimens they do.

    *Specks.* Squares of 40 pixels, in small fields of a sixteenth of the side, about the six places of the
    strongest fine structure are bridged smoothly from their borders [2]_. In small fields the places are
    fewer, one for 20,000 pixels; in large ones they make up a hundredth of the field. Objects in focus that
    are left keep the slope high.

    The noise's lift is the smaller one of those with the spots and without them: a hot pixel is no noise, and
    if the spots are all that the field shows, the rest is not judged without them.

    References
    ----------
    .. [1] D. L. Donoho, I. M. Johnstone, "Ideal spatial adaptation by wavelet shrinkage", Biometrika 81
       (1994) 425-455. https://doi.org/10.1093/biomet/81.3.425
    .. [2] S. A. Coons, "Surfaces for computer-aided design of space forms", MIT/LCS/TR-41 (1967).
    """
    sums, details = _sums_and_details(image, scale=_checked_scale(image))
    rings = _rings(sums.shape, min(image.shape))
    cells = _halved(sums)
    ground = _ground_variance(cells)
    spectrum = rings.spectrum(sums, np.arange(rings.height))
    power = rings.power(spectrum)
    noise = _noise_lift(power, rings, sums.size * max(float(details.mean()), ground))
    spots = _spots(cells, sums.shape, _spot_side(image.shape))
    rows = np.array(sorted({row for spot in spots for row in range(spot[0].start, spot[0].stop)}), np.intp)
    with_spots = sums[rows]
    for spot in spots:
        sums[spot] = _bridged(sums[spot])
        details[spot] = 0
    rest = rings.power(spectrum - rings.spectrum(with_spots - sums[rows], rows))
    rest_noise = _noise_lift(rest, rings, sums.size * max(float(details.mean()), ground))
    return Lifts(noise=min(noise, rest_noise), specks=max(rings.slope(power) - rings.slope(rest), 0.0))


def _checked_scale(image: Pixels) -> float:
    """Check that there is a slope, and return what to divide grey levels by, so that no square overflows."""
    low, high = finite_range(image)
    if min(image.shape) < MIN_SIDE_PX:
        raise UndefinedFeatureError(
            f"the image is {image.shape[0]} x {image.shape[1]} pixels; its scales cannot be told apart below "
            f"{MIN_SIDE_PX} on the shorter side"
        )
    if low == high:
        raise UndefinedFeatureError(f"all pixels have the same value ({low:g})")
    return max(abs(low), abs(high)) if image.dtype.kind == "f" else 1.0


def _sums_and_details(image: Pixels, *, scale: float) -> tuple[Reals, Reals]:
    """Return of each 2 x 2 pixels, (M // 2, N // 2), the sum and the square of the diagonal difference."""
    height, width = (side // 2 * 2 for side in image.shape)
    real = np.result_type(image.dtype, np.float32)
    sums, details = np.empty((2, height // 2, width // 2), real)
    middle = real.type((image[:: -(-height // _SAMPLED_ROWS)] / scale).mean())
    for start in range(0, height, _ROWS_PER_BLOCK):
        block = image[start : min(start + _ROWS_PER_BLOCK, height), :width].astype(real)
        if scale != 1:
            block /= scale
        block -= middle
        here = slice(start // 2, start // 2 + block.shape[0] // 2)
        across = block[::2] + block[1::2]
        np.add(across[:, ::2], across[:, 1::2], out=sums[here])
        np.subtract(block[::2], block[1::2], out=across)
        np.subtract(across[:, ::2], across[:, 1::2], out=details[here])
    np.square(details, out=details)
    return sums, details


@dataclass(frozen=True)
class _Rings:
    """The rings of the spectrum that `plls` is fitted over, for sums of one shape.

    Attributes
    ----------
    height : int
        Of a field, in sums.
    of_rows, of_columns : LowFrequencies
    members : (rings, coefficients) array
        Sums the power of the kept coefficients, mirror images included, in each ring.
    sizes : (rings,) array
        Coefficients of each ring.
    log_labels : (rings,) array
    """

    height: int
    of_rows: LowFrequencies
    of_columns: LowFrequencies
    members: csr_array
    sizes: Reals
    log_labels: Reals

    def spectrum(self, lines: Reals, places: NDArray[np.intp]) -> Complexes:
        """Return the coefficients of a field that has lines of sums at some places, and else nothing."""
        columns = np.zeros((self.log_labels.size + 2, self.height), np.result_type(lines, np.complex64))
        for start in range(0, len(lines), _ROWS_PER_BLOCK):
            block = slice(start, start + _ROWS_PER_BLOCK)
            columns[:, places[block]] = self.of_rows(lines[block].copy()).T
        return self.of_columns(columns)

    def power(self, spectrum: Complexes) -> Reals:
        """Return the power in each ring."""
        power = (spectrum.real**2 + spectrum.imag**2).ravel()
        total: Reals = self.members @ power.astype(np.float64)
        return total

    def slope(self, power: Reals) -> float:
        """Return the slope of log power on log label over the rings that hold power."""
        held = power > 0
        if np.count_nonzero(held) < 2:
            raise UndefinedFeatureError("the image has structure at fewer than two scales")
        label = self.log_labels[held] - self.log_labels[held].mean()
        return float(label @ np.log(power[held]) / (label @ label))


@lru_cache(maxsize=_MAX_PLANS)
def _rings(shape: tuple[int, int], shorter_side_px: int) -> _Rings:
    height, width = shape
    last = shorter_side_px // 8 - 1
    rows, columns = np.arange(-last, last + 1), np.arange(last + 1)
    ring = np.floor(np.hypot(columns[:, None], rows)).astype(np.intp).ravel()
    times = np.where(columns == 0, 1.0, 2.0).repeat(rows.size)
    (held,) = np.nonzero((ring >= 1) & (ring < last))
    places = (ring[held] - 1, held)
    members = csr_array((times[held], places), shape=(last - 1, ring.size))
    return _Rings(
        height=height,
        of_rows=LowFrequencies(width, 0, columns.size),
        of_columns=LowFrequencies(height, -last, rows.size),
        members=members,
        sizes=members.sum(axis=1),
        log_labels=np.log(np.arange(2.0, last + 1)),
    )


def _noise_lift(power: Reals, rings: _Rings, noise_power: float) -> float:
    """Return what noise adds to the slope, whose power is this in each coefficient."""
    noise = rings.sizes * noise_power
    # The squares of n normal numbers add up to n, give or take the root of 2 n.
    doubt = noise_power * np.sqrt(2 * rings.sizes)
    signal = np.maximum(power - noise, np.minimum(power, doubt * np.exp(-2 * rings.log_labels)))
    return max(rings.slope(power) - rings.slope(signal), 0.0)


def _ground_variance(cells: Reals) -> float:
    """Return the variance of a sum of 2 x 2 pixels on quiet ground; 0 if there is no such ground."""
    variance, of_larger_cells = _variance(cells) / 4, _variance(_halved(cells)) / 16
    return variance if of_larger_cells <= _FLAT_GROUND * variance else 0.0


def _variance(cells: Reals) -> float:
    """Return the variance of cells, from the diagonal differences of four; few large ones do not count."""
    rows = slice(None, None, -(-cells.shape[0] // _SAMPLED_CELLS))
    across = cells[1:][rows] - cells[:-1][rows]
    size = float(np.median(np.abs(across[:, 1:] - across[:, :-1])))
    return (_MAD_TO_STD * size) ** 2 / 4


def _halved(cells: Reals) -> Reals:
    """Return the sums of 2 x 2 cells."""
    height, width = (side // 2 * 2 for side in cells.shape)
    across = cells[:height:2, :width] + cells[1:height:2, :width]
    halved: Reals = across[:, ::2] + across[:, 1::2]
    return halved


def _spot_side(shape: Sequence[int]) -> int:
    """Return the side of the square to smooth over a spot, in sums of 2 x 2 pixels."""
    return max(_LEAST_SPOT_PX, min(_SPOT_PX, min(shape) // _SPOTS_PER_SIDE)) // 2


def _spots(cells: Reals, shape: Sequence[int], side: int) -> list[Window]:
    """Find the places of the strongest fine structure, as squares of the sums; fewer in a small field."""
    area = shape[0] * shape[1]
    most = max(1, min(_SPOTS, 4 * area // _PX_PER_SPOT), int(area * _SPOTS_SHARE / side**2))
    strength = _fine_structure(cells)
    found: list[Window] = []
    while len(found) < most:
        row, column = np.unravel_index(np.argmax(strength), strength.shape)
        if strength[row, column] <= 0:
            break
        near = slice(max(row - 2, 0), row + 3), slice(max(column - 2, 0), column + 3)
        spot = _square_about(_centre(strength[near], near), side, shape)
        found.append(spot)
        strength[tuple(slice(of.start // 4, -(-of.stop // 4)) for of in spot)] = 0
        strength[row, column] = 0
    return found


def _fine_structure(cells: Reals) -> Reals:
    """Return the power of structures of 8 to 16 pixels in each square of 8 x 8 pixels."""
    curvature = np.zeros_like(cells)
    curvature[1:-1] += (2 * cells[1:-1] - cells[:-2] - cells[2:]) ** 2
    curvature[:, 1:-1] += (2 * cells[:, 1:-1] - cells[:, :-2] - cells[:, 2:]) ** 2
    return _halved(curvature)


def _centre(strength: Reals, window: Window) -> tuple[float, float]:
    """Return the centre of the strength in a window, in sums of 2 x 2 pixels; 4 of them make its unit."""
    total = strength.sum()
    row = window[0].start + np.arange(strength.shape[0]) @ strength.sum(axis=1) / total
    column = window[1].start + strength.sum(axis=0) @ np.arange(strength.shape[1]) / total
    return 4 * (float(row) + 0.5), 4 * (float(column) + 0.5)


def _square_about(centre: tuple[float, float], side: int, shape: Sequence[int]) -> Window:
    """Return the square about a place, moved so far that it lies within the field."""
    first = [
        min(max(round(place - side / 2), 0), end - side) for place, end in zip(centre, shape, strict=True)
    ]
    return slice(first[0], first[0] + side), slice(first[1], first[1] + side)


def _bridged(window: Reals) -> Reals:
    """Return a smooth surface over a window that meets it at its four sides."""
    down = np.linspace(0, 1, window.shape[0], dtype=window.dtype)[:, None]
    along = np.linspace(0, 1, window.shape[1], dtype=window.dtype)
    between_rows = (1 - down) * window[0] + down * window[-1]
    between_columns = (1 - along) * window[:, :1] + along * window[:, -1:]
    left, right = ((1 - down) * window[0, end] + down * window[-1, end] for end in (0, -1))
    bridged: Reals = between_rows + between_columns - ((1 - along) * left + along * right)
    return bridged
