"""The lowest frequencies of lines of pixels, for any length of the lines."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.fft
from numpy.typing import NDArray

Numbers = NDArray[Any]
"""Real or complex numbers of single or double precision."""


class LowFrequencies:
    """Fourier coefficients ``first`` to ``first + count - 1`` of lines of one length.

    Parameters
    ----------
    length : int
        Of a line.
    first : int
        Negative for negative frequencies; not with real lines.
    count : int
        At most `length`.

    Notes
    -----
    A length with a large prime factor has no fast transform; scipy's way around it costs six times as much
    as a good length. Since few coefficients are wanted, Bluestein's chirp transform [1]_ of them alone is a
    convolution of little more than the lines' own length.

    References
    ----------
    .. [1] L. I. Bluestein, "A linear filtering approach to the computation of the discrete Fourier
       transform", IEEE Trans. Audio Electroacoust. 18 (1970) 451-455.
       https://doi.org/10.1109/TAU.1970.1162132
    """

    def __init__(self, length: int, first: int, count: int) -> None:
        self._length = length
        wanted = np.arange(first, first + count)
        # Of a run, numpy makes no copy.
        self._wanted: Any = slice(first, first + count) if first >= 0 else wanted
        self._is_good = _largest_prime_factor(length) ** 2 <= length
        if not self._is_good:
            self._convolved = scipy.fft.next_fast_len(length + count - 1)
            kernel = _chirp(np.arange(first - length + 1, first + count), length).conj()
            self._kernel = scipy.fft.fft(kernel, self._convolved)
            self._before = _chirp(np.arange(length), length)
            self._after = _chirp(wanted, length)

    def __call__(self, lines: Numbers) -> Numbers:
        """Transform lines, (L, length), which are overwritten; return the coefficients, (L, count)."""
        if not self._is_good:
            return self._convolve(lines)
        coefficients: Numbers
        if np.isrealobj(lines):
            coefficients = scipy.fft.rfft(lines, axis=1, overwrite_x=True)
        else:
            coefficients = scipy.fft.fft(lines, axis=1, overwrite_x=True)
        return coefficients[:, self._wanted]

    def _convolve(self, lines: Numbers) -> Numbers:
        kind = np.result_type(lines, np.complex64)
        spectrum = scipy.fft.fft(lines * self._before.astype(kind), self._convolved, axis=1, overwrite_x=True)
        spectrum *= self._kernel.astype(kind)
        convolution = scipy.fft.ifft(spectrum, axis=1, overwrite_x=True)
        held = slice(self._length - 1, self._length - 1 + self._after.size)
        coefficients: Numbers = convolution[:, held] * self._after.astype(kind)
        return coefficients


def _chirp(index: NDArray[np.intp], length: int) -> Numbers:
    # Squares are taken modulo the period, so that large ones lose no digits.
    chirp: Numbers = np.exp(-1j * np.pi * (index**2 % (2 * length)) / length)
    return chirp


def _largest_prime_factor(number: int) -> int:
    factor = 2
    while factor * factor <= number:
        if number % factor == 0:
            number //= factor
        else:
            factor += 1
    return number
