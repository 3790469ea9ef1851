"""What tests of handlers share."""

from collections.abc import Callable

import numpy as np

from haste_core.messages import TaskResult

RunTask = Callable[..., TaskResult]
"""Runs one task: ``(task_key, source, *, settings, **what task_message takes) -> TaskResult``."""


def cells(size: int = 256, *, seed: int = 0) -> np.ndarray:
    """Draw bright discs on dark, noisy ground, (size, size) uint16."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:size, :size]
    image = rng.normal(200, 10, (size, size))
    for row, column, radius in rng.uniform((20, 20, 5), (size - 20, size - 20, 15), (25, 3)):
        image[(rows - row) ** 2 + (columns - column) ** 2 < radius**2] += 3000
    return image.clip(0, 65535).astype(np.uint16)
