"""What scoring images and putting them into a folder costs at least: a bare loop in two processes."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.pool import Pool
from multiprocessing.synchronize import Barrier
from pathlib import Path
from unittest.mock import patch

from haste_core.features import measure
from haste_core.features.quality import QualityOptions, measure_quality
from haste_workers.imaging.read import read_image

PROCESSES = 2
_START_S = 60.0
# As in a worker's child processes.
_ONE_THREAD_EACH = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


@dataclass(frozen=True)
class Scoring:
    """What the bare loop does with each image.

    Attributes
    ----------
    features : tuple of str
        To measure beside PLLS and the signal: what the pipeline asks for.
    folder : Path
        Where the copies go.
    """

    features: tuple[str, ...]
    folder: Path

    def __call__(self, image: Path) -> str:
        """Score an image, copy it under a temporary name that becomes its own, and return its SHA-256."""
        pixels = read_image(image).pixels
        measure(pixels)
        measure_quality(pixels, self.features, QualityOptions())
        return copied(image, folder=self.folder)


def copied(file: Path, *, folder: Path) -> str:
    """Copy a file under a temporary name that becomes its own, and return its SHA-256."""
    temporary = folder / f"{file.name}.part"
    shutil.copyfile(file, temporary)
    with temporary.open("rb") as copy:
        os.fsync(copy.fileno())
        sha256 = hashlib.file_digest(copy, "sha256").hexdigest()
        # Else the copies would fill the memory, and finding room for each would be most of the work.
        os.posix_fadvise(copy.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    temporary.rename(folder / file.name)
    return sha256


@contextmanager
def ready_processes(scoring: Scoring, warm_up: Sequence[Path]) -> Iterator[Pool]:
    """Start the processes, and wait until each has done a few images."""
    spawning = multiprocessing.get_context("spawn")
    ready = spawning.Barrier(PROCESSES + 1)
    with (
        patch.dict(os.environ, _ONE_THREAD_EACH),
        spawning.Pool(PROCESSES, initializer=_warm_up, initargs=(scoring, warm_up, ready)) as pool,
    ):
        ready.wait(_START_S)
        yield pool


def _warm_up(scoring: Scoring, images: Sequence[Path], ready: Barrier) -> None:
    own = scoring.folder / f"warm-up-{os.getpid()}"
    own.mkdir(parents=True)
    for image in images:
        Scoring(scoring.features, own)(image)
    ready.wait()
