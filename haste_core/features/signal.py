"""Signal: how much of a field shows more than noise on smooth light."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.polynomial import legendre
from numpy.typing import NDArray

from haste_core.features.pixels import Pixels, finite_range
from haste_core.features.undefined import UndefinedFeatureError

Reals: TypeAlias = NDArray[np.float64]

MIN_SIDE_PX = 32
"""Shortest side with 4 x 4 tiles of 8 pixels: a plane fits through fewer whatever they show."""

_CELLS_PER_SIDE = 4
"""A tile is 4 x 4 cells: 16 samples tell its noise, and one of them may be bad."""

_CELL_PX, _SMALL_CELL_PX, _SMALL_FIELD_PX = 4, 2, 256
"""A tile of 16 pixels is smaller than a nucleus at x10; fields below 256 get tiles of 8."""

_CELL_ROWS_PER_BLOCK = 16
"""Rows of cells that are worked on at once: 64 rows of pixels stay in a core's cache."""

_BACKGROUND_DEGREES = (1, 2, 2, 3, 4, 4, 4, 4)
"""Of the fits, one after the other. Vignetting goes as cos^4 of the angle, and off-centre light adds
odd terms: degree 4 has both."""

_TILES_PER_TERM = 4
"""Small fields get lower degrees, so that the background cannot follow their objects."""

_TUKEY = 4.685
"""Tukey's biweight rejects beyond this many standard deviations (95 % efficient on normal noise)."""

_NOISE_LIMIT = 6.0
"""Standard deviations of a tile's noise that count as signal.

Normal noise reaches them twice in a thousand million tiles; a thousand times as often would still
do, and noise that is a little correlated (interpolated, JPEG) or skewed (few photons) needs that.
"""

_LIGHT_LIMIT = 0.03
"""Share of the background's own range that counts as signal: what a polynomial of degree 4 leaves
of light that falls to 40 % in the corners. A fall of 10 % may so hide structure of 0.3 %."""

_GREY_LEVEL = 1.0
"""An integer image on smooth, noiseless light is a staircase of steps of one level: no signal."""

_ROUNDING_LIMIT = 1e-6
"""Share of the tiles' range below which a deviation is rounding (noise-free synthetic images)."""

_SPECK_TILES = 4
"""One speck of at most a tile's side touches at most 2 x 2 tiles."""

_SPECK_SHARE = 0.001
"""Share of the field that specks may cover: in less, no score of the whole field describes it."""

_WORTH = {4: 3.36, 16: 15.5}
"""Of how many numbers with normal noise the mean is as steady as that of so many without the highest and
the lowest; by simulation."""

_STRONGEST_QUANTILE = 0.99
"""Of the tiles' departures: not the very strongest, which may be one speck."""

_QUIET_SPREAD = 4.737
"""Spread within quiet tiles in units of the noise of a tile's value, for normal noise: the mean, over
the quieter half of the tiles, of the 4th highest cell less the 4th lowest one; by simulation."""


def signal_fraction(image: Pixels) -> float:
    """Share of the field that is brighter or darker than noise on smooth light explains.

    Exactly 0 means that the field is empty: all that is there is noise, a gradient of the light,
    single defective pixels, or one speck. A focus score of such a field describes its noise.

    Parameters
    ----------
    image : (M, N) array of a real dtype
        Grey levels, linear in intensity, in any unit. Gain and offset do not matter (beyond the
        rounding to grey levels), nor whether objects are bright on dark or dark on bright.

    Returns
    -------
    float
        In [0, 1].

    Raises
    ------
    UndefinedFeatureError
        The image holds NaN or infinite pixels, or its shortest side is below 32.
    ValueError
        `image` is not two-dimensional.

    Notes
    -----
    1. The field is cut into tiles of 4 x 4 cells of 4 x 4 pixels (2 x 2 where the shorter side is
       below 256). A cell's value is its mean without its highest and lowest pixel; a tile's value
       the mean of its cells without the highest and lowest one. So neither a hot nor a dead pixel
       reaches the tiles, up to one pixel in a thousand.
    2. The noise of a tile's value comes from the spread of cells within the quieter half of the
       tiles: white noise on the quiet ground, whatever camera made it.
    3. The background is a polynomial through the tiles, fitted robustly: of degree 4, or as high as
       leaves 4 tiles for each of its terms, but at least a plane.
    4. A tile holds signal where it departs from the background by more than 6 standard deviations
       of its noise, than 3 % of the background's own range and, for integer images, than one grey
       level.
    5. If no more than 4 tiles, or a thousandth of them, hold signal, the answer is 0. Otherwise it
       is their share.

    The limits of this: what covers most of the field is taken for the ground; a single object of at
    most 16 pixels is taken for a speck; contrast below 0.4 of the noise of one pixel is not seen.
    """
    departure = np.abs(_departures(image))
    signal = int(np.count_nonzero(departure > 1))
    speck = max(_SPECK_TILES, _SPECK_SHARE * departure.size)
    return signal / departure.size if signal > speck else 0.0


