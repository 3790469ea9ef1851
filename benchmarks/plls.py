"""The focus score of one image of 2160 x 2160 pixels on one thread, beside a bare Fourier transform of it."""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import scipy.fft
from numpy.typing import NDArray
from scipy import ndimage

from benchmarks.system import print_figures, say
from haste_core.features import plls

SIDE_PX = 2160
BLURS_PX = (0.0, 1.0, 3.0)


def field(side_px: int, blur_px: float) -> NDArray[np.uint16]:
    """Make an image of bright blobs with a camera's noise."""
    rng = np.random.default_rng(1)
    blobs = ndimage.gaussian_filter(rng.standard_normal((side_px, side_px)), 4) > 0.1
    light = 200 + 3000 * ndimage.gaussian_filter(blobs.astype(np.float64), blur_px)
    return rng.poisson(light).astype(np.uint16)


def whole_spectrum_plls(image: NDArray[np.uint16]) -> float:
    """Compute the slope the long way: all of the spectrum in float64, ring by ring."""
    power = np.abs(np.fft.fft2(image.astype(np.float64) - image.mean())) ** 2
    rows, columns = (np.minimum(np.arange(side), side - 1 - np.arange(side)) for side in image.shape)
    label = np.floor(np.hypot(rows[:, None], columns)).astype(int) + 1
    in_ring = np.bincount(label.ravel(), power.ravel())
    fitted = np.arange(2, min(image.shape) // 8)
    slope, _ = np.polyfit(np.log(fitted), np.log(in_ring[fitted]), 1)
    return float(slope)


def took_ms(work: Callable[[], object]) -> float:
    """Measure one call."""
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1e3


def measure(side_px: int, rounds: int) -> dict[str, float]:
    """Measure the score and the bare transform in turn; the medians of the rounds."""
    images = [field(side_px, blur_px) for blur_px in BLURS_PX]
    errors = [abs(plls(image) - whole_spectrum_plls(image)) for image in images]
    image, floats = images[0], images[0].astype(np.float32)
    scored_ms, transformed_ms = [], []
    for _ in range(rounds):
        transformed_ms.append(took_ms(lambda: scipy.fft.rfft2(floats)))
        scored_ms.append(took_ms(lambda: plls(image)))
    say(f"fastest: score {min(scored_ms):.1f} ms, transform {min(transformed_ms):.1f} ms")
    plls_ms, rfft2_ms = statistics.median(scored_ms), statistics.median(transformed_ms)
    return {
        "plls_ms": plls_ms,
        "rfft2_ms": rfft2_ms,
        "ratio": plls_ms / rfft2_ms,
        "max_abs_error": max(errors),
    }


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a small image: a smoke run")
    quick = parser.parse_args().quick
    print_figures("plls", measure(256, 3) if quick else measure(SIDE_PX, 101))


if __name__ == "__main__":
    main()
