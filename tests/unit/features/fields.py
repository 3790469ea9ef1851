"""Generated fields, for tests of features."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage


def spots(seed: int, shape: tuple[int, int] = (256, 256), *, blur_px: float = 0.0) -> NDArray[Any]:
    """Return bright disks on a dark ground as a camera sees them: (M, N) float64."""
    rng = np.random.default_rng(seed)
    return rng.poisson(disks(rng, shape, blur_px=blur_px) + 100) + rng.normal(0, 2, shape)


def disks(
    rng: np.random.Generator, shape: tuple[int, int], *, blur_px: float = 0.0, px_per_disk: int = 1500
) -> NDArray[np.float64]:
    """Return the light of bright disks, in electrons, (M, N)."""
    light = np.zeros(shape)
    y, x = np.indices(shape)
    for _ in range(max(4, light.size // px_per_disk)):
        top, left = rng.uniform(0, shape[0]), rng.uniform(0, shape[1])
        light[np.hypot(y - top, x - left) < rng.uniform(3, 8)] += rng.uniform(500, 3000)
    if blur_px:
        light = ndimage.gaussian_filter(light, blur_px, mode="wrap")
    return light


def noise(
    seed: int,
    shape: tuple[int, int] = (512, 512),
    *,
    electrons: float = 100.0,
    read_noise: float = 2.0,
    gain: float = 1.0,
    offset: float = 100.0,
    vignetting: float = 0.0,
) -> NDArray[np.float64]:
    """Return an empty field as a camera sees it: nothing but light that falls off, and noise."""
    rng = np.random.default_rng(seed)
    y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    light = electrons * np.exp(-vignetting * ((x - 0.2) ** 2 + (y + 0.1) ** 2))
    return (rng.poisson(light) + rng.normal(0, read_noise, shape)) * gain + offset


def levels(image: NDArray[Any], dtype: str = "uint16") -> NDArray[Any]:
    """Round to grey levels, as a camera's converter does."""
    return np.clip(np.rint(image), 0, np.iinfo(dtype).max).astype(dtype)