def is_empty(image: Pixels) -> bool:
    """Tell whether a field shows nothing but noise, smooth light, defective pixels or one speck.

    Parameters
    ----------
    image : (M, N) array of a real dtype

    Returns
    -------
    bool
        True where `signal_fraction` is 0.

    Raises
    ------
    UndefinedFeatureError
        As `signal_fraction` does.
    """
    return signal_fraction(image) == 0


def snr(image: Pixels) -> float:
    """Signal to noise: how far the strongest hundredth of the field stands from the smooth background.

    Parameters
    ----------
    image : (M, N) array of a real dtype
        As for `signal_fraction`.

    Returns
    -------
    float
        In standard deviations of the noise of one quiet pixel, at least 0. Noise alone gives about 0.2; below
        about 0.4, `signal_fraction` sees nothing.

    Raises
    ------
    UndefinedFeatureError
        The image has no noise to compare with (it is constant, or computed), holds NaN or infinite pixels,
        or its shortest side is below 32.
    ValueError
        `image` is not two-dimensional.

    Notes
    -----
    From the tiles, their noise and their background of `signal_fraction`: the 99th percentile of the
    tiles' departures from the background, bright or dark, over the noise of a pixel in the quieter half
    of the tiles.
    """
    tiles = _examined(image)
    if tiles.noise == 0:
        raise UndefinedFeatureError("the image has no noise, so its signal cannot be compared with it")
    strongest = float(np.quantile(np.abs(tiles.value - tiles.background), _STRONGEST_QUANTILE))
    return strongest / (tiles.noise * math.sqrt(_pixels_per_tile(image)))


@dataclass(frozen=True)
class _Tiles:
    """The tiles of a field.

    Attributes
    ----------
    value, background : (height, width) array
    noise : float
        Standard deviation of a tile's value by noise alone.
    rounding : float
        Departures below this are rounding.
    """

    value: Reals
    background: Reals
    noise: float
    rounding: float


def _examined(image: Pixels) -> _Tiles:
    """Cut a field into tiles, and find their noise and their background."""
    low, high = finite_range(image)
    if min(image.shape) < MIN_SIDE_PX:
        raise UndefinedFeatureError(
            f"the image is {image.shape[0]} x {image.shape[1]} pixels; telling signal from noise "
            f"needs at least {MIN_SIDE_PX} on the shorter side"
        )
    largest = max(abs(low), abs(high))
    if image.dtype.kind == "f" and largest > 0:
        # Scaled to [-1, 1]: sums of the largest floats would overflow.
        image = image.astype(np.float64) / largest
    value, noise = _tiles(image)
    rounding = _ROUNDING_LIMIT * float(np.ptp(value))
    return _Tiles(value, _background(value, least_scale=max(noise, rounding)), noise, rounding)


def _departures(image: Pixels) -> Reals:
    """Return each tile's departure from the background, in units of the least that is signal."""
    tiles = _examined(image)
    grey_level = _GREY_LEVEL if image.dtype.kind in "ui" else 0.0
    light = _LIGHT_LIMIT * float(np.ptp(tiles.background))
    # The smallest float stands in where the tiles are equal, so that 0 / 0 is 0.
    limit = max(_NOISE_LIMIT * tiles.noise, light, grey_level, tiles.rounding, np.finfo(float).tiny)
    departure: Reals = (tiles.value - tiles.background) / limit
    return departure


