"""Images as a MiniTEM writes them: PNG of 0.47 MB, of which flood fill saves 12 % on average, in a course."""

from __future__ import annotations

import random
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import PIL.Image
from numpy.typing import NDArray
from scipy import ndimage

from benchmarks.edge_traces import COURSES

SIZE_PX = (1600, 2000)
MEAN_SAVING = 0.12
LEAST_SAVING, MOST_SAVING = 0.01, 0.3
DARK, BRIGHT = 14, 110
"""Grey levels about which the bar of the grid, and the specimen beside it, scatter."""

_CONTRAST, _CONTRAST_SPREAD = 0.68, 0.03  # grey levels; PNG takes 0.47 MB for it, and 0.43 to 0.53
_AREA_PER_SAVING = 1.15  # some bytes stay: of each line, that it is dark
_BLUR_PX = 2.0
_SHEET_PX = 3200
_LEVEL = 6  # of Pillow's compression, its default


@dataclass(frozen=True)
class TemImage:
    """One image to be made.

    Attributes
    ----------
    number : int
    saving : float
        The share of the picture that the dark bar takes, and about that of the file that flood fill saves.
    """

    number: int
    saving: float


def planned(count: int, seed: int) -> list[TemImage]:
    """Plan a sweep: the saving runs smoothly over the images, with scatter, 12 % on average."""
    course = COURSES["smooth_20"](random.Random(seed))[:count]
    shift = MEAN_SAVING - sum(course) / len(course)
    return [
        TemImage(number, min(max(fraction + shift, LEAST_SAVING), MOST_SAVING))
        for number, fraction in enumerate(course)
    ]


def pixels_of(image: TemImage) -> NDArray[np.uint8]:
    """Draw an image, (1600, 2000): a dark bar with a wavy edge at the left, and a bright specimen."""
    rng = np.random.default_rng([7, image.number])
    height, width = SIZE_PX
    row, column = rng.integers(_SHEET_PX - height), rng.integers(_SHEET_PX - width)
    grain = _sheet()[row : row + height, column : column + width]
    contrast = rng.normal(_CONTRAST, _CONTRAST_SPREAD)
    wave = 0.03 * width * image.saving / MEAN_SAVING * np.sin(np.arange(height) / 90 + rng.uniform(0, 6))
    edge = image.saving * _AREA_PER_SAVING * width + wave
    level = np.where(np.arange(width)[None, :] < edge[:, None], DARK, BRIGHT)
    drawn: NDArray[np.uint8] = np.rint(level + contrast * grain).clip(0, 255).astype(np.uint8)
    return drawn


def write_images(images: list[TemImage], folder: Path, *, processes: int) -> Iterator[Path]:
    """Write them as the microscope does, and tell each when it is there."""
    # Forked while threads of a numerical library run, a child may hang.
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        yield from pool.map(_write, images, [folder] * len(images), chunksize=4)


def _write(image: TemImage, folder: Path) -> Path:
    path = folder / f"tile_{image.number:04}.png"
    PIL.Image.fromarray(pixels_of(image)).save(path, compress_level=_LEVEL)
    return path


@cache
def _sheet() -> NDArray[np.float32]:
    noise = np.random.default_rng(7).normal(size=(_SHEET_PX, _SHEET_PX)).astype(np.float32)
    blurred: NDArray[np.float32] = ndimage.gaussian_filter(noise, _BLUR_PX)
    return blurred / blurred.std()
