"""A few Fourier coefficients, of lines of any length."""

import numpy as np
import pytest

from haste_core.features.low_frequencies import LowFrequencies

LENGTHS = [32, 61, 64, 101, 150, 2 * 1087, 2160, 2161]


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 2e-6), (np.float64, 1e-13)])
def test_of_real_lines(length: int, dtype: type, tolerance: float) -> None:
    lines = np.random.default_rng(1).normal(size=(5, length)).astype(dtype)
    expected = np.fft.fft(lines.astype(np.float64))[:, : length // 8]
    found = LowFrequencies(length, 0, length // 8)(lines.copy())
    assert found.dtype == np.result_type(dtype, np.complex64)
    assert np.abs(found - expected).max() <= tolerance * np.abs(expected).max()


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.complex64, 2e-6), (np.complex128, 1e-13)])
def test_of_complex_lines_on_both_sides_of_zero(length: int, dtype: type, tolerance: float) -> None:
    rng = np.random.default_rng(2)
    lines = (rng.normal(size=(5, length)) + 1j * rng.normal(size=(5, length))).astype(dtype)
    last = length // 8
    expected = np.fft.fft(lines.astype(np.complex128))[:, np.arange(-last, last + 1)]
    found = LowFrequencies(length, -last, 2 * last + 1)(lines.copy())
    assert found.dtype == dtype
    assert np.abs(found - expected).max() <= tolerance * np.abs(expected).max()