def _pixels_per_tile(image: Pixels) -> float:
    """Tell the mean of how many pixels is as steady as a tile's value."""
    return _WORTH[_cell_side(image) ** 2] * _WORTH[_CELLS_PER_SIDE**2]


def _cell_side(image: Pixels) -> int:
    return _CELL_PX if min(image.shape) >= _SMALL_FIELD_PX else _SMALL_CELL_PX


def _tiles(image: Pixels) -> tuple[Reals, float]:
    """Return the tiles' values and the standard deviation of a tile's value by noise alone."""
    cells = _cells(image)
    side = _CELLS_PER_SIDE
    height, width = (n // side for n in cells.shape)
    grouped = cells[: height * side, : width * side].reshape(height, side, width, side)
    ordered = np.sort(grouped.swapaxes(1, 2).reshape(height, width, side * side), axis=2)
    spread = np.sort((ordered[..., -4] - ordered[..., 3]).ravel())
    noise = float(spread[: spread.size // 2].mean()) / _QUIET_SPREAD
    return ordered[..., 1:-1].mean(axis=2), noise


def _cells(image: Pixels) -> Reals:
    """Return the mean of each cell's pixels without the highest and the lowest one."""
    side = _cell_side(image)
    height, width = (n // side for n in image.shape)
    mean = np.empty((height, width))
    for start in range(0, height, _CELL_ROWS_PER_BLOCK):
        block = slice(start, min(start + _CELL_ROWS_PER_BLOCK, height))
        pixels = image[block.start * side : block.stop * side, : width * side]
        mean[block] = _trimmed_sums(pixels.reshape(-1, side, width * side))
    mean /= side * side - 2
    return mean


def _trimmed_sums(rows: Pixels) -> Reals:
    """Sum the pixels of cells, (cells, side, cells * side), without the highest and the lowest one."""
    side = rows.shape[1]
    # Of 16 numbers of 16 bits: exact, and takes half of the time.
    exact = np.uint32 if rows.dtype.kind == "u" and rows.dtype.itemsize <= 2 else np.float64
    summed, highest, lowest = rows.sum(axis=1, dtype=exact), rows.max(axis=1), rows.min(axis=1)
    columns = [slice(first, None, side) for first in range(side)]
    total: Reals = sum(
        (summed[:, one] for one in columns[1:]), start=summed[:, columns[0]].astype(np.float64)
    )
    total -= np.max([highest[:, one] for one in columns], axis=0)
    total -= np.min([lowest[:, one] for one in columns], axis=0)
    return total


def _background(value: Reals, *, least_scale: float) -> Reals:
    """Fit the smooth light under the objects: a polynomial that gives outlying tiles no weight.

    It starts from the median and gets its degrees one by one, so that it settles on the ground
    before it could bend to a large object.
    """
    target = value.ravel()
    fitted = np.full_like(target, np.median(target))
    terms, degrees = _polynomial_terms(value.shape)
    for degree in _BACKGROUND_DEGREES:
        if _TILES_PER_TERM * np.count_nonzero(degrees <= degree) > target.size and degree > 1:
            break
        residual = np.abs(target - fitted)
        scale = max(1.4826 * float(np.median(residual)), least_scale, np.finfo(float).tiny)
        reach = _TUKEY * scale
        root_weight = 1 - (np.minimum(residual, reach) / reach) ** 2
        used = terms[: np.count_nonzero(degrees <= degree)]
        weighted = used * root_weight
        normal = weighted @ weighted.T, weighted @ (root_weight * target)
        fitted = np.linalg.lstsq(*normal, rcond=None)[0] @ used
    return fitted.reshape(value.shape)


def _polynomial_terms(shape: tuple[int, ...]) -> tuple[Reals, NDArray[np.intp]]:
    """Return Legendre products over a grid, (terms, tiles), and the degree of each, rising."""
    highest = _BACKGROUND_DEGREES[-1]
    y, x = (legendre.legvander(np.linspace(-1, 1, n), highest) for n in shape)
    powers = sorted(((i, j) for i in range(highest + 1) for j in range(highest + 1 - i)), key=sum)
    terms: Reals = np.stack([np.outer(y[:, i], x[:, j]).ravel() for i, j in powers])
    return terms, np.array([i + j for i, j in powers])
