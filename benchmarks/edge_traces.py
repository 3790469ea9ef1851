"""Images as they arrive at a microscope's computer, and what preprocessing does: recorded, or made up."""

from __future__ import annotations

import csv
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

FREQUENCY_HZ = 20.0


@dataclass(frozen=True)
class Image:
    """One image of a trace.

    Attributes
    ----------
    arrival_s : float
    raw_bytes : int
    saved_bytes : int
        By preprocessing it.
    cpu_s : float
        That takes.
    """

    arrival_s: float
    raw_bytes: int
    saved_bytes: int
    cpu_s: float

    @property
    def saved_per_s(self) -> float:
        """Bytes saved per CPU second."""
        return self.saved_bytes / self.cpu_s


Trace = list[Image]


def read_trace(file: Path) -> Trace:
    """Read a trace from a CSV file with arrival_s, raw_bytes, bytes_saved and preprocess_s."""
    with file.open(newline="") as lines:
        return [
            Image(
                float(row["arrival_s"]),
                int(row["raw_bytes"]),
                int(row["bytes_saved"]),
                float(row["preprocess_s"]),
            )
            for row in csv.DictReader(lines)
        ]


def reordered(trace: Trace, *, reverse: bool = False, roll: int = 0) -> Trace:
    """Let the images of a trace come in another order, at the same times."""
    images = trace[::-1] if reverse else trace
    roll %= len(images)
    images = images[-roll:] + images[:-roll] if roll else images
    times = [image.arrival_s for image in trace]
    return [replace(image, arrival_s=time_s) for image, time_s in zip(images, times, strict=True)]


def _bumps(count: int, width: float, rng: random.Random) -> list[float]:
    """Draw a course of bumps of a width, about 0 with a standard deviation of 1."""
    places = [
        (rng.uniform(-width, count + width), rng.gauss(0, 1)) for _ in range(int(3 * count / width) + 3)
    ]
    course = [
        sum(
            weight * math.exp(-(((i - place) / width) ** 2))
            for place, weight in places
            if abs(i - place) < 4 * width
        )
        for i in range(count)
    ]
    mean = sum(course) / count
    spread = math.sqrt(sum((value - mean) ** 2 for value in course) / count)
    return [(value - mean) / spread for value in course]


def _made_up(fractions: list[float], rng: random.Random) -> Trace:
    images = []
    for index, fraction in enumerate(fractions):
        raw = int(rng.gauss(470_000, 15_000))
        saved = int(raw * min(max(fraction, -0.002), 0.9))
        cpu_s = max(0.1, 0.33 + 0.8e-6 * saved + rng.gauss(0, 0.03))
        images.append(Image(index / FREQUENCY_HZ, raw, saved, cpu_s))
    return images


def _smooth(width: float, noise: float = 0.004, count: int = 759) -> Callable[[random.Random], list[float]]:
    def fractions(rng: random.Random) -> list[float]:
        return [0.12 + 0.07 * value + rng.gauss(0, noise) for value in _bumps(count, width, rng)]

    return fractions


def _steps(rng: random.Random) -> list[float]:
    levels: list[float] = []
    while len(levels) < 759:
        levels += [rng.choice((0.0, 0.04, 0.12, 0.25))] * rng.randrange(15, 80)
    return [level + rng.gauss(0, 0.004) for level in levels[:759]]


COURSES: dict[str, Callable[[random.Random], list[float]]] = {
    "smooth_8": _smooth(8),
    "smooth_20": _smooth(20),
    "smooth_60": _smooth(60),
    "noisy": _smooth(20, noise=0.06),
    "steps": _steps,
    "flat": lambda rng: [0.12 + rng.gauss(0, 0.01) for _ in range(759)],
    "unrelated": lambda rng: [max(0.0, rng.gauss(0.12, 0.07)) for _ in range(759)],
    "nothing_saved": lambda rng: [rng.gauss(0, 0.001) for _ in range(759)],
    "few_40": _smooth(8, count=40),
    "few_5": _smooth(8, count=5),
}
"""How the fraction of its bytes that an image saves may run over index."""


def made_up_trace(course: str, seed: int) -> Trace:
    """Make up a trace: 20 images a second, whose saving runs as one of `COURSES` says."""
    rng = random.Random(f"{course}/{seed}")
    return _made_up(COURSES[course](rng), rng)
