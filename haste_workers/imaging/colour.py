"""Colour as one grey level: luminance, as CellProfiler takes it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from haste_workers.imaging.image import Pixels

_WEIGHTS = (0.2125, 0.7154, 0.0721)
"""ITU-R BT.709 luma for linear red, green, blue, rounded as scikit-image rounds it."""


def luminance(channels: Sequence[Pixels]) -> Pixels:
    """Weigh red, green and blue into one grey level.

    Parameters
    ----------
    channels : sequence of three arrays of one shape and dtype
        Red, green, blue. Integers are scaled by their dtype's highest value, floats are taken as
        they are.

    Returns
    -------
    array of the channels' shape
        In [0, 1] for unsigned integers. float32, which holds 16-bit channels without loss, or
        float64 for wider ones.
    """
    stored = channels[0].dtype
    dtype = np.float32 if stored.itemsize <= 2 else np.float64
    highest = float(np.iinfo(stored).max) if stored.kind == "u" else 1.0
    grey = np.zeros(channels[0].shape, dtype)
    for weight, channel in zip(_WEIGHTS, channels, strict=True):
        levels: Pixels = channel.astype(dtype)
        grey += levels * (weight / highest)
    return grey
